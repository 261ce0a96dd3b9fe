import itertools

import numpy as np
import pytest

from facialnet.evaluation.gap import gap_interval


def draw(generator, people, shares, *, alike=0.3):
    """Images of people: group k has people[k] of them, right with a mean share of shares[k].

    Most have a few images, some up to 100, and the images of one person are alike.
    """
    group = np.repeat(np.arange(len(people)), people)
    images = np.minimum(1 + (3 * generator.pareto(1.5, len(group))).astype(int), 100)
    mean, weight = np.array(shares)[group], 1 / alike - 1
    person = generator.beta(mean * weight, (1 - mean) * weight)
    who = np.repeat(np.arange(len(group)), images)
    right = (generator.random(len(who)) < person[who]).astype(float)
    return right, group[who], who


@pytest.mark.parametrize(
    ("people", "shares"),
    [
        ((200, 200), (0.8, 0.7)),
        ((40,) * 8, (0.7,) * 8),  # no gap, and many pairs in which chance makes one
        ((150, 80, 40, 15), (0.8, 0.75, 0.7, 0.6)),
        ((15,) * 4, (0.97,) * 4),  # many groups in which all are right
    ],
)
def test_the_interval_covers_the_true_gap(people, shares):
    generator = np.random.default_rng(3)
    intervals = [gap_interval(*draw(generator, people, shares), resamples=200) for _ in range(150)]
    true = max(shares) - min(shares)
    covered = np.mean([each.low <= true <= each.high for each in intervals])
    assert covered >= 0.92  # 0.95 less two standard errors of 150 trials
    assert all(0 <= each.low <= each.value <= each.high <= 1 for each in intervals)
    if true == 0:
        assert np.mean([each.low > 0 for each in intervals]) <= 0.08
        assert np.mean([each.value for each in intervals]) > 0.02  # the gap itself knows no better


def test_a_large_gap_between_large_groups_is_seen_beside_a_noisy_one():
    generator = np.random.default_rng(0)
    interval = gap_interval(*draw(generator, (400, 400, 12), (0.9, 0.6, 0.75)))
    assert 0.1 < interval.low < 0.3


def test_two_groups_of_independent_images_have_the_textbooks_interval():
    generator = np.random.default_rng(1)
    groups = np.repeat([0, 1], [900, 600])
    right = (generator.random(1500) < np.array([0.8, 0.6])[groups]).astype(float)
    interval = gap_interval(right, groups, np.arange(1500), resamples=4000)
    first, second = right[groups == 0], right[groups == 1]
    error = np.sqrt(first.var() / 900 + second.var() / 600)
    assert interval.value == pytest.approx(first.mean() - second.mean())
    assert interval.value - interval.low == pytest.approx(1.96 * error, rel=0.06)
    assert interval.high - interval.value == pytest.approx(1.96 * error, rel=0.06)


def test_people_in_both_groups_are_compared_with_themselves():
    generator = np.random.default_rng(2)
    ability = np.repeat(generator.random(100), 10)
    groups = np.tile([0, 1], 500)
    right = (generator.random(1000) < ability).astype(float)
    same = gap_interval(right, groups, np.repeat(np.arange(100), 10))
    strangers = gap_interval(right, groups, np.repeat(np.arange(100), 10) * 2 + groups)
    assert same.value == strangers.value
    assert same.high < 0.75 * strangers.high


def test_copies_of_images_teach_nothing():
    right, groups, people = draw(np.random.default_rng(4), (60, 60), (0.9, 0.5))
    once = gap_interval(right, groups, people)
    often = gap_interval(np.repeat(right, 20), np.repeat(groups, 20), np.repeat(people, 20))
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))


def test_names_of_people_and_the_order_of_images_do_not_matter():
    right, groups, people = draw(np.random.default_rng(5), (60, 60, 60), (0.9, 0.5, 0.6))
    order = np.random.default_rng(0).permutation(len(right))
    shuffled = gap_interval(right[order], groups[order], people[order] * 7 + 3)
    plain = gap_interval(right, groups, people)
    assert (shuffled.low, shuffled.high) == pytest.approx((plain.low, plain.high))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_groups_that_are_all_right_or_all_wrong_show_no_gap_but_do_not_prove_it(share):
    groups = np.repeat([0, 1, 2], 40)
    interval = gap_interval(np.full(120, share), groups, np.arange(120) // 2)
    assert (interval.value, interval.low) == (0, 0)
    assert 0.1 < interval.high < 0.4
    more = gap_interval(np.full(1200, share), np.repeat(groups, 10), np.arange(1200) // 2)
    assert more.high < interval.high / 2


def test_all_right_against_all_wrong_is_not_certain_either():
    right, groups = np.repeat([1.0, 0.0], 30), np.repeat([0, 1], 30)
    interval = gap_interval(right, groups, np.arange(60) // 3)
    assert interval.value == interval.high == 1
    assert 0.5 < interval.low < 0.95


def test_few_mistakes_leave_something_to_say():
    # many a resample misses the few people who are sometimes wrong; dividing by the spread that is
    # left would make the interval half as wide again
    generator = np.random.default_rng(6)
    drawn = [draw(generator, (60,) * 4, (0.97,) * 4) for _ in range(40)]
    intervals = [gap_interval(*each, resamples=200) for each in drawn]
    assert all(each.low == 0 for each in intervals)
    assert np.mean([each.high for each in intervals]) < 0.23


def test_people_who_are_all_alike_do_not_blow_up_the_others():
    # a third of each person's images is right: no spread, but a rounded one
    alike = list(itertools.chain.from_iterable([1.0, 0.0, 0.0] for _ in range(40)))
    right = np.array(alike + alike + [1.0, 1.0, 0.0] * 30 + [0.0] * 30)
    groups = np.repeat([0, 1, 2], 120)
    interval = gap_interval(right, groups, np.arange(360) // 3)
    assert interval.value == pytest.approx(60 / 120 - 40 / 120)
    assert interval.high < 0.5
