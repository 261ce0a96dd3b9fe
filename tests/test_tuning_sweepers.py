"""The chain and the search as Hydra runs them, with a task that scores settings by a formula."""

import json
import math
import os
import pickle
import signal
import sys
from pathlib import Path

import hydra
import pytest
import yaml
from commands import command
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from facialnet import entry
from facialnet.errors import UserError
from facialnet.training.callbacks.interruption import InterruptedRunError
from facialnet.tuning.space import search_space

ran: list[tuple[str, int, float]] = []  # folder, batch size and rate of each job


def by_formula(cfg) -> float:
    """Best at a batch of 32 and a rate of 0.01; a rate of 0.1 is an error."""
    size, rate = cfg.data.batch_size, cfg.optimizer.lr
    ran.append((Path(HydraConfig.get().runtime.output_dir).name, size, rate))
    if rate == 0.1:
        raise UserError("the loss is not finite")
    return 1 - abs(size - 32) / 100 - abs(math.log10(rate) + 2) / 10


@pytest.fixture
def swept(monkeypatch, capfd, tmp_path):
    """Run a sweep of a task; return its exit code and all that it printed."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, task=by_formula) -> tuple[int, str]:
        named = [] if any("experiment=" in each for each in arguments) else ["+experiment=demo"]
        monkeypatch.setattr(sys, "argv", ["facialnet.train", "-m", *named, *arguments])
        ran.clear()
        code = 0
        try:
            entry.run(task)
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capfd.readouterr()
        return code, printed.out + printed.err

    return call


def test_a_chain_carries_the_best_on(swept, tmp_path):
    params = "{data.batch_size:'64,32',optimizer.lr:'0.1,0.001'}"
    chain = ["hydra/sweeper=chain", f"++hydra.sweeper.params={params}", "sweep_name=mine"]
    code, printed = swept(*chain, "optimizer.lr=0.1,0.01")
    assert code == 0, printed
    default = 0.001
    assert ran == [
        ("data.batch_size-64", 64, default),
        ("data.batch_size-32", 32, default),
        ("data.batch_size-32_optimizer.lr-0.1", 32, 0.1),
        ("data.batch_size-32_optimizer.lr-0.01", 32, 0.01),
    ]
    assert "best: data.batch_size=32 optimizer.lr=0.01" in printed
    steps = json.loads((tmp_path / "outputs/demo/mine/chain.json").read_text())["steps"]
    assert [step["best"] for step in steps] == ["32", "0.01"]
    assert steps[1]["scores"]["0.1"] is None
    assert (tmp_path / "outputs/demo/mine/multirun.yaml").is_file()
    code, printed = swept(*chain, "seed=0,1")
    assert code == 2
    assert "seed=0,1: a chain varies data.batch_size, optimizer.lr" in printed


def test_a_search_goes_on_and_refuses_other_settings(swept, tmp_path):
    search = ["+sweep=search", "data.batch_size=16,32", "optimizer.weight_decay=0.01"]
    search.append("optimizer.lr=tag(log,interval(0.001,0.05))")
    code, printed = swept(*search, "hydra.sweeper.n_trials=1")
    assert code == 0, printed
    ((folder, size, rate),) = ran
    assert folder == "trial-000"
    assert size in (16, 32)
    assert 0.001 <= rate <= 0.05

    numbers = []

    def told_its_number(cfg) -> float:
        numbers.append((os.environ["FACIALNET_TRIAL"], cfg.callbacks.pruning.trial))
        return by_formula(cfg)

    code, printed = swept(*search, "hydra.sweeper.n_trials=2", task=told_its_number)
    assert code == 0, printed
    assert [job[0] for job in ran] == ["trial-001"]
    assert numbers == [("1", "1")]
    assert "FACIALNET_TRIAL" not in os.environ
    assert "2 trials: 2 done, 0 pruned, 0 failed" in printed
    code, printed = swept(*search, "hydra.sweeper.n_trials=3", "seed=1")
    assert (code, ran) == (2, [])
    assert "demo/search holds a search with other settings; choose another sweep_name" in printed


def test_a_search_of_failures_ends_in_an_error(swept):
    code, printed = swept(
        *("+sweep=search", "hydra.sweeper.n_trials=1", "optimizer.lr=0.1", "data.batch_size=8")
    )
    assert code == 2
    assert "trial-000 failed: the loss is not finite" in printed
    assert "error: all 1 trials failed" in printed


def test_an_unknown_setting_is_named_before_anything_is_kept(swept, tmp_path):
    code, printed = swept("+sweep=search", "optimizer.learning_rate=0.1,0.2")
    assert code == 2
    assert "optimizer.learning_rate is not a setting" in printed
    assert not list(tmp_path.rglob("search.journal"))


def test_the_published_tuning_as_one_command(swept, tmp_path):
    """Adience comparison, section 3.1: four sweeps in this order; what is given is not tuned."""
    given = ["data.batch_size=32", "optimizer.lr=0.001", "model.head.hidden=[8,8]"]
    words = ["+experiment=adience_resnet50_v2", "+sweep=tuning_chain", "model.head.dropout=0,0.5"]
    seen = []

    def by_dropout(cfg) -> float:
        seen.append((cfg.data.batch_size, list(cfg.model.head.hidden), cfg.model.head.dropout))
        return float(cfg.model.head.dropout)

    code, printed = swept(*words, *given, task=by_dropout)
    assert code == 0, printed
    assert seen == [(32, [8, 8], 0), (32, [8, 8], 0.5)]
    folder = tmp_path / "outputs/adience_resnet50_v2/tuning_chain"
    settings = yaml.safe_load((folder / "multirun.yaml").read_text())
    params = settings["hydra"]["sweeper"]["params"]
    assert [(name, yaml.safe_load(f"[{values}]")) for name, values in params.items()] == [
        ("data.batch_size", [1, 4, 8, 16, 32, 64]),
        ("optimizer.lr", [0.1, 0.001, 0.0003, 0.00001]),
        (
            "model.head.hidden",
            [[256, 128, 64], [512, 256, 128], [1024, 512, 256], [512, 512, 512]],
        ),
        ("model.head.dropout", [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
    ]


@pytest.mark.parametrize(
    ("experiment", "sweep"),
    [("adience_aug", "search"), ("adience_resnet50_v2", "tuning_search")],
)
def test_the_spaces_are_of_settings_that_exist(experiment, sweep):
    with hydra.initialize_config_dir(str(entry.conf_dir()), version_base="1.3"):
        words = [f"+experiment={experiment}", f"+sweep={sweep}"]
        cfg = hydra.compose("train", words, return_hydra_config=True)
    params = OmegaConf.to_container(cfg.hydra.sweeper.params)
    for name in search_space(params):
        assert OmegaConf.select(cfg, name, throw_on_missing=True) is not None, name


def test_the_plugin_imports_nothing_heavy_for_every_start_of_hydra():
    heavy = "{'torch', 'lightning', 'optuna', 'pandas', 'facialnet'}"
    program = f"import hydra_plugins.facialnet_sweepers, sys; print({heavy} & set(sys.modules))"
    assert command("-c", program).stdout == "set()\n"


def test_a_signal_crosses_processes():
    error = pickle.loads(pickle.dumps(InterruptedRunError(signal.SIGTERM)))
    assert (error.signum, str(error)) == (signal.SIGTERM, "SIGTERM")


def test_without_the_launchers_it_is_said_what_to_install(swept):
    code, printed = swept("hydra/launcher=joblibs", "seed=0,1")
    assert code == 2
    assert "hydra/launcher=joblibs does not exist" in printed
    assert "pip install 'facialnet[sweep]'" in printed
