"""What status, verify, audit and clean say of a run, and that they find what was changed."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio

from aisf_geo.domain.provenance import without_secrets
from aisf_geo.errors import DataError, OutputError
from aisf_geo.pipeline.again import plan_of
from aisf_geo.pipeline.audit import audit
from aisf_geo.pipeline.plan import Where, plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.pipeline.single import tile_recipe
from aisf_geo.pipeline.status import clean, status
from aisf_geo.pipeline.verify import verify
from aisf_geo.store.ledger import open_ledger
from aisf_geo.store.lock import only_writer
from aisf_geo.store.run import RunFolder

BOX = (4.05, 51.80, 4.60, 52.05)


@pytest.fixture(scope="module")
def made(sample_tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("oversight") / "out"
    recipe = tile_recipe(sample_tiles / "rotterdam" / "ms2.tif", "water", block_px=128)
    run(plan_run(recipe, Where(bbox=BOX)), out, "refuse")
    return out


@pytest.fixture
def copy(made: Path) -> Path:
    """Beside the original, because run.json leads to the imagery from there."""
    target = made.with_name("copy")
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(made, target))


class TestVerify:
    def test_a_run_is_what_it_was_and_comes_out_again(self, made: Path) -> None:
        told = verify(made, sample=4, seed=3)
        assert told["problems"] == []
        assert told["replayed_blocks"] == 4
        assert told["checked"] > 4 + 5

    @pytest.mark.parametrize("name", ["items/ms2/features.parquet", "items/ms2/confidence.tif", "collection.json"])
    def test_a_changed_or_missing_file_is_named(self, copy: Path, name: str) -> None:
        with (copy / name).open("ab") as stream:
            stream.write(b"x")
        assert [p["what"] for p in verify(copy, 0, 0)["problems"]] == [name]
        (copy / name).unlink()
        assert verify(copy, 0, 0)["problems"] == [{"what": name, "problem": "is missing"}]

    def test_a_ledger_that_is_gone_or_has_a_hole_is_named(self, copy: Path) -> None:
        with closing(sqlite3.connect(copy / "ledger.sqlite")) as ledger, ledger:
            ledger.execute("DELETE FROM block WHERE block = (SELECT min(block) FROM block)")
        (problem,) = verify(copy, 0, 0)["problems"]
        assert problem["what"] == "ledger.sqlite, ms2"
        (copy / "ledger.sqlite").unlink()
        assert verify(copy, 4, 0)["problems"] == [{"what": "ledger.sqlite", "problem": "is missing"}]
        assert not (copy / "ledger.sqlite").exists()

    def test_labels_changed_together_with_their_checksum_are_found_by_the_replay(self, copy: Path) -> None:
        labels, item = copy / "items/ms2/labels.tif", copy / "items/ms2/item.json"
        with rasterio.open(labels, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
            dataset.write(np.ones(dataset.shape, np.uint8), 1)
        from aisf_geo.store.files import sha256_file

        content = json.loads(item.read_text())
        content["assets"]["labels"]["file:checksum"] = "1220" + sha256_file(labels).removeprefix("sha256:")
        item.write_text(json.dumps(content))
        problems = verify(copy, sample=9, seed=0)["problems"]
        assert problems
        assert all("labels come out differently" in p["problem"] for p in problems)


class TestStatus:
    def test_a_finished_run(self, made: Path) -> None:
        told = status(made)
        assert told["state"] == "complete"
        assert told["blocks"] == told["blocks_ended"] > 1
        assert told["last_session"]["blocks_computed"] == told["blocks"]
        assert told["last_session"]["rss_peak_bytes"] > 1e7
        assert told["next"] is None

    def test_a_run_whose_process_is_gone_is_called_killed(self, copy: Path) -> None:
        said = json.loads((copy / "run.json").read_text())
        (copy / "run.json").write_text(json.dumps(said | {"state": "running", "end": None}))
        assert status(copy)["state"] == "killed"
        assert "--resume" in status(copy)["next"]
        with only_writer(copy):
            assert status(copy)["state"] == "running"

    def test_the_log_holds_one_object_a_line(self, made: Path) -> None:
        lines = [json.loads(line) for line in (made / "log.jsonl").read_text().splitlines()]
        assert [line["event"] for line in lines] == ["session began", "item ended", "item published", "session ended"]
        assert all(datetime.fromisoformat(line["time"]).tzinfo for line in lines)


class TestAudit:
    def test_it_names_sources_licences_versions_and_statements(self, made: Path) -> None:
        account = audit(made)
        (source,) = account["sources"]
        assert source["licence"] == "CC-BY-SA-4.0"
        assert source["allowed_use"] == ["research", "publication", "commercial"]
        assert "same licence" in source["asks"]
        assert {"aisf-geo", "rasterio", "numpy"} <= set(account["versions"])
        assert account["statements"]
        assert [s["file"] for s in account["statements"] if not (s["made_by_ai"] and s["attribution"])] == []

    def test_it_prints_no_secret(self, copy: Path) -> None:
        said = json.loads((copy / "run.json").read_text())
        said["warnings"] = [
            "https://joe:hunter22@x.org/a?sig=abcdef123456&X-Amz-Signature=0123456789 AKIAABCDEFGHIJKLMNOP"
        ]
        (copy / "run.json").write_text(json.dumps(said))
        text = json.dumps(audit(copy))
        assert not [s for s in ("hunter22", "abcdef123456", "0123456789", "AKIAABCDEFGHIJKLMNOP") if s in text]


@pytest.mark.parametrize(
    ("text", "clean_text"),
    [
        ("s3://key:secret@host/x", "s3://***@host/x"),
        ("https://h/a?sig=abcdefghij&x=1", "https://h/a?sig=***&x=1"),
        ('{"api_key": "abcdefgh"}', '{"api_key": "***"}'),
        ("a signature was missing", "a signature was missing"),
        ("2016-06-16T10:00:00Z", "2016-06-16T10:00:00Z"),
    ],
)
def test_secrets_are_taken_out_and_nothing_else(text: str, clean_text: str) -> None:
    assert without_secrets(text) == clean_text


def test_a_run_made_before_a_recipe_key_was_known_is_not_said_to_have_other_scenes(copy: Path) -> None:
    said = json.loads((copy / "run.json").read_text())
    del said["recipe"]["roads"]
    (copy / "run.json").write_text(json.dumps(said | {"plan_digest": "sha256:0"}))
    with pytest.raises(DataError, match="recipe keys that it was made without"):
        plan_of(RunFolder(copy))


def test_clean_takes_only_complete_runs_that_are_old(made: Path, tmp_path: Path) -> None:
    for name in ("old", "held", "unfinished"):
        shutil.copytree(made, tmp_path / name)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text('{"program": "aisf-geo"}')
    path = tmp_path / "unfinished" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"state": "interrupted"}))
    later = datetime.now(UTC) + timedelta(days=31)
    with only_writer(tmp_path / "held"):
        assert clean(tmp_path, 60, really=True, now=later) == []
        assert [r.path.name for r in clean(tmp_path, 30, really=False, now=later)] == ["old"]
        assert (tmp_path / "old").exists()
        assert [r.path.name for r in clean(tmp_path, 30, really=True, now=later)] == ["old"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["damaged", "held", "mine", "unfinished"]


@pytest.mark.parametrize(("version", "said"), [(0, "older"), (99, "newer")])
def test_a_ledger_of_another_version_says_what_to_do(tmp_path: Path, version: int, said: str) -> None:
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as ledger:
        ledger.execute("CREATE TABLE block (item TEXT, block TEXT)")
        ledger.execute(f"PRAGMA user_version = {version}")
    ledger.close()
    with pytest.raises(OutputError, match=f"{said}.*--overwrite"), open_ledger(path):
        pass
