from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisf_geo.domain.period import Period, rfc3339
from aisf_geo.errors import UsageError

MIDNIGHT = datetime(2020, 1, 1, tzinfo=UTC)
moments = st.datetimes(datetime(1972, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


def test_a_period_holds_its_start_and_not_its_end() -> None:
    year = Period.year(2020)
    assert MIDNIGHT in year
    assert datetime(2020, 12, 31, 23, 59, 59, 999_999, UTC) in year
    assert datetime(2021, 1, 1, tzinfo=UTC) not in year
    assert MIDNIGHT - timedelta(microseconds=1) not in year


@given(moment=moments)
def test_every_moment_lies_in_exactly_one_calendar_year(moment: datetime) -> None:
    assert [y for y in range(1971, 2102) if moment in Period.year(y)] == [moment.year]


@given(moment=moments)
def test_an_instant_holds_its_moment_and_no_other(moment: datetime) -> None:
    instant = Period.instant(moment)
    assert moment in instant
    assert moment + timedelta(microseconds=1) not in instant
    assert instant.is_one_day


def test_an_instant_is_the_same_whatever_time_zone_it_was_written_in() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    assert Period.instant(datetime(2020, 1, 1, 5, 30, tzinfo=zone)) == Period.instant(MIDNIGHT)


def test_an_instant_without_a_time_zone_is_refused_rather_than_read_in_the_machines_own() -> None:
    with pytest.raises(UsageError, match="time zone"):
        Period.instant(datetime(2020, 1, 1))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime(2020, 1, 1), MIDNIGHT),
        (MIDNIGHT, datetime(2021, 1, 1)),
    ],
)
def test_a_period_without_time_zones_is_refused(start: datetime, end: datetime) -> None:
    with pytest.raises(UsageError, match="time zone"):
        Period(start, end)


@pytest.mark.parametrize("end", [MIDNIGHT, MIDNIGHT - timedelta(days=1)])
def test_a_period_that_ends_before_it_began_is_refused(end: datetime) -> None:
    with pytest.raises(UsageError, match="must lie after the start"):
        Period(MIDNIGHT, end)


@pytest.mark.parametrize(("hours", "one_day"), [(1, True), (23.9, True), (24, True), (25, False), (24 * 365, False)])
def test_a_period_of_at_most_a_day_can_be_named_by_one_date(hours: float, one_day: bool) -> None:
    assert Period(MIDNIGHT, MIDNIGHT + timedelta(hours=hours)).is_one_day is one_day


def test_json_is_rfc_3339_in_utc() -> None:
    zone = timezone(timedelta(hours=-8))
    period = Period(datetime(2019, 12, 31, 16, tzinfo=zone), datetime(2020, 1, 1, 0, 0, 0, 500_000, UTC))
    assert period.as_json() == {"start": "2020-01-01T00:00:00Z", "end": "2020-01-01T00:00:00.500000Z"}


@given(moment=moments)
def test_rfc_3339_text_reads_back_as_the_moment(moment: datetime) -> None:
    assert datetime.fromisoformat(rfc3339(moment)) == moment
