"""Policy `cascade-routing`: after each run, stop or run any candidate that has not run yet."""

from __future__ import annotations

from premodel.runtime.policies.stopping import StoppingPolicy


class CascadeRouting(StoppingPolicy):
    """After each run, stop or run any next candidate, by marginal expected gain against cost.

    Source: Dekoninck, Baader and Vechev, "A unified approach to routing and cascading for LLMs", 2024, section 3.

    Notes
    -----
    There the value of a longer cascade is estimated from quality estimates of all models before any of them ran, and
    every continuation is enumerated. Here continuation values are regressed on how sure the fused answer is, set by
    set, backwards from all candidates run.
    """

    kind = "cascade-routing"
