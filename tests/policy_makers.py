"""One policy of each kind over the candidates of a profile, for the contract suite. A new kind adds its maker here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from premodel.runtime.policies.base import Policy
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.select import Rule, Select
from premodel.runtime.policies.single import Single
from premodel.training.labels import make_labels
from premodel.training.objective import Floor, Objective
from premodel.training.options import TrainOptions
from premodel.training.selectors.registry import technique_fit
from premodel.training.tables import Tables
from premodel.training.train import train


def costs_of(tables: Tables, names: tuple[str, ...], features: bool) -> Costs:
    latency_ms = [float(tables.latency_ms[tables.candidates.index(name)]) for name in names]
    features_ms = tables.feature_costs.of(tables.feature_names) if features else 0.0
    return Costs(tuple(latency_ms), tables.decode_ms, features_ms, 0.03 if features else 0.0)


def make_single(tables: Tables) -> Policy:
    accuracy = tables.correct("top1").mean(axis=0)
    return Single(tables.candidates, accuracy.tolist(), costs_of(tables, tables.candidates, features=False))


def make_select(
    tables: Tables, rule: Rule, technique: str, scheme: str, fallback: str | None, cost_weight: float = 0.0
) -> Policy:
    """The chain is all candidates but the last, which is the fallback if one is asked for."""
    chain = tables.candidates[:-1]
    latency_ms = tables.latency_ms[: len(chain)]
    labels = make_labels(scheme, tables.correct("top1")[:, : len(chain)], latency_ms)
    selector = technique_fit(technique)(tables.features, labels, tables.feature_names)
    names = chain if fallback is None or fallback in chain else (*chain, fallback)
    return Select(
        chain,
        selector,
        rule=rule,
        costs=costs_of(tables, names, features=True),
        fallback=fallback,
        cost_weight=cost_weight,
        meaning="optimum" if scheme == "optimum" else "right",
    )


def make_stopping(tables: Tables, policy: str, floor: str = "best") -> Policy:
    """A trained cascade."""
    return train(tables, TrainOptions(policy, objective=Objective(Floor.parse(floor)))).policy


def make_graded(tables: Tables, policy: str) -> Policy:
    """A trained cascade of the two cheapest, over answers that a criterion grades: 1 where the candidate was right."""
    tables = tables.take_candidates([0, 1])
    graded = replace(tables, graded={"grade": tables.correct("top1").astype(float)})
    return train(graded, TrainOptions(policy, criterion="grade", objective=Objective(Floor.parse("best")))).policy


MAKERS: dict[str, Callable[[Tables], Policy]] = {
    "single": make_single,
    "select, the paper's chain": lambda t: make_select(t, "first-yes", "knn", "optimum", t.candidates[-1]),
    "select, fallback in the chain": lambda t: make_select(t, "first-yes", "knn.svm", "right", t.candidates[0]),
    "select, abstaining": lambda t: make_select(t, "first-yes", "knn", "optimum", None),
    "select, highest score": lambda t: make_select(t, "highest-score", "naive_bayes", "right", t.candidates[-1]),
    "select, highest class": lambda t: make_select(t, "highest-class", "multi_class", "optimum", t.candidates[-1]),
    "select, utility": lambda t: make_select(t, "utility", "logistic", "right", t.candidates[-1], 0.02),
    "cascade": lambda t: make_stopping(t, "cascade"),
    "cascade, cheap": lambda t: make_stopping(t, "cascade", "best-20pt"),
    "cascade-routing": lambda t: make_stopping(t, "cascade-routing"),
    "cascade-routing, beyond the best": lambda t: make_stopping(t, "cascade-routing", "best+20pt"),
    "graded-cascade": lambda t: make_graded(t, "cascade"),
    "graded-cascade-routing": lambda t: make_graded(t, "cascade-routing"),
}
"""Name -> maker; the part before the comma is the kind."""
