"""What Python code raised, in words: the exception, the line of the user's own code, and its message."""

from __future__ import annotations

from pathlib import Path

from premodel.backends.python_source import module_of

MAX_REASON = 300


def raised(error: BaseException, target: str, file: Path, when: str = "") -> str:
    """Such as "raised KeyError at classify.py:12: 'neg'", on one line.

    Parameters
    ----------
    target:
        The callable, as the manifest names it.
    file:
        Its source; lines of it and of modules beside it count as the user's own.
    when:
        What was done meanwhile, such as "while it was imported".
    """
    parts = [f"raised {type(error).__name__}{_place(error, target, file)}", when]
    reason = " ".join(str(error).split())[:MAX_REASON]
    return " ".join(part for part in parts if part) + (f": {reason}" if reason else "")


def reason_of(error: BaseException) -> str:
    """The message of an exception on one line, of a length for people; its type where it has none."""
    return " ".join(str(error).split())[:MAX_REASON] or type(error).__name__


def _place(error: BaseException, target: str, file: Path) -> str:
    """The innermost line of the user's own code, as " at FILE:LINE"; empty if there is none."""
    own, found = file.absolute(), ""
    step = error.__traceback__
    while step is not None:
        source = Path(step.tb_frame.f_code.co_filename)
        if source.parent == own.parent:
            stated = target.rpartition(":")[0] if module_of(target) is None else own.name
            found = f" at {stated if source == own else source.name}:{step.tb_lineno}"
        step = step.tb_next
    return found
