"""Ending a trial early: against the median worked by hand, and again after a kill."""

import sys
from types import SimpleNamespace

import pytest
from lightning.pytorch.trainer.states import TrainerFn

from facialnet.errors import UserError
from facialnet.training.callbacks.pruning import Pruning
from facialnet.tuning.outcome import Outcome
from facialnet.tuning.study import JOURNAL, Study

SPACE = {"lr": {"low": 0.0, "high": 1.0}}


def trainer_at(epoch: int, score: float, max_epochs: int = 9, **more) -> SimpleNamespace:
    return SimpleNamespace(
        state=SimpleNamespace(fn=more.pop("fn", TrainerFn.FITTING)),
        sanity_checking=False,
        callback_metrics={"val/accuracy": score},
        current_epoch=epoch,
        max_epochs=max_epochs,
        should_stop=False,
        **more,
    )


def run_trial(folder, number: int, scores: list[float], *, first: int = 0, **settings) -> list:
    """Show a trial's scores to the callback; return the epochs after which it would stop."""
    callback = Pruning(str(folder / JOURNAL), trial=str(number), **settings)
    trainer = trainer_at(first, 0.0)
    callback.on_fit_start(trainer, None)
    stops = []
    for epoch, score in enumerate(scores, first):
        trainer = trainer_at(epoch, score)
        callback.on_validation_end(trainer, None)
        if trainer.should_stop:
            stops.append(epoch)
    assert callback.pruned == bool(stops)
    return stops


@pytest.fixture
def study(tmp_path):
    """A search with three finished trials; the medians of their epochs are 0.3, 0.5, 0.7."""
    study = Study(tmp_path, SPACE, settings="")
    for scores in ([0.2, 0.5, 0.8], [0.3, 0.4, 0.6], [0.4, 0.6, 0.7]):
        number = study.propose()
        assert run_trial(tmp_path, number, scores, startup_trials=3, warmup_epochs=1) == []
        study.tell(number, Outcome(score=scores[-1]))
    return study


def test_below_the_median_it_stops_and_at_it_it_does_not(study, tmp_path):
    number = study.propose()
    quick = {"startup_trials": 3, "warmup_epochs": 1}
    assert run_trial(tmp_path, number, [0.3, 0.5, 0.7], **quick) == []
    number = study.propose()
    # The best score so far counts: 0.55 holds at the second epoch's 0.5, not at the third's 0.7.
    assert run_trial(tmp_path, number, [0.55, 0.1, 0.2], **quick) == [2]


def test_the_first_epochs_and_trials_are_spared(study, tmp_path):
    number = study.propose()
    assert run_trial(tmp_path, number, [0.0, 0.0, 0.0], startup_trials=3, warmup_epochs=3) == [2]
    number = study.propose()
    assert run_trial(tmp_path, number, [0.0, 0.0, 0.0], startup_trials=4, warmup_epochs=1) == []


def test_a_repeated_epoch_is_not_reported_again_but_judged(study, tmp_path, recwarn):
    number = study.propose()
    quick = {"startup_trials": 3, "warmup_epochs": 1}
    assert run_trial(tmp_path, number, [0.31, 0.32], **quick) == [1]
    # Killed before its checkpoint: the second epoch is trained again.
    assert run_trial(tmp_path, number, [0.32], first=1, **quick) == [1]
    assert not [each for each in recwarn if "already reported" in str(each.message)]
    values = study._study.trials[number].intermediate_values
    assert values == {0: 0.31, 1: 0.32}


def test_not_at_the_last_epoch_nor_outside_of_training(study, tmp_path):
    number = study.propose()
    callback = Pruning(str(tmp_path / JOURNAL), trial=number, startup_trials=1, warmup_epochs=1)
    last = trainer_at(2, 0.0, max_epochs=3)
    callback.on_fit_start(last, None)
    callback.on_validation_end(last, None)
    validating = trainer_at(1, 0.0, fn=TrainerFn.VALIDATING)
    callback.on_validation_end(validating, None)
    assert not last.should_stop
    assert not validating.should_stop
    assert study._study.trials[number].intermediate_values == {2: 0.0}


def test_without_a_trial_it_does_nothing(tmp_path):
    callback = Pruning(str(tmp_path / JOURNAL))
    trainer = trainer_at(0, 0.0)
    callback.on_fit_start(trainer, None)
    callback.on_validation_end(trainer, None)
    assert not trainer.should_stop
    assert not (tmp_path / JOURNAL).exists()


@pytest.mark.parametrize("wrong", [{"startup_trials": 0}, {"warmup_epochs": 0}])
def test_settings_out_of_range_are_named(tmp_path, wrong):
    with pytest.raises(UserError, match="must be at least 1"):
        Pruning(str(tmp_path / JOURNAL), **wrong)


def test_without_optuna_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'facialnet\[sweep\]'"):
        Study(tmp_path, SPACE, settings="")
