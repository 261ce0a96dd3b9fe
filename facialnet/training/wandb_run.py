"""Logging to Weights & Biases."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger

from facialnet.errors import UserError, gist


class WandbRun(WandbLogger):
    """Log one run to Weights & Biases, named after the run's folder, with all its files in there.

    Lightning's own logger leaves the process offline for good where one run is, joins a run that is
    still open, and lets the package write over the progress bar.

    Args:
        folder: of the run; files lie in its ``wandb``.
        project: that the run belongs to.
        group: that the run belongs to within the project; the experiment's name.
        offline: write files only; ``wandb sync FOLDER`` sends them later. Needs no account.

    Raises:
        UserError: the package is not installed; or, when the run begins, there is no account or no
            network for it.
    """

    def __init__(self, *, folder: str, project: str, group: str, offline: bool = False) -> None:
        if find_spec("wandb") is None:
            raise UserError("logger=wandb needs another package: pip install 'facialnet[wandb]'")
        name = Path(folder).name
        super().__init__(save_dir=folder, project=project, name=name, group=group)
        self.offline = offline

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run, begun when it is first asked for."""
        if self._experiment is None:
            self._experiment = self._begin()
        return self._experiment

    def _begin(self) -> Any:
        import wandb

        folder = Path(str(self.save_dir))
        folder.mkdir(parents=True, exist_ok=True)
        # The package's service keeps a log of its own, in the home folder if nothing is said.
        os.environ.setdefault("WANDB_CACHE_DIR", str(folder / "wandb/cache"))
        settings = wandb.Settings(
            silent=True, console="off", disable_git=True, disable_code=True, reinit="create_new"
        )
        try:
            run = wandb.init(
                project=self._wandb_init["project"],
                group=self._wandb_init["group"],
                name=self._wandb_init["name"],
                dir=str(folder),
                mode="offline" if self.offline else None,
                settings=settings,
            )
        except wandb.errors.Error as error:
            raise UserError(
                f"logger.wandb: {gist(error)} (logger.wandb.offline=true needs neither an account "
                "nor a network)"
            ) from error
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return run

    def finish(self, *, failed: bool) -> None:
        """End the run, if it ever began; a process does not end before its file is written."""
        if self._experiment is not None:
            self._experiment.finish(exit_code=int(failed))
