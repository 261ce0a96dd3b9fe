"""Ending a trial of a search early, where others did better by the same epoch."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn

from facialnet.errors import UserError

STUDY = "search"


def import_optuna() -> Any:
    """Return optuna, with its chatter off; raise UserError where it is not installed."""
    try:
        import optuna
        import optuna.storages.journal
    except ImportError:
        raise UserError("a search needs optuna: pip install 'facialnet[sweep]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_storage(journal: Path) -> Any:
    """Open the file that a search keeps its trials in; it is made where it is not there.

    Several processes may write to it. One that is killed while it writes holds up the others for
    half a minute.
    """
    storages = import_optuna().storages
    return storages.JournalStorage(storages.journal.JournalFileBackend(str(journal)))


def trial_id(storage: Any, number: int) -> int:
    """Return the storage's own number of a trial of the search."""
    study = storage.get_study_id_from_name(STUDY)
    found: int = storage.get_trial_id_from_study_id_trial_number(study, number)
    return found


class Pruning(L.Callback):
    """Report a score after every epoch, and end training where it is below the median.

    The trial's best score so far is compared with what the finished trials had at the same epoch
    (optuna's MedianPruner). Epochs that a resumed run repeats are not reported again. Without a
    trial nothing is done.

    Args:
        journal: the search's file.
        trial: number of the trial that this run is; None for a run by itself.
        monitor: the score, greater is better.
        startup_trials: finished trials before any is ended early.
        warmup_epochs: epochs that every trial may train.

    Attributes:
        pruned: whether training was ended.
    """

    def __init__(
        self,
        journal: str,
        *,
        trial: int | str | None = None,
        monitor: str = "val/accuracy",
        startup_trials: int = 5,
        warmup_epochs: int = 3,
    ) -> None:
        if startup_trials < 1 or warmup_epochs < 1:
            raise UserError(
                f"callbacks.pruning: startup_trials={startup_trials} and "
                f"warmup_epochs={warmup_epochs} must be at least 1"
            )
        self.journal = Path(journal)
        self.number = None if trial is None else int(trial)
        self.monitor = monitor
        self.startup_trials = startup_trials
        self.warmup_epochs = warmup_epochs
        self.pruned = False
        self._trial: Any = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Find the trial in the search's file."""
        if self.number is None:
            return
        optuna, storage = import_optuna(), open_storage(self.journal)
        study = optuna.load_study(
            study_name=STUDY,
            storage=storage,
            sampler=optuna.samplers.RandomSampler(),  # nothing is proposed here
            pruner=optuna.pruners.MedianPruner(
                n_startup_trials=self.startup_trials, n_warmup_steps=self.warmup_epochs - 1
            ),
        )
        self._trial = optuna.trial.Trial(study, trial_id(storage, self.number))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report the epoch's score, and ask whether to go on."""
        training = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        if self._trial is None or not training or self.monitor not in trainer.callback_metrics:
            return
        epoch = trainer.current_epoch
        known = self._trial.study.trials[self.number].intermediate_values
        if epoch not in known:
            self._trial.report(float(trainer.callback_metrics[self.monitor]), epoch)
        is_last = trainer.max_epochs is not None and epoch + 1 >= trainer.max_epochs
        if not is_last and self._trial.should_prune():
            self.pruned = True
            trainer.should_stop = True
