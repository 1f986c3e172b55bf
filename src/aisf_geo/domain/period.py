"""Half-open UTC intervals of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aisf_geo.errors import UsageError


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """``start <= t < end``, both with a time zone, in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise UsageError("period: start and end need a time zone; write 2020-01-01T00:00:00Z")
        if self.end <= self.start:
            raise UsageError(
                f"period: the end {self.end.isoformat()} must lie after the start {self.start.isoformat()}"
            )

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    @classmethod
    def instant(cls, moment: datetime) -> Period:
        """The shortest period that holds one acquisition: a microsecond, the resolution of ``datetime``."""
        if moment.tzinfo is None:
            raise UsageError(f"period: {moment.isoformat()} needs a time zone; write {moment.isoformat()}Z")
        moment = moment.astimezone(UTC)
        return cls(moment, moment + timedelta(microseconds=1))

    @classmethod
    def year(cls, year: int) -> Period:
        """A calendar year."""
        return cls(datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))

    @property
    def is_one_day(self) -> bool:
        """True where the period is a moment or lies within a day, so that one date names it."""
        return self.end - self.start <= timedelta(days=1)

    def as_json(self) -> dict[str, str]:
        """``{"start", "end"}`` as RFC 3339 text."""
        return {"start": rfc3339(self.start), "end": rfc3339(self.end)}


def rfc3339(moment: datetime) -> str:
    """A UTC moment as RFC 3339 text with a ``Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
