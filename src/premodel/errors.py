"""Everything premodel raises on purpose.

::

    PremodelError                 exit code 1
    ├── InputError                exit code 2: the user can mend it
    │   ├── ZooError              a manifest, or a manifest that contradicts a model file
    │   ├── ModelError            a model file that is missing, damaged or not what its digest states
    │   ├── SampleError           an input that cannot be decoded, or is refused
    │   │   └── ImageError        an image
    │   ├── DatasetError          a data set, its labels or its label list
    │   ├── StoreError            a store that is absent, foreign, of another schema, or not writable
    │   ├── BundleError           a damaged, foreign or incomplete bundle
    │   ├── OptionError           an option or budget that cannot be met
    │   └── MissingExtraError     a package that an extra would bring
    ├── DownloadError             exit code 1: a server or the network failed
    ├── RemoteError               exit code 1: an inference server is away, and did not come back
    └── RunError                  exit code 1: a candidate failed although the input was right

Every message is one line: what is wrong, where, what was given, what is allowed, what to do.
"""

from __future__ import annotations


def sentence(
    what: str,
    *,
    where: object = None,
    given: object = None,
    allowed: object = None,
    do: str | None = None,
) -> str:
    """Compose the one line of an error message.

    Parts that are None are left out; line breaks inside parts are folded to spaces; secrets of URLs are hidden.

    Examples
    --------
    >>> sentence("wrong number of threads", given=0, allowed="a whole number from 1")
    'wrong number of threads; given: 0; allowed: a whole number from 1'
    """
    from premodel.redact import redacted, redacted_url  # here: it is only needed when something goes wrong

    parts = [what if where is None else f"{redacted_url(str(where))}: {what}"]
    if given is not None:
        parts.append(f"given: {redacted_url(str(given))}")
    if allowed is not None:
        parts.append(f"allowed: {allowed}")
    if do is not None:
        parts.append(do)
    return printable(redacted("; ".join(" ".join(part.split()) for part in parts)))


def printable(text: str) -> str:
    r"""The text with control characters escaped, so that a name cannot steer the terminal that it is written to.

    Examples
    --------
    >>> printable("a" + chr(27) + "[2J")
    'a\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class PremodelError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the commands return."""

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        given: object = None,
        allowed: object = None,
        do: str | None = None,
    ) -> None:
        super().__init__(sentence(what, where=where, given=given, allowed=allowed, do=do))


class InputError(PremodelError):
    """What the user gave is wrong; the user can mend it."""

    exit_code = 2


class ZooError(InputError):
    """A manifest that cannot be read, or that contradicts a model file."""


class ModelError(InputError):
    """A model file that is missing, damaged or not the one its digest names."""


class SampleError(InputError):
    """An input that cannot be decoded, or is refused before decoding."""


class ImageError(SampleError):
    """An image that cannot be decoded, or is refused before decoding."""


class DatasetError(InputError):
    """A data set, its labels or its label list."""


class StoreError(InputError):
    """A store that is absent, foreign, of another schema, or not writable."""


class BundleError(InputError):
    """A damaged, foreign or incomplete bundle."""


class OptionError(InputError):
    """An option, criterion or budget that cannot be met."""


def install_hint(extra: str) -> str:
    """How to install an extra: from a checkout, because the package index has another project of the name premodel.

    Examples
    --------
    >>> install_hint("lab")
    "install it with: pip install '.[lab]' in the checkout (the extra 'premodel[lab]')"
    """
    return f"install it with: pip install '.[{extra}]' in the checkout (the extra 'premodel[{extra}]')"


class MissingExtraError(InputError):
    """A package is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed", do=install_hint(extra))


class DownloadError(PremodelError):
    """A server could not be reached, refused, or kept cutting the connection."""


class RemoteError(PremodelError):
    """An inference server could not be reached, or went away and did not come back."""


class RunError(PremodelError):
    """A candidate failed at run time although the input was right."""
