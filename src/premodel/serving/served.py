"""One opened premodel behind a server, with what belongs to it; another can take its place while it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from premodel.errors import RunError
from premodel.records import TOP_K
from premodel.runtime.engine import Premodel
from premodel.runtime.reference import reference_of
from premodel.serving.drift import Drift
from premodel.serving.shadow import Shadow
from premodel.serving.signature import metadata


class Served:
    """A premodel under a name; closed when it was retired and nobody uses it any more.

    Parameters
    ----------
    premodel:
        Closed with this.
    name:
        The served model's name.
    shadow:
        The shadow check; None for none.
    digest:
        SHA-256 of the bundle, where answers are recorded.

    Attributes
    ----------
    premodel, shadow, digest:
        As given.
    domain, top_k:
        What its inputs are, and how many labels an answer lists.
    metadata:
        The protocol's model metadata.
    drift:
        Of its answers; None where the bundle has no reference.
    """

    def __init__(self, premodel: Premodel, name: str, shadow: Shadow | None = None, digest: str = "") -> None:
        self.premodel = premodel
        self.shadow = shadow
        self.digest = digest
        self.domain = premodel.bundle.domain
        self.top_k = min(TOP_K, len(premodel.bundle.label_names))
        self.metadata = metadata(name, self.top_k, self.domain.noun, answers_labels=self.domain.answers_labels)
        reference = reference_of(premodel.bundle.training_record, str(premodel.path))
        chooses = premodel.policy.fixed_candidate is None
        self.drift = None if reference is None else Drift(reference, chooses=chooses)
        self._lock = threading.Lock()
        self._users = 0
        self._retired = False

    @property
    def can_answer(self) -> bool:
        """Is there a candidate that can be run."""
        return not set(self.premodel.candidates) <= set(self.premodel.unavailable)

    @contextmanager
    def used(self) -> Generator[Served]:
        """Keep it open for the time of the `with`; RunError if it was closed."""
        with self._lock:
            if self._retired and not self._users:
                raise RunError("the premodel is closed")
            self._users += 1
        try:
            yield self
        finally:
            with self._lock:
                self._users -= 1
                ends = self._retired and not self._users
            if ends:
                self.premodel.close()

    def start(self, counted: Callable[[str], None]) -> None:
        """Begin the shadow check; `counted` is given one of its OUTCOMES for every image."""
        if self.shadow is not None:
            self.shadow.start(counted)

    def retire(self) -> None:
        """Close it now, or when the last one that uses it has ended."""
        if self.shadow is not None:
            self.shadow.stop()
        with self._lock:
            self._retired = True
            ends = not self._users
        if ends:
            self.premodel.close()
