"""Timestamps on the wire and off it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shotput_farm.protocol import timestamps


@given(st.integers(-(10**14), 8 * 10**15))
def test_microseconds_survive_the_round_trip(micros: int) -> None:
    seconds = round(micros / 1e6, 6)
    assert timestamps.parse(timestamps.render(seconds)) == seconds
    assert round(timestamps.parse(timestamps.render(seconds)) * 1e6) == micros


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-01-02T03:04:05Z", 1704164645.0),
        ("2024-01-02T03:04:05.678000Z", 1704164645.678),
        ("2024-01-02T03:04:05.678123999Z", 1704164645.678123),
        ("2024-01-02T05:04:05+02:00", 1704164645.0),
        ("2024-01-02T03:04:05", 1704164645.0),
        ("1704164645.5", 1704164645.5),
        (1704164645, 1704164645.0),
        (1704164645.1234567, 1704164645.123457),
    ],
)
def test_what_clients_send_is_understood(text: str | float, seconds: float) -> None:
    assert timestamps.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "yesterday", "nan", "inf", 1e15, -1e15, "2024-13-01T00:00:00Z"])
def test_what_is_no_time_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(repr(text))} is no time$"):
        timestamps.parse(text)


def test_whole_seconds_have_no_fraction() -> None:
    assert timestamps.render(1704164645.0) == "2024-01-02T03:04:05Z"
    assert timestamps.render(1704164645.678123) == "2024-01-02T03:04:05.678123Z"
    assert timestamps.render(-0.5) == "1969-12-31T23:59:59.500000Z"
