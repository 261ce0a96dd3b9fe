"""A task that ends its process without a word for batches of 8, as a lack of memory would."""

import os

from facialnet.entry import run


def task(cfg):
    if cfg.data.batch_size == 8:
        os._exit(1)
    return 0.5


if __name__ == "__main__":
    run(task)
