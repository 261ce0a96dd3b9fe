import pytest
from believable_runs import GENDER, faces, make_system

from facialnet import results
from facialnet.errors import UserError


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, cost in (("facialnet", 174e6), ("compact4", 3e6)):
        settings = {"model.backbone._target_": f"facialnet.models.{name}"}
        make_system(
            tmp_path / "outputs",
            faces(200, people=40),
            name,
            multiply_adds=cost,
            settings=settings,
            tasks={"gender": GENDER},
        )
    return tmp_path


def test_the_page_and_its_pictures_are_written_and_named(here, capsys):
    results.main([str(here / "outputs"), "--out", str(here / "docs" / "results.md")])
    text = (here / "docs" / "results.md").read_text()
    assert "`python -m facialnet.results outputs --out docs/results.md`" in text
    assert str(here) not in text
    picture = here / "docs" / "images" / "results_adience_holdout_seed_0_gender.svg"
    assert picture.is_file()
    assert f"(images/{picture.name})" in text
    printed = capsys.readouterr().out
    assert "adience, holdout seed 0: 2 systems" in printed
    assert str(here / "docs" / "results.md") in printed


def test_another_system_may_be_the_reference(here):
    results.main(["outputs", "--against", "compact4", "--out", "r.md"])
    text = (here / "r.md").read_text()
    assert "**compact4 against the others**" in text
    assert "--against compact4" in text


def test_a_page_is_a_markdown_file(here):
    with pytest.raises(UserError, match=r"--out docs: expected a file that ends in \.md"):
        results.main(["outputs", "--out", "docs"])


def test_a_folder_without_runs_is_named(tmp_path):
    with pytest.raises(UserError, match="no run in here"):
        results.main([str(tmp_path), "--out", str(tmp_path / "r.md")])
