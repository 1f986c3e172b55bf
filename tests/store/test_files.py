from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from aisf_geo.store.files import appearing, sha256_file, write_text
from aisf_geo.store.run import write_json


def test_a_file_appears_when_the_body_ends_well_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "a.tif"
    with appearing(path) as partial:
        partial.write_text("new")
        assert not path.exists()
        assert partial.parent == path.parent
        assert partial.suffix == ".tif"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("old", [None, "old"])
def test_a_body_that_raises_leaves_what_was_there(tmp_path: Path, old: str | None) -> None:
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_text(old)

    def fill() -> None:
        with appearing(path) as partial:
            partial.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill()
    assert [p.read_text() for p in tmp_path.iterdir()] == ([old] if old is not None else [])


def test_a_body_that_writes_nothing_is_an_error_and_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), appearing(path):
        pass
    assert path.read_text() == "old"


def test_partial_files_are_hidden_and_tell_the_process_that_left_them(tmp_path: Path) -> None:
    with appearing(tmp_path / "labels.tif") as partial:
        assert partial.name.startswith(".labels.")
        assert partial.name.endswith(".partial.tif")
        partial.touch()


def test_text_is_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "Grüße aus Rotterdam\n")
    assert (tmp_path / "a.txt").read_bytes() == "Grüße aus Rotterdam\n".encode()


def test_json_reads_back_and_is_for_people_too(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "ü": [None, 0.1]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"b": 1, "ü": [None, 0.1]}
    assert "ü" in text
    assert text.endswith("}\n")


def test_json_never_holds_nan_and_an_old_file_survives_the_attempt(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"value": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"value": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"value": 1}


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_the_digest_of_a_file_is_that_of_its_bytes_whatever_its_size(tmp_path: Path, size: int) -> None:
    content = bytes(i % 251 for i in range(1000)) * (size // 1000 + 1)
    (tmp_path / "a").write_bytes(content[:size])
    assert sha256_file(tmp_path / "a") == "sha256:" + hashlib.sha256(content[:size]).hexdigest()
