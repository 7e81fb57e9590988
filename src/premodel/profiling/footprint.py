"""What an opened network weighs: memory and time to open, each measured in a fresh process."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

from premodel.backends.registry import backend_class
from premodel.clock import now_ms
from premodel.domains.base import Domain
from premodel.domains.registry import adopt
from premodel.errors import PremodelError, RunError
from premodel.profiling.workers.ctrl_c import kept_from_children
from premodel.records import Footprint
from premodel.runtime.candidate import OpenedCandidate, open_backend, open_network
from premodel.zoo.candidate import Candidate
from premodel.zoo.verify import verify

_STATM = Path("/proc/self/statm")
_IO = Path("/proc/self/io")
COLD_SHARE = 0.5
"""Of the files' bytes, that must have come from storage for an opening to count as cold."""


def measure_footprint(candidate: Candidate, data: bytes) -> Footprint:
    """Measure a candidate's network on one encoded input, in a process of its own; nothing of a remote one is known.

    Notes
    -----
    The network is opened twice and the second opening is measured: the first one pays for loading the runtime's
    library, which all networks of that runtime share. A Python callable is opened once: what its packages load they
    often keep for the whole process, so that a second opening weighs nothing; libraries that several callables share
    count for each of them.
    """
    if candidate.model.is_remote:
        return Footprint()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(theirs, candidate.domain, candidate, data), daemon=True)
    try:
        with kept_from_children():
            process.start()
        theirs.close()
        found: Footprint = ours.recv()
        process.join()
    except EOFError:  # the process died, most likely for want of memory
        found = Footprint()
    finally:
        ours.close()
        if process.pid is not None:
            process.kill()  # it has ended, unless this process is to end
            process.join()
    return found


def _measure(pipe: Connection, domain: Domain, candidate: Candidate, data: bytes) -> None:
    adopt(domain)
    with contextlib.suppress(PremodelError, BrokenPipeError):  # nobody waits for the answer any more
        if candidate.model.call is not None:
            pipe.send(_first_opening(domain, candidate, data))
            return
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
        second.close()
        network.close()
        pipe.send(Footprint(load_ms, _megabytes(grown), measure_cold_load_ms(candidate)))


def _first_opening(domain: Domain, candidate: Candidate, data: bytes) -> Footprint:
    """Of a callable, which nothing opened before in this process; an answer that it refuses to give does not matter."""
    verify(candidate.model)
    backend_class(candidate.model.runtime)
    sample = domain.decode(data)
    before = _resident_bytes()
    start = now_ms()
    network = open_network(candidate, verified=True)
    load_ms = now_ms() - start
    opened = OpenedCandidate(candidate, network)
    with contextlib.suppress(RunError):
        opened.predict(sample)
    grown = _resident_bytes() - before
    network.close()
    return Footprint(load_ms, _megabytes(grown))


def _megabytes(grown: float) -> float:
    return math.nan if math.isnan(grown) else max(0.0, grown) / 1e6


def measure_cold_load_ms(candidate: Candidate) -> float:
    """Opening a network after the system was asked to drop its files from the page cache; NaN where that cannot be.

    Notes
    -----
    The system may keep what others use, and some file systems have no such cache: it counts only if as much as half of
    the files was then read from storage, as /proc/self/io shows.
    """
    files = [file for file in candidate.model.all_files() if file.is_file()]
    try:
        for file in files:
            _drop_from_cache(file)
        before = _read_bytes()
        start = now_ms()
        network = open_backend(candidate)
        took_ms = now_ms() - start
        read = _read_bytes() - before
        network.close()
        size = sum(file.stat().st_size for file in files)
    except OSError:
        return math.nan
    return took_ms if files and read >= COLD_SHARE * size else math.nan


def _drop_from_cache(file: Path) -> None:
    """Ask the system to forget the pages of a file; OSError where it cannot be asked."""
    if not hasattr(os, "posix_fadvise"):
        raise OSError("no posix_fadvise here")
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _read_bytes() -> float:
    """What this process has had read from storage; OSError where the system does not show it."""
    for line in _IO.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "read_bytes":
            return float(value)
    raise OSError("no read_bytes")


def _resident_bytes() -> float:
    try:
        return float(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return math.nan
