"""Timing takes turns, and says how many times as fast as PyTorch each candidate is."""

import time

import numpy as np
import pytest
import torch

from facialnet.inference.export import latency
from facialnet.inference.export.latency import measure_latency


def test_the_ratio_is_of_the_same_rounds(monkeypatch):
    monkeypatch.setattr(latency, "_ROUNDS", 3)
    monkeypatch.setattr(latency, "_SECONDS", 0.0)
    monkeypatch.setattr(latency, "_cores", lambda: 2)
    clock, seen = [0.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    seconds = {"pytorch": 0.006, "fast": 0.002}

    def opener(name):
        def ready(threads):
            def answer(images):
                seen.append((name, threads, torch.get_num_threads(), len(images)))
                clock[0] += seconds[name] * len(images)

            return answer

        return ready

    before = torch.get_num_threads()
    found = measure_latency(
        {name: opener(name) for name in seconds}, np.zeros((5, 1, 8, 8), np.uint8)
    )
    assert torch.get_num_threads() == before
    assert found["cores"] == 2
    assert list(found["threads"]) == ["1", "2"]
    for batches in found["threads"].values():
        assert list(batches) == ["1", "32"]
        for each in batches.values():
            assert each["pytorch"] == {"ms": pytest.approx(6), "ratio": pytest.approx(1)}
            assert each["fast"] == {"ms": pytest.approx(2), "ratio": pytest.approx(3)}
    assert {(threads, of_torch) for _, threads, of_torch, _ in seen} == {(1, 1), (2, 2)}
    assert {images for *_, images in seen} == {1, 32}
    turns = [name for name, *_ in seen]
    assert turns == ["pytorch", "fast"] * (len(turns) // 2)


def test_a_slow_network_gets_fewer_rounds(monkeypatch):
    clock, calls = [0.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(latency, "_cores", lambda: 1)

    def answer(images):
        calls.append(len(images))
        clock[0] += 4.0

    found = measure_latency({"pytorch": lambda _: answer}, np.zeros((1, 1, 8, 8), np.uint8))
    assert list(found["threads"]) == ["1"]
    assert calls == [1] * 4 + [32] * 4  # a warm-up and three rounds
