import dataclasses
import re
import xml.etree.ElementTree as ET

import pytest
from believable_runs import AGE, GENDER, STAMP, faces, make_run, make_system

from facialnet.errors import UserError
from facialnet.evaluation.comparison import compare
from facialnet.evaluation.field.footing import footings
from facialnet.evaluation.field.gather import gather_field
from facialnet.evaluation.field.page import page
from facialnet.evaluation.field.pictures import cost_picture, slug
from facialnet.evaluation.field.rivals import front, reference_of, rivals_of
from facialnet.evaluation.field.systems import systems_of
from facialnet.evaluation.report.text import with_ends
from facialnet.evaluation.runs import find_runs

MANIFEST = faces(400, people=60)
ONLY_GENDER = {"tasks": {"gender": GENDER}}
CLAIM = {
    "data": "celeba",
    "source": "ImageNet transfer, Table 2",
    "protocol": "random images",
    "gender": 0.95,
}
BACKBONES = "facialnet.models.backbones."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six systems of one sweep, one of them failed and one with tainted first weights."""
    folder = tmp_path_factory.mktemp("field") / "systems"

    def system(name, backbone, multiply_adds, **about):
        target = "facialnet.models.FacialNet" if backbone is None else BACKBONES + backbone
        make_system(folder, MANIFEST, name, backbone=target, multiply_adds=multiply_adds, **about)

    norm = "model.backbone.batch_norm"
    system("facialnet", None, 174e6, skill=0.6, settings={norm: False}, validation=0.6)
    system("facialnet_bn", None, 174e6, skill=1.0, settings={norm: True}, validation=0.7)
    claimed = {
        "claim": CLAIM,
        "note": "at 64 pixels",
        "model.backbone.base": "vgg16",
        "model.backbone.pretrained": True,
        "preprocess": {"size": 64, "channels": 3},
        "trainer.limit_train_batches": 256,
    }
    system("vgg16", "TransferStack", 2.9e9, skill=2.5, settings=claimed, **ONLY_GENDER)
    system(
        "vgg19", "TransferStack", 3e9, settings={"model.backbone.base": "vgg19"}, status="failed"
    )
    learnt = {"init_from": "/x/outputs/celeba_pretrain/r/checkpoints/best.ckpt"}
    tainted = {"init": {"data": [{"name": "celeba"}]}}
    system(
        "compact4",
        "Compact4",
        3e6,
        skill=3.0,
        settings=learnt,
        results=tainted,
        stamp=STAMP,
        **ONLY_GENDER,
    )
    system("lfw_cnn", "LFWCNN", 100e6, skill=0.2, **ONLY_GENDER)
    return folder


@pytest.fixture(scope="module")
def field(folder):
    return gather_field(find_runs(folder), "facialnet")


@pytest.fixture(scope="module")
def text(field):
    return page(
        field, command="python -m facialnet.results systems", pictures={(0, "age"): "a.svg"}
    )


def system_named(field, name):
    return next(each for each in field.groups[0].systems if each.name == name)


def table_below(text, heading):
    """Rows of the first table below a heading, without its head."""
    lines = text[text.index(heading) :].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows[2:]


def test_systems_are_named_by_the_override_and_sorted_by_accuracy(field, text):
    rows = table_below(text, "### Gender")
    assert {row[0] for row in rows} == {"facialnet", "facialnet_bn", "vgg16", "compact4", "lfw_cnn"}
    found = [system_named(field, row[0]) for row in rows]
    values = [each.run.metrics["tasks"]["gender"]["scores"]["accuracy"]["value"] for each in found]
    assert values == sorted(values, reverse=True)
    for row, each in zip(rows, found, strict=True):
        assert row[1].endswith(with_ends(each.found.score("gender", "accuracy")))
    assert [row[0] for row in table_below(text, "### Age")] == ["facialnet_bn", "facialnet"]


def test_a_claim_stands_there_with_its_own_data_and_split(field, text):
    rows = {row[0]: row for row in table_below(text, "### Gender")}
    assert rows["vgg16"][2:4] == [
        "95.0 %",
        "celeba; split: random images; ImageNet transfer, Table 2",
    ]
    assert rows["lfw_cnn"][2:4] == ["\N{EN DASH}", "\N{EN DASH}"]
    assert system_named(field, "vgg16").run.results["claim"] is None  # it is not about our data


def test_what_was_made_smaller_and_where_weights_come_from_is_said(text):
    rows = {row[0]: row for row in table_below(text, "### Gender")}
    assert rows["vgg16"][4:] == ["ImageNet", "at 64 pixels; 256 batches an epoch"]
    assert rows["compact4"][4] == "learnt on celeba"
    assert rows["lfw_cnn"][4:] == ["random", ""]


def test_stamped_figures_are_marked_wherever_they_stand(text):
    rows = {row[0]: row for row in table_below(text, "### Gender")}
    assert rows["compact4"][1].startswith("\N{WARNING SIGN} ")
    assert rows["compact4"][5] == f"**{STAMP}**"
    marked = [name for name, row in rows.items() if "\N{WARNING SIGN}" in row[1]]
    assert marked == ["compact4"]
    assert "| \N{WARNING SIGN} compact4 |" in text


def test_a_stamp_that_all_bear_stands_above_the_table(tmp_path):
    make_system(tmp_path, MANIFEST, "a", stamp=STAMP, **ONLY_GENDER)
    made = page(gather_field(find_runs(tmp_path), "a"), command="x", pictures={})
    assert f"**\N{WARNING SIGN} {STAMP}**" in made
    assert table_below(made, "### Gender")[0][-1] == ""
    assert table_below(made, "### Gender")[0][1].startswith("\N{WARNING SIGN} ")


def test_runs_without_figures_are_listed(text):
    assert "- vgg19 (`system-vgg19`): failed" in text


def test_costs_stand_beside_network_and_input(text):
    rows = {row[0]: row for row in table_below(text, "### Cost")}
    assert list(rows) == ["compact4", "lfw_cnn", "facialnet", "facialnet_bn", "vgg16"]
    assert rows["vgg16"][1:] == [
        "TransferStack on vgg16",
        "64x64x3".replace("x", "\N{MULTIPLICATION SIGN}"),
        "72.5 M",
        "2.9 G",
        "290.0 MB",
        "96.7",
    ]
    assert rows["facialnet"][1] == "FacialNet, batch_norm=False"
    assert "| vgg16 | 12 | 30 min 34 s | 398 |" in text


def test_the_reference_is_the_variant_that_validates_best(field):
    systems = field.groups[0].systems
    assert field.groups[0].reference.name == "facialnet_bn"
    assert reference_of(systems, "lfw_cnn").name == "lfw_cnn"
    assert reference_of(systems, "resnet") is None


def test_an_experiment_of_its_own_can_be_the_reference_by_its_network(tmp_path):
    make_run(tmp_path / "r", MANIFEST, fold=None, protocol="holdout", plain=True, **ONLY_GENDER)
    systems = systems_of(footings(find_runs(tmp_path))[0])
    assert reference_of(systems, "facialnet").name == "adience_aug"


def test_rivals_are_compared_on_the_same_images(field):
    group = field.groups[0]
    rivals = rivals_of(group.reference, group.systems, "gender")
    assert len(rivals) == 4
    ours = group.reference.run.predictions
    raw = {
        rival.name: compare(ours, system_named(field, rival.name).run.predictions, GENDER)
        for rival in rivals
    }
    for rival in rivals:
        expected = raw[rival.name]
        assert rival.difference.value == expected["accuracy"]["difference"]["value"]
        assert rival.difference.low == expected["accuracy"]["difference"]["low"]
        sides = {"first better": "reference", "second better": "other"}
        assert rival.better == sides.get(expected["verdict"], "")
    smallest = min(raw.values(), key=lambda each: each["mcnemar_p"])["mcnemar_p"]
    assert min(rival.p_value for rival in rivals) == pytest.approx(min(4 * smallest, 1))
    vgg = next(rival for rival in rivals if rival.name == "vgg16")
    assert vgg.ratios["multiply_adds"] == pytest.approx(2.9e9 / 174e6)
    assert [rival.name for rival in rivals_of(group.reference, group.systems, "age")] == [
        "facialnet"
    ]


def test_systems_that_tested_other_images_are_said_to_be_not_comparable(tmp_path):
    make_system(tmp_path, MANIFEST, "facialnet", **ONLY_GENDER)
    make_system(tmp_path, faces(300, people=60), "other", results={"store": "x"}, **ONLY_GENDER)
    made = page(gather_field(find_runs(tmp_path), "facialnet"), command="x", pictures={})
    assert "not comparable: the test images differ" in made
    assert "better than 0, worse than 0, no difference shown to 0" in made


def test_the_front_leaves_out_what_is_stamped_beside_clean_figures(field):
    systems = field.groups[0].systems
    names = [each.name for each in front(systems, "gender", "multiply_adds")]
    accuracy = {each.name: each.accuracy("gender") for each in systems}
    assert "compact4" not in names
    assert accuracy["lfw_cnn"] < accuracy["facialnet_bn"] < accuracy["vgg16"]
    assert names == ["lfw_cnn", "facialnet_bn", "vgg16"]
    tainted = [each for each in systems if each.setup.stamp]
    assert front(tainted, "gender", "multiply_adds") == tainted


def test_the_same_folders_give_the_same_page(field, text, folder):
    again = page(
        gather_field(find_runs(folder), "facialnet"),
        command="python -m facialnet.results systems",
        pictures={(0, "age"): "a.svg"},
    )
    assert again == text
    assert cost_picture(field.groups[0], "gender") == cost_picture(field.groups[0], "gender")


def test_the_page_says_where_it_comes_from(text):
    assert text.startswith("<!-- Made by `python -m facialnet.results systems`.")
    assert "- revision: 3902d20aa390+" in text
    assert "- machine: 2 CPU cores, no GPU" in text
    assert "![age: accuracy against multiply-adds](a.svg)" in text


def test_machines_that_differ_stand_beside_each_training(tmp_path):
    make_system(tmp_path, MANIFEST, "a", **ONLY_GENDER)
    gpu = {"machine": {"cores": 16, "gpu": "NVIDIA H100"}}
    other = {"backbone": "facialnet.models.Tiny", "multiply_adds": 1e9, "results": gpu}
    make_system(tmp_path, MANIFEST, "b", **other, **ONLY_GENDER)
    made = page(gather_field(find_runs(tmp_path), "a"), command="x", pictures={})
    assert "| b | 12 | 30 min 34 s | 398 | NVIDIA H100 |" in made
    assert "- machine: 2 CPU cores, no GPU (1 run); NVIDIA H100 (1 run)" in made


def test_every_table_fits_a_page_and_is_whole(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines
    assert max(len(re.split(r"(?<!\\)\|", line)) - 2 for line in lines) <= 8


def test_a_picture_is_a_file_of_its_own_with_every_name(field):
    picture = cost_picture(field.groups[0], "gender")
    root = ET.fromstring(picture)
    words = {
        "".join(element.itertext()).strip()
        for element in root.iter()
        if element.tag.endswith("text")
    }
    assert {"facialnet", "facialnet_bn", "vgg16", "compact4", "lfw_cnn"} <= words
    assert "#0001" not in picture
    used = set(re.findall(r"var\((--[\w-]+)\)", picture))
    assert used <= set(re.findall(r"(--[\w-]+):", picture))
    assert "prefers-color-scheme: dark" in picture
    assert int(root.get("width")) > 600
    assert cost_picture(dataclasses.replace(field.groups[0], systems=[]), "gender") is None


def test_titles_become_names_of_files():
    assert slug("lfw, 3,500 male: by=image") == "lfw_3_500_male_by_image"


@pytest.mark.parametrize(
    ("settings", "results"),
    [
        ({"data.label_policy": "exact"}, {}),
        ({"protocol._target_": "facialnet.data.counts.Counts"}, {"protocol": "counts"}),
        ({"protocol.val_share": 0.2}, {}),
        ({"data.source._target_": "facialnet.data.sources.lfw.LFWSource"}, {"data": "lfw"}),
        ({"data.source.lists": "frontal"}, {}),
    ],
)
def test_another_question_is_another_footing(tmp_path, settings, results):
    about = {"fold": None, "protocol": "holdout", "bare": True}
    make_run(tmp_path / "a", MANIFEST, **about)
    make_run(tmp_path / "b", MANIFEST, settings=settings, results=results, **about)
    found = footings(find_runs(tmp_path))
    assert [len(each.runs) for each in found] == [1, 1]
    assert len({each.title for each in found}) == 2


def test_place_seed_recipe_and_network_are_no_other_footing(tmp_path):
    about = {"fold": None, "protocol": "holdout", "bare": True}
    make_run(tmp_path / "a", MANIFEST, **about)
    other = {
        "data.source.root": "/elsewhere",
        "data.batch_size": 7,
        "protocol.on_leak": "stamp",
        "optimizer.lr": 1.0,
        "preprocess.size": 64,
        "model.backbone._target_": "facialnet.models.Tiny",
    }
    make_run(tmp_path / "b", MANIFEST, settings=other, seed=3, **about)
    make_run(tmp_path / "c", MANIFEST, status="unfinished", **about)
    (found,) = footings(find_runs(tmp_path))
    assert (found.title, len(found.done)) == ("adience, holdout seed 0", 2)


def test_systems_of_one_name_are_told_apart(tmp_path):
    for pretrained in (True, False):
        settings = {"model.backbone.pretrained": pretrained}
        make_system(tmp_path / str(pretrained), MANIFEST, "lite", settings=settings, **ONLY_GENDER)
    runs = [*find_runs(tmp_path / "True"), *find_runs(tmp_path / "False")]
    names = [each.name for each in systems_of(footings(runs)[0])]
    assert names == ["lite (pretrained=True)", "lite (pretrained=False)"]


def test_folds_of_one_system_are_one_row(tmp_path):
    for fold in (0, 1):
        overrides = {"overrides": ["+system=facialnet", f"protocol.test_fold={fold}"]}
        make_run(tmp_path / f"{fold}", MANIFEST, fold=fold, results=overrides, **ONLY_GENDER)
    (group,) = gather_field(find_runs(tmp_path), "facialnet").groups
    (system,) = group.systems
    assert system.name == "facialnet"
    assert any("2 of 5 folds together" in remark for remark in system.remarks)
    assert system.training.time.endswith("each of 2 runs")


def test_what_the_split_does_to_one_system_is_shown(tmp_path):
    for by, stamp, skill in (("image", STAMP, 2.0), ("person", None, 1.0)):
        settings = {"protocol._target_": "facialnet.data.counts.Counts", "protocol.by": by}
        make_run(
            tmp_path / by,
            MANIFEST,
            fold=None,
            protocol="holdout",
            stamp=stamp,
            skill=skill,
            plain=True,
            settings=settings,
            results={"protocol": f"counts by {by}", "name": "lfw_cnn"},
            **ONLY_GENDER,
        )
    field = gather_field(find_runs(tmp_path), "facialnet")
    assert len(field.groups) == 2
    ((title, rows),) = field.gaps
    assert title == "lfw_cnn on adience"
    assert [row.name for row in rows] == ["counts by person", "counts by image"]
    first, second = (
        run.metrics["tasks"]["gender"]["scores"]["accuracy"] for run in find_runs(tmp_path)
    )
    assert rows[1].points["gender"].value == pytest.approx(first["value"] - second["value"])
    made = page(field, command="x", pictures={})
    assert "- [What the split does](#what-the-split-does)" in made
    assert "| counts by image | 95.0 % |" in made or "| counts by image | 95.2 % |" in made


def test_another_recipe_is_not_held_against_the_split(tmp_path, folder):
    make_system(tmp_path, MANIFEST, "lfw_cnn", settings={"optimizer.lr": 1}, **ONLY_GENDER)
    make_system(
        tmp_path / "p",
        MANIFEST,
        "lfw_cnn",
        settings={"protocol._target_": "facialnet.data.counts.Counts"},
        **ONLY_GENDER,
    )
    assert gather_field(find_runs(tmp_path), "facialnet").gaps == []


def test_nothing_finished_is_an_error(tmp_path):
    make_run(tmp_path / "a", MANIFEST, status="pruned")
    with pytest.raises(UserError, match=r"no run in here is finished \(pruned\)"):
        gather_field(find_runs(tmp_path), "facialnet")


def test_a_task_without_labels_has_no_table(tmp_path):
    unknown = MANIFEST.assign(age_group=None).astype({"age_group": "str"})
    make_system(tmp_path, unknown, "a", tasks={"gender": GENDER, "age": AGE})
    assert gather_field(find_runs(tmp_path), "a").groups[0].tasks == ["gender"]
