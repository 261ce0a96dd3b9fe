"""Search spaces from plain data, and values as they are written on the command line."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from facialnet.errors import UserError
from facialnet.tuning.space import as_written, example_of, overrides_of, search_space


def test_every_form_becomes_its_distribution():
    space = search_space(
        {
            "optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True},
            "model.head.dropout": {"low": 0.0, "high": 0.5, "step": 0.1},
            "epochs": {"low": 1, "high": 9},
            "share": {"low": 0, "high": 1.5},
            "data.batch_size": [16, 32],
            "model.head.hidden": [[256, 128], [512, 64]],
        }
    )
    assert space == {
        "optimizer.lr": FloatDistribution(1e-4, 1e-2, log=True),
        "model.head.dropout": FloatDistribution(0.0, 0.5, step=0.1),
        "epochs": IntDistribution(1, 9),
        "share": FloatDistribution(0, 1.5),
        "data.batch_size": CategoricalDistribution(["16", "32"]),
        "model.head.hidden": CategoricalDistribution(["[256,128]", "[512,64]"]),
    }
    assert overrides_of(example_of(space)) == [
        "optimizer.lr=0.0001",
        "model.head.dropout=0",
        "epochs=1",
        "share=0",
        "data.batch_size=16",
        "model.head.hidden=[256,128]",
    ]


@pytest.mark.parametrize(
    "value", [True, None, 16, 0.25, 1e-5, [256, [128, 0.5]], {"a": 1, "b": [True, None]}, "text"]
)
def test_hydra_reads_a_written_value_as_it_was(value):
    override = OverridesParser.create().parse_override(f"key={as_written(value)}")
    assert override.value() == value


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ([16], "two or more different values"),
        ([16, 16], "two or more different values"),
        ({"low": 1}, "a list of values, or low, high"),
        ({"low": 0.1, "high": 1, "logarithm": True}, "a list of values, or low, high"),
        ("0.1,0.2", "a list of values, or low, high"),
        ({"low": "a", "high": 2}, "must be numbers"),
        ({"low": True, "high": 2}, "must be numbers"),
        ({"low": 2.5, "high": 1.5}, "optimizer.lr"),
        ({"low": 0.0, "high": 1.0, "log": True}, "optimizer.lr"),
    ],
)
def test_a_wrong_spec_is_named(spec, said):
    with pytest.raises(UserError, match=r"hydra\.sweeper\.params\.optimizer\.lr") as raised:
        search_space({"optimizer.lr": spec})
    assert said in str(raised.value)


def test_an_empty_space_is_refused():
    with pytest.raises(UserError, match="is empty"):
        search_space({})
