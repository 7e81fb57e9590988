"""A deadline for every answer: what waiting left of it is the call's budget, and who waits behind has a price.

Budgets alone make a full server worse than it need be: each call spends all the time that is left to it, so that those
behind it wait until only the cheapest answer is in time, for easy and hard inputs alike. So time has a price, which
rises with the queue: the cost weight of a call is at least PRICE of an answer per deadline and waiting request. A dear
candidate is then run for those inputs that gain most by it.
"""

from __future__ import annotations

import threading
from collections import deque

import numpy as np

from premodel.errors import OptionError, PremodelError
from premodel.runtime.answer import Answer
from premodel.runtime.engine import Premodel

OUTCOMES = ("on time", "late", "refused")
RECENT = 64
"""Answers whose times are compared with the profile's."""
QUANTILE = 0.9
"""Of how much longer they took: so many in ten answers keep the budget they were given, one does not."""
MIN_ANSWERS = 8
"""Before so many the profile is taken at its word."""
PRICE = 0.3
"""Accuracy that it costs each waiting request to wait one deadline longer. By simulation on a profile of six networks,
deadlines of 2.7 to 21 mean latencies and loads of 1 to 2 times the capacity, 0.2 to 0.6 differ by a point or less."""


class WaitedTooLongError(PremodelError):
    """A request whose time ran out before its work started."""


class Deadline:
    """Budgets of calls under one deadline.

    Parameters
    ----------
    deadline_ms:
        From a request's arrival to its answer.

    Notes
    -----
    Budgets are kept by the latencies of the profile. Where answers take longer than there, because several are at work
    at once or the machine is another, a budget is shortened by the ratio that 9 of 10 of the last answers kept, and
    the price of time is raised by their median ratio.
    """

    def __init__(self, deadline_ms: float) -> None:
        self.deadline_ms = deadline_ms
        self._ratios: deque[float] = deque(maxlen=RECENT)
        self._lock = threading.Lock()

    def check(self, premodel: Premodel) -> None:
        """Raise OptionError if no candidate could answer in time by the profile, however short the queue."""
        least_ms = cheapest_ms(premodel)
        if self.deadline_ms < least_ms:
            raise OptionError(
                "no candidate can answer within deadline_ms", given=f"{self.deadline_ms:g} ms",
                allowed=f"{least_ms:.3f} ms or more",
            )  # fmt: skip

    @property
    def ratio(self) -> float:
        """How much longer answers take here than in the profile; never below 1."""
        return self._ratio(QUANTILE)

    def _ratio(self, quantile: float) -> float:
        with self._lock:
            ratios = list(self._ratios)
        return max(1.0, float(np.quantile(ratios, quantile))) if len(ratios) >= MIN_ANSWERS else 1.0

    def cost_weight(self, waiting: int, workers: int) -> float:
        """What a millisecond by the profile's latencies costs the requests that wait behind a call, in accuracy.

        Parameters
        ----------
        waiting:
            Accepted requests that no worker has begun, and inputs of the same request that are still to be answered.
        workers:
            Who share them.
        """
        return PRICE * waiting / workers * self._ratio(0.5) / self.deadline_ms if waiting > 0 else 0.0

    def budget_ms(self, premodel: Premodel, waited_ms: float, inputs: int = 1) -> float:
        """What one of so many inputs that are still to be answered may take, by the profile's latencies.

        Raises
        ------
        WaitedTooLongError
            The cheapest candidate alone would be late: the work is not begun.
        """
        left_ms = self.deadline_ms - waited_ms
        budget_ms, least_ms = left_ms / inputs / self.ratio, cheapest_ms(premodel)
        if budget_ms >= least_ms:
            return budget_ms
        if left_ms / inputs >= least_ms:  # by the profile it can be: an answer shows how long it takes now
            return least_ms
        raise WaitedTooLongError(
            "no candidate can answer before the deadline", given=f"{waited_ms:.3g} ms of waiting",
            allowed=f"{self.deadline_ms:g} ms with the answer", do="try again",
        )  # fmt: skip

    def note(self, premodel: Premodel, answer: Answer) -> None:
        """Compare what an answer took with the profile."""
        costs, names = premodel.policy.costs, premodel.candidates
        expected_ms = costs.before_ms + sum(costs.latency_ms[names.index(name)] for name in answer.ran)
        if expected_ms > 0 and answer.ran:
            with self._lock:
                self._ratios.append(answer.latency_ms["total"] / expected_ms)


def cheapest_ms(premodel: Premodel) -> float:
    """The least that an answer takes by the profile, end to end."""
    costs = premodel.policy.costs
    return min(costs.latency_ms) + costs.before_ms
