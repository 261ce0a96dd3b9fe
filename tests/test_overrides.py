"""Wrong arguments: one line that says what is wrong and which setting comes nearest."""

import pytest

from facialnet.entry import job_folder


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (
            "optimizer.lrr=0.1",
            "optimizer.lrr is not a setting; the nearest is optimizer.lr (now 0.01)",
        ),
        (
            "data.label_polcy=nearest",
            "the nearest is data.label_policy (now exact; allowed: exact, typo_fixed, nearest)",
        ),
        ("model.int=he", "model.init (now he; allowed: he, glorot, pytorch)"),
        ("data=utkfac", "the nearest is data=utkface; allowed: adience, adience_utkface, celeba"),
        ("+experiment=utk_aug", "the nearest is +experiment=utkface_aug"),
        ("experiment=demo", "experiment is chosen with a plus: +experiment=adience"),
        ("+max_epoch=3", "max_epoch is not a setting; the nearest is trainer.max_epochs (now 100)"),
        ("+optimizer.lr=3", "optimizer.lr is already a setting; write it without a plus"),
        ("data.batch_size=abc", "data.batch_size=abc: expected a whole number, such as 64"),
        ("optimizer.lr=high", "optimizer.lr=high: expected a number, such as 0.01"),
        ("compile=7", "compile=7: expected true or false"),
        ("data.label_policy=nearby", "allowed values are exact, typo_fixed, nearest"),
        ("trainer.precision=33", "Precision 33 is invalid. Allowed precision values"),
        ("preprocess.channels=2", "preprocess.channels=2: allowed values are 1 (grey), 3 (RGB)"),
        ("seed=[1", "[1"),
        ("+system=vgg61", "+system=vgg61 does not exist; the nearest is +system=vgg19"),
        ("+data.bacth_size=3", "the nearest is data.batch_size (now 64)"),
    ],
)
def test_wrong_argument(cli, tmp_path, monkeypatch, argument, expected):
    monkeypatch.chdir(tmp_path)
    ended = cli("train", argument)
    assert ended.code == 2
    assert expected in ended.err
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1, ended.err
    assert list(tmp_path.iterdir()) == []


def test_missing_data_say_what_was_expected_and_how_to_get_it(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = cli("train", "+experiment=adience")
    assert ended.code == 2
    for words in (
        str(tmp_path / "data/adience"),
        "fold_0_data.txt",
        "Register",
        "+experiment=demo",
    ):
        assert words in ended.err
    assert list(tmp_path.iterdir()) == []


def test_traceback_only_on_request(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACIALNET_TRACEBACK", "1")
    assert "Traceback" in cli("train", "+experiment=adience").err


def test_foreign_code_is_not_run(cli, drawn_data):
    ended = cli("train", *drawn_data, "loss._target_=subprocess.Popen")
    assert ended.code == 2
    assert "subprocess.Popen" in ended.err


def test_job_folders_are_readable_stable_and_safe(monkeypatch):
    monkeypatch.setenv("FACIALNET_SWEPT", "optimizer.lr seed data.root")
    jobs = ["seed=1", "+experiment=demo", "optimizer.lr=0.1"]
    assert job_folder(jobs, None) == "optimizer.lr-0.1_seed-1"
    assert job_folder([*jobs, "protocol=official"], {"protocol": "official,holdout"}) == (
        "optimizer.lr-0.1_protocol-official_seed-1"
    )
    assert job_folder(["data.root=/a b/c"], {}) == "data.root-a-b-c"
    assert job_folder(["logger=none"], None) == "logger-none"
    assert job_folder([], None) == "job"
    monkeypatch.setenv("FACIALNET_SWEPT", " ".join(f"key{n}" for n in range(40)))
    long = job_folder([f"key{n}=value{n}" for n in range(40)], None)
    assert len(long) < 130
    assert long != job_folder([f"key{n}=value{n}" for n in range(39)] + ["key39=other"], None)


def test_an_argument_without_a_value_is_named(cli):
    ended = cli("evaluate", "outputs/demo/x/checkpoints/best.ckpt")
    assert ended.code == 2
    assert ended.err == (
        "error: outputs/demo/x/checkpoints/best.ckpt: expected SETTING=VALUE, such as "
        "checkpoint=outputs/demo/x/checkpoints/best.ckpt\n"
    )
    assert "data: expected SETTING=VALUE\n" in cli("train", "+experiment=demo", "data").err


def test_a_folder_is_no_checkpoint(cli, tmp_path):
    ended = cli("evaluate", f"checkpoint={tmp_path}")
    assert ended.code == 2
    assert "is a folder; name a file in it" in ended.err


def test_a_system_before_its_experiment(cli):
    ended = cli("train", "+system=vgg16", "+experiment=utkface_aug")
    assert ended.code == 2
    assert "+system must stand behind +experiment" in ended.err
