"""What one server accepts at most."""

from __future__ import annotations

from dataclasses import dataclass

from premodel.domains.base import MAX_PIXELS
from premodel.errors import OptionError
from premodel.runtime.conditions import usable_cores

DEFAULT_WORKERS = min(2, usable_cores())


@dataclass(frozen=True)
class Limits:
    """Limits of a server; what is beyond them is refused before work is spent on it.

    Attributes
    ----------
    workers:
        Requests answered at the same time, each on a thread of its own.
    queue:
        Accepted requests that may wait for a worker; one more is refused at once.
    timeout_s:
        From a request's arrival to its answer.
    max_body_bytes:
        Of a request, and of what a compressed request unpacks to.
    max_pixels:
        Width times height of one image, read from its header before it is decoded.
    max_batch:
        Images in one request.
    max_header_bytes:
        Request line and headers.
    max_json_depth:
        Lists and tables inside one another.
    deadline_ms:
        From a request's arrival to its answer: what waiting left of it is the budget of the call; None for none.

    Raises
    ------
    OptionError
        One of them is out of its range.
    """

    workers: int = DEFAULT_WORKERS
    queue: int = 32
    timeout_s: float = 30.0
    max_body_bytes: int = 16 << 20
    max_pixels: int = 50_000_000
    max_batch: int = 32
    max_header_bytes: int = 16 << 10
    max_json_depth: int = 16
    deadline_ms: float | None = None

    def __post_init__(self) -> None:
        ranges: dict[str, tuple[float, float]] = {
            "workers": (1, 256),
            "queue": (0, 100_000),
            "timeout_s": (0.001, 86_400),
            "max_body_bytes": (1024, 1 << 30),
            "max_pixels": (1, MAX_PIXELS),
            "max_batch": (1, 10_000),
            "max_header_bytes": (1024, 1 << 20),
            "max_json_depth": (5, 500),
        }
        if self.deadline_ms is not None:
            ranges["deadline_ms"] = (0.001, 1e3 * self.timeout_s)
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise OptionError(f"{name} is out of range", given=value, allowed=f"{low:g} to {high:g}")
