"""The one loop that serves an input by a policy: run this candidate, or stop with this answer.

The device (engine) and the tables (evaluation, packaging) use the same, so what is evaluated is what is deployed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from premodel.clock import now_s
from premodel.errors import RunError
from premodel.records import Prediction
from premodel.runtime.policies.base import TRAINED, AnswersSoFar, CallOptions, Policy, Run, Stop

NOT_YET = Stop(None, None, reason="not served yet")


@dataclass(slots=True, eq=False, init=False)
class Trace:
    """How one input is served: the loop itself, a step at a time.

    Whoever drives it decides when and where a candidate runs, at once (`serve`) or together with other inputs that wait
    for the same candidate (`Premodel.predict_batch`): it asks `next`, and writes what the candidate said to
    `so_far.predictions`, or why it failed by `fail`, until there is nothing more to run.

    Attributes
    ----------
    policy, so_far, options:
        Who decides, what is known, and what the call asks.
    steps:
        Every step so far, in order.
    failed:
        Candidates that failed, with the reason.
    select_ms:
        Time spent deciding, over all steps.
    stop:
        The last step, once there is nothing more to run.
    """

    policy: Policy
    so_far: AnswersSoFar
    options: CallOptions
    steps: list[Run | Stop]
    failed: dict[int, str]
    select_ms: float
    stop: Stop

    def __init__(self, policy: Policy, so_far: AnswersSoFar, options: CallOptions = TRAINED) -> None:
        self.policy = policy
        self.so_far = so_far
        self.options = options
        self.steps = []
        self.failed = {}
        self.select_ms = 0.0
        self.stop = NOT_YET

    def next(self) -> int | None:
        """The candidate to run next; None once the input is served.

        Raises
        ------
        RunError
            Every candidate the policy could run has failed, or the policy asks for one that it does not have or that
            was run before: a policy can never keep an input for ever.
        OptionError
            The call's budget cannot be met.
        """
        policy, so_far = self.policy, self.so_far
        start_s = now_s()
        step = policy.next(so_far, self.options)
        self.select_ms += 1e3 * (now_s() - start_s)
        self.steps.append(step)
        if isinstance(step, Stop):
            if step.prediction is None and self.failed and not so_far.predictions:
                reasons = "; ".join(f"{policy.candidates[index]}: {reason}" for index, reason in self.failed.items())
                raise RunError(f"no candidate could answer ({reasons})")
            self.stop = step
            return None
        index = step.candidate
        if not 0 <= index < len(policy.candidates) or index in so_far.predictions or index in so_far.failed:
            raise RunError(
                f"policy {policy.kind} asks for a candidate that it may not run",
                given=index,
                allowed="one of its candidates that has not run yet",
            )
        return index

    def fail(self, candidate: int, error: RunError) -> None:
        """Note that a candidate failed: it is never run again for this input."""
        self.so_far.failed.add(candidate)
        self.failed[candidate] = str(error)

    @property
    def ran(self) -> tuple[int, ...]:
        """Candidates that gave a prediction, in order."""
        return tuple(self.so_far.predictions)


def serve(
    policy: Policy,
    run: Callable[[int], Prediction],
    so_far: AnswersSoFar,
    options: CallOptions = TRAINED,
) -> Trace:
    """Serve one input by a policy, running each candidate at once.

    Parameters
    ----------
    policy:
        Decides each step.
    run:
        Runs the candidate of that index and gives its prediction; raises RunError if the candidate fails.
    so_far:
        What is known before the first step: the features, if the policy asks for any. Written to.

    Raises
    ------
    RunError
        Every candidate the policy could run has failed.
    OptionError
        The call's budget cannot be met.
    """
    trace = Trace(policy, so_far, options)
    while (candidate := trace.next()) is not None:
        try:
            so_far.predictions[candidate] = run(candidate)
        except RunError as error:
            trace.fail(candidate, error)
    return trace
