"""The agent's wire contract: what one side writes the other reads, and nothing else passes."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from premodel.errors import ModelError, RunError
from premodel.protocol.agent import (
    AGENT,
    AGENT_VERSION,
    AgentTable,
    Quantisation,
    read_agent,
    read_times,
    stage_ms,
    write_times,
)

TABLE = AgentTable(
    "pi-4",
    {"cores": 4, "governor": None, "versions": {"numpy": "2"}, "quota": 1.5},
    "3",
    "1",
    "image",
    "ab" * 32,
    {"name": "m", "file": "/x", "threads": 1},
    Quantisation(0.5, -3),
    Quantisation(),
)


def test_what_is_written_is_read() -> None:
    travelled = json.loads(json.dumps({AGENT: TABLE.to_json(), "name": "m"}))
    found = read_agent(travelled, "http://x")
    assert found is not None
    assert found.candidate == {"threads": 1}, "no name and no path travels"
    assert (found.device, found.conditions, found.preprocessing, found.extractor) == (
        "pi-4",
        TABLE.conditions,
        "3",
        "1",
    )
    assert (found.sha256, found.image_input) == ("ab" * 32, "image")
    assert (found.input, found.output) == (Quantisation(0.5, -3), Quantisation())
    assert read_agent({"name": "m"}, "http://x") is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("agent", 99, "another version; given: 99; allowed: 1"),
        ("agent", True, "another version; given: True"),
        ("agent", "1", "another version"),
        ("device", "\ud800", "wrong device"),
        ("device", "", "wrong device"),
        ("device", "x" * 129, "wrong device"),
        ("device", "a\nb", "wrong device"),
        ("device", ["pi"], "wrong device"),
        ("conditions", "none", "wrong conditions"),
        ("conditions", {"cores": 10**400}, "wrong conditions"),
        ("conditions", {"cpu": "\udfff"}, "wrong conditions"),
        ("image_input", 3, "wrong image_input"),
        ("sha256", 3, "wrong sha256"),
        ("candidate", [], "wrong candidate"),
        ("input", "int8", "wrong input"),
        ("input", {"scale": "big"}, "wrong input.scale"),
        ("input", {"scale": math.nan}, "wrong input.scale"),
        ("input", {"scale": -1}, "wrong input.scale"),
        ("output", {"zero_point": math.inf}, "wrong output.zero_point"),
        ("output", {"zero_point": 0.5}, "wrong output.zero_point"),
        ("output", {"zero_point": 10**400}, "wrong output.zero_point"),
        ("output", {"zero_point": None}, "wrong output.zero_point"),
    ],
)
def test_what_no_agent_says_is_one_line(name: str, value: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        read_agent({AGENT: {**TABLE.to_json(), name: value}}, "http://x")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_table_that_is_none_is_another_version() -> None:
    with pytest.raises(ModelError, match=f"allowed: {AGENT_VERSION}"):
        read_agent({AGENT: [1]}, "http://x")


def test_times_go_and_come() -> None:
    assert read_times(write_times({"decode": 1.5, "inference": 2.0})) == {"decode": 1.5, "inference": 2.0}


@pytest.mark.parametrize("value", ["1", None, True, -1, 10**400, 1e300, math.nan, math.inf, [1]])
def test_what_is_no_duration_is_left_out_and_asked_for_in_one_line(value: Any) -> None:
    times_ms = read_times({"inference_ms": value, "decode_ms": 1})
    assert times_ms == {"decode": 1.0}
    with pytest.raises(RunError, match="states no time of inference; given: 'decode'"):
        stage_ms(times_ms, "inference")


@pytest.mark.parametrize("parameters", [None, [], "x", 3])
def test_parameters_that_are_no_table_state_nothing(parameters: Any) -> None:
    assert read_times(parameters) == {}
