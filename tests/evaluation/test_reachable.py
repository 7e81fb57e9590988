"""What the doctor cross-validates: also where latencies differ from sample to sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from premodel.evaluation.reachable import reachable
from profiles import predictable_tables


def test_no_policy_is_asked_to_keep_a_latency_that_no_candidate_keeps_in_a_fold() -> None:
    """One sample takes so long that wherever it is among those trained on, the mean is above that of the profile."""
    tables = predictable_tables(n=60, m=2)
    sample_ms = np.ones((60, 2))
    sample_ms[7] = 1000.0
    uneven = replace(tables, sample_ms=sample_ms, latency_ms=sample_ms.mean(axis=0))
    (*_, policy, _) = reachable(uneven, "top1")
    assert policy.equal_time is None
    assert policy.most_accurate is not None
    (*_, even, _) = reachable(tables, "top1")
    assert even.equal_time is not None
