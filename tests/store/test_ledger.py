from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from aisf_geo.errors import AisfGeoError, OutputError
from aisf_geo.store.ledger import LEDGER_VERSION, BlockRecord, open_ledger

DONE = BlockRecord("ms2", "r0000c0000", "done", None, "sha256:1", 0.25, 100, 60, 5)
FAILED = BlockRecord("ms2", "r0000c0001", "failed", "pixels cannot be decoded", None, 0.0, 100, 0, 0)
OTHER = BlockRecord("ms1", "r0000c0000", "cloudy", "cloud hides it", "sha256:2", 1.5, 100, 0, 100)


def test_records_are_read_as_they_were_written_by_item_and_block(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        for record in (FAILED, DONE, OTHER):
            ledger.record(record)
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.blocks() == [OTHER, DONE, FAILED]
        assert ledger.blocks("ms2") == [DONE, FAILED]
        assert ledger.blocks("gone") == []


def test_a_block_ends_once_and_a_later_end_replaces_an_earlier(tmp_path: Path) -> None:
    mended = replace(FAILED, state="done", reason=None, digest="sha256:3")
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.record(FAILED)
        ledger.record(mended)
        assert ledger.blocks() == [mended]


def test_facts_belong_to_an_item_and_may_change(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.set_fact("ms2", "threshold", "0.3")
        ledger.set_fact("ms2", "threshold", "0.28")
        assert ledger.fact("ms2", "threshold") == "0.28"
        assert ledger.fact("ms1", "threshold") is None
        assert ledger.fact("ms2", "maps") is None


def test_what_was_recorded_survives_a_process_that_never_closed_the_ledger(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.sqlite") as first:
        first.record(DONE)
        with open_ledger(tmp_path / "ledger.sqlite") as second:
            assert second.blocks() == [DONE]


def test_a_ledger_says_its_version(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.sqlite"):
        pass
    connection = sqlite3.connect(tmp_path / "ledger.sqlite")
    assert connection.execute("PRAGMA user_version").fetchone() == (LEDGER_VERSION,)
    connection.close()


@pytest.mark.parametrize("version", [LEDGER_VERSION + 1, 99])
def test_a_ledger_of_another_version_is_refused_and_left_alone(tmp_path: Path, version: int) -> None:
    path = tmp_path / "ledger.sqlite"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    before = path.read_bytes()
    with (
        pytest.raises(OutputError, match=f"version {version}, this program reads version {LEDGER_VERSION}"),
        open_ledger(path),
    ):
        pass
    assert path.read_bytes() == before


def test_a_file_that_is_no_ledger_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("this was overwritten by something else, and is long enough to be looked at as a header" * 20)
    with pytest.raises(AisfGeoError, match=r"ledger\.sqlite"), open_ledger(path):
        pass
