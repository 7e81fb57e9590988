from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.training.ceilings import check_latency, resident_mb, together, within_ceilings
from premodel.training.objective import Objective
from premodel.training.options import TrainOptions
from premodel.training.policies.registry import TRAINERS
from premodel.training.train import train
from telling import noisy_tables

TABLES = dataclasses.replace(
    noisy_tables(200, 4),
    networks=("a", "b", "b", "c"),
    memory_mb=np.asarray([10.0, 20.0, 25.0, 40.0]),
    energy_mj=np.asarray([1.0, 2.0, 4.0, 8.0]),
)


def objective(**ceilings: float) -> Objective:
    return Objective(**ceilings)  # type: ignore[arg-type]


def test_candidates_over_a_ceiling_are_left_out() -> None:
    assert within_ceilings(TABLES, objective()).candidates == ("c0", "c1", "c2", "c3")
    assert within_ceilings(TABLES, objective(max_memory_mb=25.0)).candidates == ("c0", "c1", "c2")
    assert within_ceilings(TABLES, objective(max_memory_mb=25.0, max_energy_mj=2.0)).candidates == ("c0", "c1")


def test_candidates_of_one_network_share_its_memory() -> None:
    accepts = together(TABLES, objective(max_memory_mb=35.0))
    assert accepts is not None
    assert accepts((0, 1, 2)), "10 and 25 once"
    assert not accepts((0, 3))
    energy = together(TABLES, objective(max_energy_mj=7.0))
    assert energy is not None
    assert energy((0, 1, 2))
    assert not energy((0, 3))
    assert together(TABLES, objective()) is None


def test_a_cascade_keeps_them() -> None:
    wide = train(TABLES, TrainOptions("cascade-routing")).policy
    for ceiling in (35.0, 50.0):
        narrow = train(TABLES, TrainOptions("cascade-routing", objective=objective(max_memory_mb=ceiling))).policy
        accepts = together(TABLES, objective(max_memory_mb=ceiling))
        assert accepts is not None
        assert accepts([TABLES.candidates.index(name) for name in narrow.candidates])
    assert len(wide.candidates) >= 2


@pytest.mark.parametrize("policy", ["single", "auto"])
def test_stand_ins_keep_them_too(policy: str) -> None:
    for ceilings in ({"max_memory_mb": 45.0}, {"max_energy_mj": 9.5}):
        served = train(TABLES, TrainOptions(policy, objective=objective(**ceilings))).policy.candidates
        accepts = together(TABLES, objective(**ceilings))
        assert accepts is not None
        assert accepts([TABLES.candidates.index(name) for name in served]), served
    assert len(train(TABLES, TrainOptions("single")).policy.candidates) == 4


@pytest.mark.parametrize(
    ("ceilings", "message"),
    [
        ({"max_memory_mb": 5.0}, "no candidate keeps max-memory-mb; given: 5 MB; allowed: 10.000 MB or more.*c0"),
        ({"max_energy_mj": 0.5}, "no candidate keeps max-energy-mj"),
        ({"max_energy_mj": -1.0}, "wrong max-energy-mj"),
        ({"max_memory_mb": float("nan")}, "wrong max-memory-mb"),
    ],
)
def test_ceilings_that_cannot_be_met(ceilings: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        train(TABLES, TrainOptions("single", objective=objective(**ceilings)))


@pytest.mark.parametrize("policy", TRAINERS)
def test_a_latency_below_the_cheapest_candidate_names_it(policy: str) -> None:
    least_ms = float(TABLES.end_to_end_ms().min())
    states = rf"no candidate keeps max-latency-ms; given: .* allowed: {least_ms:.3f} ms.*c0"
    with pytest.raises(OptionError, match=states):
        train(TABLES, TrainOptions(policy, objective=Objective(max_latency_ms=0.99 * least_ms)))


def test_what_was_not_measured_is_said() -> None:
    tables = dataclasses.replace(TABLES, energy_mj=np.asarray([1.0, np.nan, 2.0, 3.0]))
    with pytest.raises(OptionError, match="max-energy-mj asks for what was not measured; given: no energy of c1"):
        train(tables, TrainOptions("cascade", objective=objective(max_energy_mj=5.0)))


def test_select_says_what_it_would_need() -> None:
    with pytest.raises(OptionError, match=r"policy select does not keep max-memory-mb; given: 75.0 MB for c0, c1, c2"):
        train(TABLES, TrainOptions("select", objective=objective(max_memory_mb=40.0)))


def test_they_are_recorded_only_where_given() -> None:
    assert set(objective().to_json()) == {"min_accuracy", "max_latency_ms", "cost_weight"}
    assert objective(max_memory_mb=3.0).to_json()["max_memory_mb"] == 3.0
    assert objective(max_memory_mb=3.0).describe() == "accuracy at least best, memory at most 3 MB"


@pytest.mark.parametrize("cheapest_ms", [5.0044, 5.0045, 5.0, 0.00012])
def test_the_latency_that_is_named_as_allowed_is_allowed(cheapest_ms: float) -> None:
    tables = dataclasses.replace(TABLES, latency_ms=np.asarray([cheapest_ms, 6.0, 7.0, 8.0]), decode_ms=0.0)
    with pytest.raises(OptionError) as refused:
        check_latency(tables, objective(max_latency_ms=cheapest_ms * 0.99999))
    given, allowed = (re.search(rf"{what}: ([\d.e-]+) ms", str(refused.value)) for what in ("given", "allowed"))
    assert given is not None
    assert allowed is not None
    assert given[1] != allowed[1]
    check_latency(tables, objective(max_latency_ms=float(allowed[1])))


@pytest.mark.parametrize("missing", [[0], [1], [0, 1, 2]])
def test_memory_that_was_not_measured_is_not_counted_as_none(missing: list[int]) -> None:
    tables = noisy_tables(10, 3)
    memory_mb = np.array([1.0, 2.0, 4.0])
    assert resident_mb(dataclasses.replace(tables, memory_mb=memory_mb), tables.candidates) == 7.0
    memory_mb[missing] = np.nan
    assert np.isnan(resident_mb(dataclasses.replace(tables, memory_mb=memory_mb), tables.candidates))
