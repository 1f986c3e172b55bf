from __future__ import annotations

import json
from pathlib import Path

import pytest

from aisf_geo.errors import DataError, OutputError
from aisf_geo.store.run import Existing, RunFolder, open_run_folder


@pytest.fixture
def finished_run(tmp_path: Path) -> Path:
    folder = open_run_folder(tmp_path / "out", "refuse")
    folder.write_run({"program": "aisf-geo", "state": "done"})
    (folder.path / "ledger.sqlite").write_bytes(b"")
    (folder.path / "report.html").write_text("old")
    return folder.path


@pytest.mark.parametrize("existing", ["refuse", "resume", "overwrite"])
def test_a_folder_that_is_not_there_is_made_with_its_parents(tmp_path: Path, existing: Existing) -> None:
    assert open_run_folder(tmp_path / "a" / "b", existing) == RunFolder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("existing", ["refuse", "resume", "overwrite"])
def test_an_empty_folder_is_taken(tmp_path: Path, existing: Existing) -> None:
    assert open_run_folder(tmp_path, existing).path == tmp_path


@pytest.mark.parametrize("existing", ["refuse", "resume", "overwrite"])
def test_a_file_in_the_way_is_kept(tmp_path: Path, existing: Existing) -> None:
    path = tmp_path / "out"
    path.write_text("mine")
    with pytest.raises(OutputError, match="is a file, a folder is needed"):
        open_run_folder(path, existing)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("existing", ["refuse", "resume", "overwrite"])
def test_a_file_where_a_parent_should_be_is_kept(tmp_path: Path, existing: Existing) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot be made"):
        open_run_folder(tmp_path / "file" / "out", existing)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("existing", "remedy"),
    [("refuse", "--resume"), ("resume", "not a run of aisf-geo"), ("overwrite", "not a run of aisf-geo")],
)
@pytest.mark.parametrize("name", ["thesis.docx", ".hidden", "items/thesis.docx", "ledger.sqlite3"])
def test_a_folder_of_someone_elses_is_never_touched(tmp_path: Path, existing: Existing, remedy: str, name: str) -> None:
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(OutputError, match=remedy):
        open_run_folder(tmp_path / "out", existing)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("content", ['{"name": "training run 12", "loss": 0.3}', "not even JSON"])
def test_a_run_json_of_another_program_does_not_make_a_folder_ours_to_empty(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    (tmp_path / "weights.bin").write_text("mine")
    with pytest.raises(OutputError, match="not a run of aisf-geo"):
        open_run_folder(tmp_path, "overwrite")
    assert (tmp_path / "weights.bin").read_text() == "mine"


def test_a_run_is_refused_unless_it_is_asked_for(finished_run: Path) -> None:
    with pytest.raises(OutputError, match="add --resume to go on or --overwrite to start anew"):
        open_run_folder(finished_run, "refuse")
    assert (finished_run / "report.html").read_text() == "old"


def test_a_run_that_is_resumed_keeps_everything(finished_run: Path) -> None:
    assert open_run_folder(finished_run, "resume").read_run()["state"] == "done"
    assert (finished_run / "report.html").read_text() == "old"


def test_a_run_that_is_overwritten_starts_empty(finished_run: Path) -> None:
    folder = open_run_folder(finished_run, "overwrite")
    assert list(folder.path.iterdir()) == []


def test_a_link_to_a_run_is_overwritten_or_refused_but_never_breaks(finished_run: Path, tmp_path: Path) -> None:
    link = tmp_path / "latest"
    link.symlink_to(finished_run, target_is_directory=True)
    try:
        folder = open_run_folder(link, "overwrite")
    except OutputError:
        assert (finished_run / "report.html").exists()
    else:
        assert list(folder.path.iterdir()) == []


class TestContent:
    def test_run_json_reads_back(self, tmp_path: Path) -> None:
        folder = open_run_folder(tmp_path, "refuse")
        folder.write_run({"recipe": {"name": "x"}, "state": "running"})
        assert folder.read_run() == {"recipe": {"name": "x"}, "state": "running"}

    @pytest.mark.parametrize("content", ['{"program": "aisf-geo"}', "[]", '{"name": "training run 12", "loss": 0.3}'])
    def test_a_run_json_of_something_else_is_not_of_a_run(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(DataError, match=r"run\.json is not of a run of aisf-geo"):
            RunFolder(tmp_path).read_run()

    @pytest.mark.parametrize("content", [None, "", "{", "\x00"])
    def test_a_folder_without_a_readable_run_json_is_not_a_run(self, tmp_path: Path, content: str | None) -> None:
        if content is not None:
            (tmp_path / "run.json").write_text(content)
        with pytest.raises(DataError, match=r"not a run folder, its run\.json cannot be read"):
            RunFolder(tmp_path).read_run()

    def test_files_have_the_names_of_the_contract(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path)
        item = folder.item("ms2")
        names = {
            folder.run_json, folder.ledger, folder.collection, folder.report, folder.indicators, folder.change,
            item.stac, item.labels, item.confidence, item.quicklook, item.features(".parquet"),
        }  # fmt: skip
        assert {str(p.relative_to(tmp_path)) for p in names} == {
            "run.json", "ledger.sqlite", "collection.json", "report.html", "indicators.json", "change",
            "items/ms2/item.json", "items/ms2/labels.tif", "items/ms2/confidence.tif", "items/ms2/quicklook.png",
            "items/ms2/features.parquet",
        }  # fmt: skip

    def test_only_items_with_labels_are_listed(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path)
        for name in ("b", "a"):
            folder.item(name).path.mkdir(parents=True)
            folder.item(name).labels.touch()
        folder.item("unfinished").path.mkdir()
        assert folder.item_ids() == ["a", "b"]

    def test_run_json_holds_json_another_reader_can_read(self, tmp_path: Path) -> None:
        RunFolder(tmp_path).write_run({"state": "done"})
        assert json.loads((tmp_path / "run.json").read_bytes()) == {"state": "done"}
