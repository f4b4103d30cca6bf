import time
from datetime import datetime, timedelta

import pytest

from maya_batch.errors import EXIT_STOPPED, StoppedError, UsageError
from maya_batch.run.deadline import Deadline, deadline_of


@pytest.mark.parametrize(
    ("until", "now", "then"),
    [
        ("07:00", datetime(2026, 11, 25, 22, 30), datetime(2026, 11, 26, 7, 0)),
        ("07:00", datetime(2026, 11, 25, 6, 59, 59), datetime(2026, 11, 25, 7, 0)),
        ("07:00", datetime(2026, 11, 25, 7, 0), datetime(2026, 11, 26, 7, 0)),
        ("7:05", datetime(2026, 12, 31, 8, 0), datetime(2027, 1, 1, 7, 5)),
        ("00:00", datetime(2026, 11, 25, 23, 59, 59), datetime(2026, 11, 26, 0, 0)),
    ],
)
def test_a_time_of_day_is_the_next_one(until: str, now: datetime, then: datetime) -> None:
    assert deadline_of(until, None, now) == Deadline(until=then.astimezone())


@pytest.mark.parametrize("until", ["", "7", "24:00", "07:60", "07:00:00", "7pm", "-1:00", " 07:00", "٠٧:٠٠"])
def test_what_is_no_time_of_day_is_a_mistake(until: str) -> None:
    with pytest.raises(UsageError, match="not a time of day; write it like 07:00"):
        deadline_of(until, None)


@pytest.mark.parametrize(("zone", "hours"), [("Europe/Berlin", 9.5), ("UTC", 8.5)])
def test_a_night_on_which_clocks_are_put_back_ends_at_the_hour_they_show(
    zone: str, hours: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        evening = datetime(2026, 10, 24, 22, 30)
        until = deadline_of("07:00", None, evening).until
        assert until is not None
        assert until - evening.astimezone() == timedelta(hours=hours)
        assert f"{until:%H:%M}" == "07:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_there_is_time_until_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    Deadline().check()
    wall, steady = 1_000_000.0, 50.0
    monkeypatch.setattr(time, "time", lambda: wall)
    monkeypatch.setattr(time, "monotonic", lambda: steady)
    both = Deadline(datetime.fromtimestamp(wall + 10).astimezone(), steady + 5)
    both.check()
    wall += 9.9
    both.check()
    steady += 5
    with pytest.raises(StoppedError, match="stopped after --max-minutes") as stopped:
        both.check()
    assert stopped.value.exit_code == EXIT_STOPPED
    wall += 0.1  # the wall clock was set, or the night is over
    with pytest.raises(StoppedError, match=r"stopped at \d\d:\d\d, as --until asks"):
        Deadline(both.until).check()


@pytest.mark.parametrize("minutes", [-1.0, -0.001, float("nan"), float("-inf")])
def test_what_is_no_number_of_minutes_is_a_mistake(minutes: float) -> None:
    with pytest.raises(UsageError, match="must be 0 or more"):
        deadline_of(None, minutes)


def test_fractions_of_minutes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    assert deadline_of(None, 0.5) == Deadline(after=130.0)
    assert deadline_of(None, None) == Deadline()
