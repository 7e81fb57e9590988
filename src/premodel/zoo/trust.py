"""Python code that a manifest or bundle names runs only where the user asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from premodel.errors import OptionError
from premodel.zoo.candidate import Candidate


def require_trust(
    candidates: Iterable[Candidate], where: object, place: Callable[[Candidate], object] | None = None
) -> None:
    """Refuse candidates that run Python code which the user has not said to trust; nothing has been imported.

    `place` states where the code of a candidate is that would run; without it that is the file of its entry.

    Raises
    ------
    OptionError
        There is one; it is named with its callable.
    """
    for candidate in candidates:
        call = candidate.model.call
        if call is not None and not candidate.model.trusted:
            raise OptionError(
                f"candidate {candidate.name} runs the Python code {call.target}, which is not trusted", where=where,
                given=candidate.model.file if place is None else place(candidate),
                do="read that code; to run it, give --trust-python (trust_python=True)",
            )  # fmt: skip
