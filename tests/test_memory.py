"""Memory does not grow with the data set: disk does."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

# A process of its own for each size, since a process never gives its peak back.
SCRIPT = """
import json, resource, sys
import hydra
from facialnet import build
from facialnet.build_card import card_of
from facialnet.entry import conf_dir

root, prepared = sys.argv[1:]
with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
    cfg = hydra.compose("train", ["+experiment=utkface_aug", f"data.root={root}",
        f"paths.prepared={prepared}", "trainer=cpu"])
prepared, preprocessing = build.prepared_data(cfg)
store = build.store_of(prepared)
data = build.datamodule(cfg, store, build.split(cfg.protocol, store.manifest), preprocessing)
network = build.build_network(card_of(cfg, prepared)["model"], build.tasks(cfg))
images = 0
for number, batch in enumerate(data.train_dataloader()):
    images += len(batch["images"])
    if number < 3:
        sum(v.sum() for v in network(batch["images"]).values()).backward()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"images": images, "peak_mib": peak, "key": prepared.store.key}))
"""


def faces(root, count):
    """Write pictures that all differ: copies would be one group, which no split parts."""
    root.mkdir()
    generator = np.random.default_rng(0)
    for n in range(count):
        noise = generator.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / f"{n % 90}_{n % 2}_{n % 5}_{n}.jpg")


@pytest.mark.slow
def test_peak_memory_of_5000_and_50000_images(tmp_path):
    peaks = {}
    for count in (5_000, 50_000):
        faces(tmp_path / f"faces{count}", count)
        command = [
            sys.executable,
            "-c",
            SCRIPT,
            str(tmp_path / f"faces{count}"),
            str(tmp_path / "p"),
        ]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[count] = json.loads(ended.stdout.splitlines()[-1])
    print(peaks)
    assert peaks[50_000]["images"] == pytest.approx(35_000, rel=0.02)
    store_mib = 45_000 * 87 * 87 / 2**20
    growth = peaks[50_000]["peak_mib"] - peaks[5_000]["peak_mib"]
    # names, labels and hashes do grow: less than 2 kB a picture, while its pixels have 7.5
    assert growth < 0.3 * store_mib, peaks
