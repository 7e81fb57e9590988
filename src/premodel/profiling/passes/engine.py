"""What an answer of the engine costs beyond decode, features, decisions and candidates, measured on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from premodel.clock import now_ms
from premodel.errors import PremodelError
from premodel.runtime.bundle import Bundle, write_bundle
from premodel.runtime.engine import Premodel
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.zoo.candidate import Candidate

WARMUP_ANSWERS = 10
ANSWERS = 200
MAX_MS = 2000.0
STAGES = ("decode", "features", "predict")


def measure_engine(candidate: Candidate, labels: Sequence[str], inputs: Sequence[bytes]) -> float | None:
    """Median ms of whole answers by one candidate, less its stages; None if it cannot be opened or run here.

    Parameters
    ----------
    candidate:
        Whose network is opened; the faster the better.
    labels:
        Of the zoo.
    inputs:
        Encoded inputs that decode.

    Notes
    -----
    A median, so that answers which the system interrupted do not count.
    """
    if candidate.model.is_remote or not inputs:
        return None
    policy = Single((candidate.name,), (0.5,), Costs((1.0,), 0.0))
    bundle = Bundle(policy, (candidate,), tuple(labels), "top1", None)
    spent: list[float] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "engine.premodel"
            write_bundle(path, bundle, folder=candidate.model.file.absolute().parent)
            with Premodel(path, trust_python=candidate.model.trusted) as premodel:
                start_ms = now_ms()
                for number in range(WARMUP_ANSWERS + ANSWERS):
                    latency_ms = premodel.predict(inputs[number % len(inputs)]).latency_ms
                    if number >= WARMUP_ANSWERS:
                        spent.append(latency_ms["total"] - sum(latency_ms[stage] for stage in STAGES))
                    if now_ms() - start_ms > MAX_MS:
                        break
    except (PremodelError, OSError, ValueError):
        return None
    return float(np.median(spent)) if spent else None
