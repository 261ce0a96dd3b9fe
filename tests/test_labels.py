import pytest

from facialnet.errors import UserError
from facialnet.labels import (
    AGE_GROUPS,
    GENDERS,
    IGNORE,
    POLICIES,
    age_group_of_text,
    age_group_of_years,
    check_policy,
)

# Written out by hand: the group of every age under `nearest`, from the first age it holds for.
NEAREST_FROM = {
    0: "0-2",  # 3 is as near to 4-6: the younger wins
    4: "4-6",  # 7 is as near to 8-13
    8: "8-13",  # 14 is as near to 15-20
    15: "15-20",  # up to 22
    23: "25-32",  # up to 35, which is as near to 38-43
    36: "38-43",  # up to 45
    46: "48-53",  # up to 56
    57: "60+",
}
INSIDE = {
    "0-2": range(0, 3),
    "4-6": range(4, 7),
    "8-13": range(8, 14),
    "15-20": range(15, 21),
    "25-32": range(25, 33),
    "38-43": range(38, 44),
    "48-53": range(48, 54),
    "60+": range(60, 117),
}
OFFICIAL = {
    "(0, 2)": "0-2",
    "(4, 6)": "4-6",
    "(8, 12)": "8-13",
    "(15, 20)": "15-20",
    "(25, 32)": "25-32",
    "(38, 43)": "38-43",
    "(48, 53)": "48-53",
    "(60, 100)": "60+",
}


def test_class_order_is_fixed_because_checkpoints_depend_on_it():
    assert GENDERS == ("male", "female")
    assert tuple(INSIDE) == AGE_GROUPS
    assert IGNORE == -100


@pytest.mark.parametrize("years", range(117))
def test_nearest_gives_every_age_a_group(years):
    expected = NEAREST_FROM[max(first for first in NEAREST_FROM if first <= years)]
    assert age_group_of_years(years, "nearest") == expected


@pytest.mark.parametrize("policy", ["exact", "typo_fixed"])
@pytest.mark.parametrize("years", range(117))
def test_other_policies_leave_ages_between_groups_unlabelled(years, policy):
    expected = next((group for group, ages in INSIDE.items() if years in ages), None)
    assert age_group_of_years(years, policy) == expected


@pytest.mark.parametrize(
    ("years", "group"), [(3.1, "4-6"), (2.9, "0-2"), (29.5, "25-32"), (56.5, "48-53")]
)
def test_fractions_of_years_go_to_the_nearer_group(years, group):
    assert age_group_of_years(years, "nearest") == group


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("text", "group"), OFFICIAL.items())
def test_official_texts_mean_the_same_under_every_policy(text, group, policy):
    assert age_group_of_text(text, policy) == group


@pytest.mark.parametrize(
    ("text", "exact", "typo_fixed", "nearest"),
    [
        ("(25, 23)", None, "25-32", "25-32"),
        ("(8, 23)", None, None, "15-20"),  # middle 15.5
        ("(38, 48)", None, None, "38-43"),  # middle 43
        ("(27, 32)", None, None, "25-32"),
        ("13", None, None, "8-13"),
        ("35", None, None, "25-32"),
        ("46", None, None, "48-53"),
        ("58", None, None, "60+"),
    ],
)
def test_unofficial_texts_depend_on_the_policy(text, exact, typo_fixed, nearest):
    groups = [age_group_of_text(text, policy) for policy in ("exact", "typo_fixed", "nearest")]
    assert groups == [exact, typo_fixed, nearest]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("text", ["", "None"])
def test_no_text_is_no_label(text, policy):
    assert age_group_of_text(text, policy) is None


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("text", ["(25,32)", "25-32", "old", "-1", " 35", "(25, 3", "3.5", "none"])
def test_text_of_another_form_is_an_error_under_every_policy(text, policy):
    with pytest.raises(UserError, match="unknown age label") as caught:
        age_group_of_text(text, policy)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_policy_names_the_allowed_ones():
    with pytest.raises(UserError, match=r"data\.label_policy=best") as caught:
        check_policy("best")
    assert "exact, typo_fixed, nearest" in str(caught.value)
    assert "\n" not in str(caught.value)
    for policy in POLICIES:
        check_policy(policy)
