"""Training of policy `single`: which one candidate answers everything."""

from __future__ import annotations

import numpy as np

from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.training.ceilings import together
from premodel.training.options import Trained, TrainOptions
from premodel.training.tables import Tables


def train(tables: Tables, options: TrainOptions) -> Trained:
    """Choose the single candidate that meets the objective; the others stand in for it by falling accuracy.

    Floor: the cheapest candidate at or above it. Ceiling: the most accurate one at or below it. Cost weight: the
    highest accuracy - weight * latency. Without any: the most accurate, and of those the cheapest. Under a ceiling of
    memory or energy only those stand in that keep it together with it.

    Raises
    ------
    OptionError
        No candidate meets the objective, or an option is given that has no meaning for one candidate.
    """
    nothing = "one candidate needs no selector"
    options.refuse(technique=nothing, labels=nothing, fallback=nothing)
    accuracy = tables.score(options.criterion).mean(axis=0)
    end_to_end_ms = tables.end_to_end_ms()
    chosen = options.objective.single(tables.candidates, accuracy, end_to_end_ms)
    by_accuracy = np.lexsort((tables.latency_ms, -accuracy)).tolist()
    order, accepts = [chosen], together(tables, options.objective)
    for candidate in by_accuracy:
        if candidate != chosen and (accepts is None or accepts([*order, candidate])):
            order.append(candidate)
    policy = Single(
        [tables.candidates[candidate] for candidate in order],
        accuracy[order].tolist(),
        Costs(tuple(tables.latency_ms[order].tolist()), tables.decode_ms),
    )
    name = tables.candidates[chosen]
    others = "; the others stand in for it if it fails" if len(order) > 1 else ""
    account = (
        f"objective: {options.objective.describe()}",
        f"{name}: accuracy {100 * accuracy[chosen]:.2f} % ({options.criterion}) at {end_to_end_ms[chosen]:.3f} ms "
        f"on {len(tables)} samples",
        f"decides: nothing; {name} answers every input{others}",
    )
    evidence = {"chosen": name, "accuracy": float(accuracy[chosen]), "latency_ms": float(end_to_end_ms[chosen])}
    return Trained(policy, account, evidence)
