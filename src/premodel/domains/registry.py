"""Which domain a task belongs to. A domain that is not built in is registered by whoever brings it."""

from __future__ import annotations

from collections.abc import Callable

from premodel.domains.base import IMAGE_TASK, MEASURED_TASK, TEXT_TASK, TRANSLATION_TASK, Domain
from premodel.errors import OptionError


def _image() -> Domain:
    # Only here: a domain's libraries are loaded when an input of it is at hand.
    from premodel.domains.image.domain import ImageDomain

    return ImageDomain()


def _text() -> Domain:
    from premodel.domains.text.domain import TextDomain

    return TextDomain()


def _translation() -> Domain:
    from premodel.domains.text.domain import TranslationDomain

    return TranslationDomain()


def _measured() -> Domain:
    from premodel.domains.measured import MeasuredDomain

    return MeasuredDomain()


_BUILT_IN: dict[str, Callable[[], Domain]] = {
    IMAGE_TASK: _image, TEXT_TASK: _text, TRANSLATION_TASK: _translation, MEASURED_TASK: _measured,
}  # fmt: skip
_DOMAINS: dict[str, Domain] = {}


def register(domain: Domain) -> None:
    """Make a domain known under its task.

    Raises
    ------
    OptionError
        Another class of domain has that task.
    """
    known = _DOMAINS.get(domain.task)
    if domain.task in _BUILT_IN or (known is not None and type(known) is not type(domain)):
        raise OptionError(
            "a task must have one domain", given=domain.task, allowed=f"a task other than {', '.join(tasks())}"
        )
    _DOMAINS[domain.task] = domain


def adopt(domain: Domain) -> None:
    """Make a domain known that another process handed over; nothing if its task is known here."""
    if domain.task not in tasks():
        register(domain)


def tasks() -> tuple[str, ...]:
    """The tasks that have a domain, the built-in ones first."""
    return tuple(dict.fromkeys((*_BUILT_IN, *_DOMAINS)))


def domain_of(task: str) -> Domain:
    """The domain of a task.

    Raises
    ------
    OptionError
        No domain is registered for it.

    Examples
    --------
    >>> ".png" in domain_of("image-classification").suffixes
    True
    """
    domain = _DOMAINS.get(task)
    if domain is None:
        if task not in _BUILT_IN:
            raise OptionError("unknown task", given=task, allowed=", ".join(tasks()))
        domain = _DOMAINS[task] = _BUILT_IN[task]()
    return domain
