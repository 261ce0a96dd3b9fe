"""Sweeps: run folders with stable names, and only what is missing when started again."""

import json

from commands import command


def test_two_jobs_and_started_again_only_the_missing_one(drawn_data, tmp_path):
    words = [
        "-m",
        "facialnet.train",
        "-m",
        "+experiment=demo",
        "+debug=fast",
        *drawn_data,
        "callbacks.graph=null",
        "callbacks.feature_maps=null",
        f"paths.outputs={tmp_path}/outputs",
        "optimizer.lr=0.001,0.002",
    ]
    ended = command(*words, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    jobs = sorted((tmp_path / "outputs/debug/sweep").glob("*/results.json"))
    assert len(jobs) == 2
    rates = {json.loads((job.parent / "results.json").read_text())["overrides"][-1] for job in jobs}
    assert rates == {"optimizer.lr=0.001", "optimizer.lr=0.002"}
    names = [job.parent.name for job in jobs]
    assert names == ["optimizer.lr-0.001", "optimizer.lr-0.002"]

    kept, lost = jobs
    before = kept.stat().st_mtime_ns
    lost.unlink()
    (lost.parent / "checkpoints/last.ckpt").unlink()
    again = command(*words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("done before, nothing to do") == 1
    assert kept.stat().st_mtime_ns == before
    assert json.loads(lost.read_text())["status"] == "done"


def test_processes_of_its_own_are_refused_in_a_sweep(drawn_data, tmp_path):
    words = ["-m", "facialnet.train", "-m", *drawn_data, "trainer=ddp_cpu", "seed=0,1"]
    ended = command(*words, f"paths.outputs={tmp_path}/outputs", cwd=tmp_path)
    assert ended.returncode == 2
    assert "a sweep (-m) cannot hold together" in ended.stderr
    assert "Traceback" not in ended.stderr
