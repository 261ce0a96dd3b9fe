"""Which epoch is kept and when training ends early, the same in a resumed run."""

import shutil
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint


class BestCheckpoint(ModelCheckpoint):
    """Keep the best epoch's checkpoint, also when a run goes on in another folder.

    Lightning forgets the best score when the folder changes: the first epoch after it would then
    count as the best, however bad it is.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the best score over, and bring its file along."""
        old, new = state_dict["dirpath"], str(self.dirpath)
        path = Path(state_dict["best_model_path"])
        if old != new and path.is_file():
            Path(new).mkdir(parents=True, exist_ok=True)
            moved = str(shutil.copy(path, new))
            state_dict = state_dict | {
                "dirpath": new,
                "best_model_path": moved,
                "kth_best_model_path": moved,
                "best_k_models": {moved: state_dict["best_model_score"]},
            }
        super().load_state_dict(state_dict)


class EarlyStop(EarlyStopping):
    """Stop when a score no longer improves; a run that had stopped does not train on."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remember across a resume that it is over: Lightning saves the count, not the stop."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True
