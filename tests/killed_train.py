"""`facialnet.train` that a SIGKILL ends after training step KILL_AT_STEP, as a crash would."""

import os
import signal

from facialnet.entry import run
from facialnet.train import main
from facialnet.training.module import FaceModule

kill_at = int(os.environ.get("KILL_AT_STEP", "0"))
original = FaceModule.on_train_batch_end


def on_train_batch_end(self, outputs, batch, batch_idx):
    original(self, outputs, batch, batch_idx)
    if self.global_step == kill_at and self.global_rank == 0:
        os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    if kill_at:
        FaceModule.on_train_batch_end = on_train_batch_end
    run(main)
