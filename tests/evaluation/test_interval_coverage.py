"""How often intervals hold the truth, on simulated people whose true accuracy is known.

A person's share of right answers is drawn from a beta distribution, so that two images of one
person are correlated by 0.3, and the number of images from as heavy-tailed a distribution as
Adience's. Sizes and shares are independent unless said otherwise.
"""

import numpy as np
import pandas as pd
import pytest

from facialnet.evaluation.intervals import mean_interval

CORRELATION = 0.3


def right_answers(rng, sizes, mean):
    """0 and 1 for each image, and its person."""
    count = 1 / CORRELATION - 1
    share = rng.beta(mean * count, (1 - mean) * count, len(sizes))
    people = np.repeat(np.arange(len(sizes)), sizes)
    return (rng.random(len(people)) < share[people]).astype(float), people


def coverage(draw_sizes, mean, *, rounds, seed, per_person=False, by_image=False):
    """Share of rounds whose interval holds the truth; ``mean`` may depend on the sizes."""
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(rounds):
        sizes = draw_sizes(rng)
        truth, means = mean if isinstance(mean, tuple) else (mean, mean)
        right, people = right_answers(rng, sizes, means(sizes) if callable(means) else means)
        if by_image:
            people = np.arange(len(right))
        found = mean_interval(right, people, per_person=per_person)
        held += found.low <= truth <= found.high
    return held / rounds


def percentile_coverage(draw_sizes, mean, *, rounds, seed, resamples=400):
    """The same for the percentile bootstrap by people, each image counting once."""
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(rounds):
        sizes = draw_sizes(rng)
        right, people = right_answers(rng, sizes, mean)
        times = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), resamples)
        drawn = times @ np.bincount(people, right) / (times @ np.bincount(people))
        low, high = np.quantile(drawn, [0.025, 0.975])
        held += low <= mean <= high
    return held / rounds


def uneven(people):
    """Draw numbers of images: median 2, a twentieth above 28, the most 417, as in Adience."""

    def draw(rng):
        return np.clip(np.exp(rng.normal(0.7, 1.6, people)).round(), 1, 417).astype(int)

    return draw


@pytest.mark.parametrize(("people", "mean"), [(170, 0.9), (450, 0.6)])
def test_intervals_by_people_cover_and_intervals_by_image_do_not(people, mean):
    by_people = coverage(uneven(people), mean, rounds=1000, seed=0)
    by_person = coverage(uneven(people), mean, rounds=1000, seed=1, per_person=True)
    by_image = coverage(uneven(people), mean, rounds=300, seed=2, by_image=True)
    assert 0.93 <= by_people <= 0.97
    assert 0.93 <= by_person <= 0.97
    assert by_image < 0.85


def test_without_people_the_interval_by_image_covers():
    alone = coverage(lambda rng: np.ones(300, int), 0.8, rounds=1000, seed=0)
    assert 0.93 <= alone <= 0.97


@pytest.mark.slow
def test_table_of_coverage_on_the_sizes_of_adience(shared, capsys):
    lists = sorted((shared / "data" / "adience").glob("fold_*_data.txt"))
    folds = [pd.read_csv(path, sep="\t")["face_id"].value_counts().to_numpy() for path in lists]
    everybody = np.concatenate(folds)
    large = everybody > 20
    rounds = 4000
    records = []

    def drawn(people):
        return lambda rng: rng.choice(everybody, people)

    settings = [(f"{people} drawn", drawn(people)) for people in (60, 170, 450)]
    settings += [(f"fold {n}", lambda rng, sizes=sizes: sizes) for n, sizes in enumerate(folds)]
    for name, draw in settings:
        for mean in (0.6, 0.9):
            record = {"people": name, "accuracy": mean}
            record["by people"] = coverage(draw, mean, rounds=rounds, seed=0)
            record["each person"] = coverage(draw, mean, rounds=rounds, seed=1, per_person=True)
            record["percentile"] = percentile_coverage(draw, mean, rounds=1000, seed=3)
            record["by image"] = coverage(draw, mean, rounds=500, seed=2, by_image=True)
            records.append(record)
    for people in (60, 170, 450):  # who has more than 20 images is easier
        share = everybody[large].sum() / everybody.sum()
        for mean in (0.6, 0.9):
            easier = (mean - 0.05 + 0.1 * share, lambda n, m=mean: m - 0.05 + 0.1 * (n > 20))
            found = coverage(drawn(people), easier, rounds=rounds, seed=0)
            records.append(
                {"people": f"{people} drawn, large easier", "accuracy": mean, "by people": found}
            )
    table = pd.DataFrame(records)
    with capsys.disabled():
        print("\n" + table.round(3).to_string(index=False, na_rep=""))
    assert table["by people"].between(0.93, 0.98).all()
    assert table["by people"].between(0.93, 0.97).mean() >= 0.85
    assert table["each person"].dropna().between(0.93, 0.97).all()
    assert (table["by image"].dropna() < 0.85).all()
