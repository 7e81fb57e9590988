"""What an opened network weighs: memory and time to open, each measured in a fresh process."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

from premodel.clock import now_ms
from premodel.domains.base import Domain
from premodel.domains.registry import adopt
from premodel.errors import PremodelError
from premodel.records import Footprint
from premodel.runtime.candidate import OpenedCandidate, open_backend, open_network
from premodel.zoo.candidate import Candidate

_STATM = Path("/proc/self/statm")


def measure_footprint(candidate: Candidate, data: bytes) -> Footprint:
    """Measure a candidate's network on one encoded input, in a process of its own; nothing of a remote one is known.

    Notes
    -----
    The network is opened twice and the second opening is measured: the first one pays for loading the runtime's
    library, which all networks of that runtime share.
    """
    if candidate.model.is_remote:
        return Footprint()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(theirs, candidate.domain, candidate, data), daemon=True)
    process.start()
    theirs.close()
    try:
        found: Footprint = ours.recv()
    except EOFError:  # the process died, most likely for want of memory
        found = Footprint()
    finally:
        ours.close()
        process.join()
    return found


def _measure(pipe: Connection, domain: Domain, candidate: Candidate, data: bytes) -> None:
    adopt(domain)
    with contextlib.suppress(PremodelError):
        network = open_network(candidate)
        opened = OpenedCandidate(candidate, network)
        tensor = opened.prepare(domain.decode(data))
        opened.run(tensor)
        before = _resident_bytes()
        start = now_ms()
        second = open_backend(candidate)
        load_ms = now_ms() - start
        second.predict(tensor)
        grown = _resident_bytes() - before
        pipe.send(Footprint(load_ms, math.nan if math.isnan(grown) else max(0.0, grown) / 1e6))


def _resident_bytes() -> float:
    try:
        return float(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return math.nan
