"""Every error a user can cause or meet, as one tree.

::

    AisfGeoError                      exit code 1
    ├── DataError                     1   a source cannot be read or used
    │   ├── UnreadableError           1   the bytes are not what they claim to be
    │   ├── NoDataError               1   nothing observed where something was asked for
    │   ├── RefusedError              1   it would reach what it may not reach, or is too large
    │   └── IncompleteError           1   some blocks or scenes failed; what is done is kept
    └── UsageError                    2   the request does not fit the program or the data
        ├── RecipeError               2   unknown key, wrong value, missing file in a recipe
        ├── LicenceError              2   a purpose the licence of a source does not allow
        ├── BandError                 2   a method needs bands the tile does not have
        ├── GridError                 2   grids, zones or CRSs that do not fit each other
        ├── LegendError               2   classes that cannot be compared
        └── OutputError               2   the output folder is in the way

A message says what was asked for, what was found and what to do, in that order.
"""

from __future__ import annotations

from typing import ClassVar


class AisfGeoError(Exception):
    """Base of every expected failure; the command line prints it without a traceback."""

    exit_code: ClassVar[int] = 1


class DataError(AisfGeoError):
    """A source cannot be read or used."""


class UnreadableError(DataError):
    """The bytes of a file are not what they claim to be, or break off."""


class NoDataError(DataError):
    """Nothing was observed where something was asked for."""


class RefusedError(DataError):
    """A file, catalogue or answer leads to where it may not lead, or is larger than anything honest."""


class IncompleteError(DataError):
    """Some blocks or scenes failed; everything that is done is kept and marked."""


class UsageError(AisfGeoError):
    """The request does not fit the program or the data it names."""

    exit_code: ClassVar[int] = 2


class RecipeError(UsageError):
    """A recipe has an unknown key, a wrong value, or names a file that is not there."""


class LicenceError(UsageError):
    """The licence of a source does not allow the recipe's purpose."""


class BandError(UsageError):
    """A method or model needs bands that the tile does not have."""


class GridError(UsageError):
    """Grids, zones or coordinate systems that do not fit each other."""


class LegendError(UsageError):
    """Class codes or legends that cannot be compared."""


class OutputError(UsageError):
    """The output folder exists, is a file, or belongs to another recipe."""
