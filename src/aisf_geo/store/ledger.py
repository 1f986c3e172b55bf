"""What is done, block by block: the reason a killed run resumes and a hole is never silent."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal

from aisf_geo.errors import OutputError

#: Version of the tables below, kept in the file itself.
LEDGER_VERSION = 1

#: What sqlite3 raises for a file that is damaged; its own words can hold bytes of the file that are no text.
_DAMAGED = (sqlite3.DatabaseError, UnicodeDecodeError)

State = Literal["done", "nodata", "cloudy", "failed"]

_TABLES = """
CREATE TABLE IF NOT EXISTS block (
  item TEXT NOT NULL, block TEXT NOT NULL, state TEXT NOT NULL, reason TEXT, digest TEXT, seconds REAL NOT NULL,
  pixels INTEGER NOT NULL, valid_px INTEGER NOT NULL, obscured_px INTEGER NOT NULL,
  PRIMARY KEY (item, block)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact (item TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (item, name)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """How one block ended.

    Attributes:
        digest: of its labels and confidence, None unless they were written.
        pixels: pixels asked for; ``valid_px`` of them were decided, ``obscured_px`` hidden by cloud or shadow.
    """

    item: str
    block: str
    state: State
    reason: str | None
    digest: str | None
    seconds: float
    pixels: int
    valid_px: int
    obscured_px: int


class Ledger:
    """The sqlite file of one run; one process writes, any number may read."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path)
        try:
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            began = version == 0 and bool(self._connection.execute("SELECT 1 FROM sqlite_master").fetchone())
            if version in (0, LEDGER_VERSION) and not began:
                # Tables and version appear together or not at all.
                self._connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {LEDGER_VERSION}; COMMIT;")
        except _DAMAGED as error:
            self._connection.close()
            raise OutputError(f"{path}: not a ledger ({error}); start anew with --overwrite") from error
        if began or version not in (0, LEDGER_VERSION):
            self._connection.close()
            age = "an older" if version < LEDGER_VERSION else "a newer"
            raise OutputError(
                f"{path}: written by {age} ledger of version {version}, this program reads version {LEDGER_VERSION}; "
                "go on with the program version in run.json, or start anew with --overwrite"
            )

    def record(self, block: BlockRecord) -> None:
        """Remember how a block ended, replacing an earlier end of the same block."""
        with self._connection:
            self._connection.execute("INSERT OR REPLACE INTO block VALUES (?,?,?,?,?,?,?,?,?)", astuple(block))

    def blocks(self, item: str | None = None) -> list[BlockRecord]:
        """The recorded blocks of one item, or of all, by item and block id."""
        where, values = ("WHERE item = ?", (item,)) if item else ("", ())
        try:
            rows = self._connection.execute(f"SELECT * FROM block {where} ORDER BY item, block", values)  # noqa: S608
            return [BlockRecord(*row) for row in rows]
        except (*_DAMAGED, TypeError) as error:
            raise OutputError(f"the ledger is damaged ({error}); start anew with --overwrite") from error

    def forget(self, item: str) -> None:
        """Drop the blocks of an item, as if none had been computed."""
        with self._connection:
            self._connection.execute("DELETE FROM block WHERE item = ?", (item,))

    def set_fact(self, item: str, name: str, value: str) -> None:
        """Remember something measured once for an item, such as its threshold, as JSON text."""
        with self._connection:
            self._connection.execute("INSERT OR REPLACE INTO fact VALUES (?,?,?)", (item, name, value))

    def fact(self, item: str, name: str) -> str | None:
        """A remembered fact, or None."""
        question = "SELECT value FROM fact WHERE item = ? AND name = ?"
        try:
            row = self._connection.execute(question, (item, name)).fetchone()
        except _DAMAGED as error:
            raise OutputError(f"the ledger is damaged ({error}); start anew with --overwrite") from error
        return row[0] if row else None

    def close(self) -> None:
        """Release the file."""
        self._connection.close()


@contextmanager
def open_ledger(path: Path) -> Iterator[Ledger]:
    """The ledger at ``path``, made if it is not there, closed afterwards."""
    ledger = Ledger(path)
    try:
        yield ledger
    finally:
        ledger.close()
