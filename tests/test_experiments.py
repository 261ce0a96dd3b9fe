"""Every experiment composes, builds and trains; every choice of every group builds."""

import hydra
import pytest
import torch
from omegaconf import OmegaConf

from facialnet import build
from facialnet.build_card import card_of
from facialnet.data.leakage import ON_LEAK
from facialnet.data.preparation import Prepared
from facialnet.entry import conf_dir
from facialnet.errors import UserError
from facialnet.labels import IGNORE
from facialnet.models.codings import output_count
from facialnet.models.construction import build_network
from facialnet.training.losses import CrossEntropy, mean_loss

EXPERIMENTS = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))
GROUPS = (
    "preprocess",
    "protocol",
    "loss",
    "ordinal",
    "weighting",
    "augment",
    "views",
    "optimizer",
    "scheduler",
)
LARGE = 110  # pixels; larger pictures are tried out at 96
HEAVY = {  # networks whose steps take seconds; tests/models builds and trains them smaller
    *("celeba_vgg16", "celeba_vgg19", "celeba_mobilenet_v2", "celeba_efficientnet_v2"),
    *("adience_inception_v3", "adience_resnet50_v2"),
}
CHOICES = [
    (group, path.stem) for group in GROUPS for path in sorted((conf_dir() / group).glob("*.yaml"))
]


def compose(*overrides: str):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose("train", list(overrides))


def card(cfg):
    return card_of(cfg, Prepared(None, {"data": "none", "licence": "none"}, None))


def test_every_experiment_of_the_issue_is_there():
    assert set(EXPERIMENTS) >= {
        "demo",
        "adience",
        "adience_aug",
        "adience_gender",
        "adience_age",
        "adience_paper_literal",
        "utkface",
        "utkface_aug",
        "utkface_race",
        "lfw_cnn",
        "seven_layer_cnn",
        "levi_hassner",
        "celeba_pretrain",
        "adience_finetune",
    }


def smaller(cfg) -> list[str]:
    """Overrides that need no download and little time; another run's weights are not there."""
    found = ["init_from=null"] if OmegaConf.is_missing(cfg, "init_from") else []
    if "pretrained" in cfg.model.backbone:
        found.append("model.backbone.pretrained=false")
    return [*found, "preprocess.size=96"] if cfg.preprocess.size > LARGE else found


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in HEAVY else n for n in EXPERIMENTS]
)
def test_experiment_builds_and_learns_a_few_steps(name, tmp_path):
    words = [f"+experiment={name}", "trainer=cpu", f"run_dir={tmp_path}"]
    cfg = compose(*words)
    assert cfg.name == name
    cfg = compose(*words, *smaller(cfg))
    build.instantiate(cfg.data.source)
    build.instantiate(build.split_settings(cfg.protocol))
    build.instantiate(cfg.augment)
    preprocessing = build.instantiate(cfg.preprocess)
    trainer = build.trainer(cfg)
    assert trainer.max_epochs == cfg.trainer.max_epochs
    tasks = build.tasks(cfg)
    torch.manual_seed(0)
    network = build_network(card(cfg)["model"], tasks)
    optimizer = build._call(build.plain(cfg.optimizer), network.parameters())
    side, channels = preprocessing.size, preprocessing.channels
    images = torch.randint(0, 256, (4, channels, side, side), dtype=torch.uint8)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    for _ in range(2):
        answers = network.log_probabilities(network(images))
        assert {k: v.shape[1] for k, v in answers.items()} == {
            k: len(task.classes) for k, task in tasks.items()
        }
        optimizer.zero_grad()
        loss = -sum(value[:, 0].mean() for value in answers.values())
        assert loss.isfinite()
        loss.backward()
        optimizer.step()
    moved = [
        not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True)
    ]
    assert sum(moved) > 0.9 * len(moved)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_says_its_command(name):
    text = (conf_dir() / f"experiment/{name}.yaml").read_text()
    assert f"# python -m facialnet.train +experiment={name}" in text


def test_race_is_a_third_head_without_a_line_of_code():
    tasks = build.tasks(compose("+experiment=utkface_race"))
    assert list(tasks) == ["gender", "age", "race"]
    assert len(tasks["race"].classes) == 5


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_builds(group, choice):
    cfg = compose(f"{group}={choice}")
    if group == "loss":
        loss = build.instantiate(cfg.loss, classes=3)
        assert loss(torch.zeros(2, 3), torch.tensor([0, IGNORE]))[1] == 1
    elif group == "ordinal":
        if cfg.ordinal:
            loss = build.instantiate(cfg.ordinal, classes=8, class_weights=None)
            outputs = torch.zeros(2, output_count(build.target_of(cfg.ordinal).coding, 8))
            assert loss(outputs, torch.tensor([0, IGNORE]))[1] == 1
    elif group == "weighting":
        weighting = build.instantiate(cfg.weighting, weights={"gender": 2.0, "age": 0.5}).eval()
        one = torch.tensor(1.0)
        assert weighting({"gender": one, "age": one}, None) == 2.5
    elif group in ("optimizer", "scheduler"):
        parameter = torch.nn.Parameter(torch.zeros(2, 2))
        optimizer = build._call(build.plain(cfg.optimizer), [parameter])
        build._call(build.plain(cfg.scheduler), optimizer, total_steps=100, monitor="val/loss")
    elif group == "protocol":
        assert cfg.protocol.on_leak in ON_LEAK
        build.instantiate(build.split_settings(cfg.protocol))
    else:
        build.instantiate(cfg[group])


@pytest.mark.parametrize("choice", ["cpu", "auto"])
def test_trainer_builds(choice, tmp_path):
    cfg = compose(f"trainer={choice}", f"run_dir={tmp_path}", "callbacks=ema")
    assert build.trainer(cfg).num_devices == 1


def test_other_inputs_need_configuration_alone():
    cfg = compose("preprocess=rgb", "preprocess.size=100", "model=facialnet_bn")
    network = build_network(card(cfg)["model"], build.tasks(cfg))
    logits = network(torch.zeros(2, 3, 100, 100, dtype=torch.uint8))
    assert logits["age"].shape == (2, 8)


@pytest.mark.parametrize("model", ["facialnet_bn"])
def test_one_batch_is_learnt_by_heart(model):
    torch.manual_seed(0)
    cfg = compose(f"model={model}", "optimizer=adamw", "optimizer.lr=0.001")
    tasks = build.tasks(cfg)
    network = build_network(card(cfg)["model"], tasks)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    optimizer = build._call(build.plain(cfg.optimizer), network.parameters())
    images = torch.randint(0, 256, (16, 1, 75, 75), dtype=torch.uint8)
    targets = {"gender": torch.arange(16) % 2, "age": torch.arange(16) % 8}
    targets["age"][3] = IGNORE
    losses = {name: CrossEntropy(classes=len(task.classes)) for name, task in tasks.items()}
    for _ in range(60):
        logits = network(images)
        total = sum(mean_loss(*losses[name](logits[name], targets[name])) for name in tasks)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert float(total) < 0.05
    for name, target in targets.items():
        known = target != IGNORE
        assert (logits[name].argmax(1) == target)[known].all()


def test_a_foreign_class_is_refused():
    spec = OmegaConf.create({"_target_": "os.system", "command": "true"})
    with pytest.raises(UserError, match="not allowed"):
        build.instantiate(spec)


def test_a_models_own_head_keeps_the_chain():
    heads = card(compose("model=levi_hassner", "tasks=gender_age_chained"))["model"]["heads"]
    assert heads["age"]["_target_"].endswith("ChainedHead")
    assert (heads["age"]["given"], heads["age"]["hidden"]) == ("gender", [512, 512])
    assert heads["gender"]["_target_"].endswith("MLPHead")
    with pytest.raises(UserError, match=r"tasks\.age\.head takes another task's answer"):
        card(compose("model=local_patches", "tasks=gender_age_chained"))
