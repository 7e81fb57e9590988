"""The decision of a premodel as one C99 source and header, for programs without Python."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.files import write_whole
from premodel.records import TOP_K
from premodel.runtime.bundle import Bundle, read_bundle
from premodel.runtime.policies.costs import rounded_up
from premodel.runtime.policies.decision_tables import DecisionTables
from premodel.runtime.policies.registry import POLICIES
from premodel.version import __version__

MARKER = "/* Written by premodel export: "
"""How every file of an export begins; no other file is replaced."""
STACK_BYTES = 512
"""What the deepest call takes with gcc -O2 on a 64-bit processor, with room; a test measures it."""
MAX_NAME_BYTES = 4095
"""Of one string: what C99 asks of every compiler."""
C_TYPES = {
    "int8": "int8_t", "uint8": "uint8_t", "int32": "int32_t", "uint32": "uint32_t", "float32": "float",
    "float64": "double",
}  # fmt: skip
_HEADER, _SOURCE, _EXAMPLE = "premodel.h", "common.c", "main.c"
_PLAIN = re.compile(r"[^A-Za-z0-9 ._+@-]")


@dataclass(frozen=True)
class CFiles:
    """What was written.

    Attributes
    ----------
    folder:
        Where.
    files:
        Header, source and example, by name.
    prefix:
        How all their names begin.
    policy:
        Kind of the policy.
    state_bytes, stack_bytes, table_bytes:
        Memory that one decision needs of its caller and of the stack, and the constant data of the source.
    """

    folder: Path
    files: tuple[str, ...]
    prefix: str
    policy: str
    state_bytes: int
    stack_bytes: int
    table_bytes: int

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "folder": str(self.folder),
            "files": list(self.files),
            "prefix": self.prefix,
            "policy": self.policy,
            "state_bytes": self.state_bytes,
            "stack_bytes": self.stack_bytes,
            "table_bytes": self.table_bytes,
        }


def export_c(path: Path, folder: Path) -> CFiles:
    """Write a bundle's decision as C99: `premodel_STEM.h`, `premodel_STEM.c`, and `premodel_STEM_main.c` as an example.

    Parameters
    ----------
    path:
        The bundle; all names in the files begin with `premodel_` and its stem.
    folder:
        Made if absent. Files of an earlier export are replaced, others never.

    Raises
    ------
    BundleError
        The bundle is missing, damaged, foreign or of another version.
    OptionError
        The policy reads the input itself, the answers are texts, a name is too long, the folder holds other files of
        these names, or it cannot be written.
    """
    bundle = read_bundle(path)
    tables = _tables(bundle, path)
    prefix = "premodel_" + re.sub(r"[^A-Za-z0-9]", "_", path.stem)
    sizes = _Sizes.of(tables, len(bundle.policy.candidates), len(bundle.label_names))
    words = _words(bundle, path, tables, sizes, prefix)
    rule = _template(f"{tables.rule}.c")
    written = {
        f"{prefix}.h": _fill(_template(_HEADER), prefix, words),
        f"{prefix}.c": _fill(_template(_SOURCE), prefix, {"rule": rule, **words}),
        f"{prefix}_main.c": _fill(_template(_EXAMPLE), prefix, words),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in written:
            _check_own(folder / name)
        for name, text in written.items():
            write_whole(folder / name, text.encode("ascii"))
    except OSError as error:
        raise OptionError(
            "C files cannot be written", where=error.filename or folder, given=error.strerror or error
        ) from error
    return CFiles(
        folder, tuple(written), prefix, bundle.policy.kind, sizes.state_bytes, STACK_BYTES, _table_bytes(tables)
    )


def _tables(bundle: Bundle, path: Path) -> DecisionTables:
    """Those of the policy; OptionError if it has none, or its answers are no labels."""
    if not bundle.label_names:
        raise OptionError(
            f"answers of task {bundle.domain.task} are no labels, and have no form in C", where=path,
            allowed="a premodel whose answers are labels",
        )  # fmt: skip
    tables = bundle.policy.decision_tables()
    if tables is None and bundle.policy.latency_curves is not None:
        raise OptionError(
            "latencies by the length of the input have no form in C", where=path,
            given=bundle.policy.latency_curves.measure, allowed="latencies that are the same for every input",
        )  # fmt: skip
    if tables is None:
        kinds = [kind for kind, load in POLICIES.items() if load().has_tables]
        raise OptionError(
            f"policy {bundle.policy.kind} reads the input before it decides, and has no form in C", where=path,
            allowed=", ".join(kinds), do=f"train one of these: premodel train STORE --policy {kinds[-1]}",
        )  # fmt: skip
    return tables


@dataclass(frozen=True)
class _Sizes:
    """Lengths of the state's arrays: see the header's template."""

    candidates: int
    labels: int
    listed: int
    kept: int
    union: int

    @classmethod
    def of(cls, tables: DecisionTables, candidates: int, labels: int) -> _Sizes:
        listed, kept = min(TOP_K, labels), candidates if tables.keeps_all else 1
        return cls(candidates, labels, listed, kept, min(kept * listed, labels))

    @property
    def state_bytes(self) -> int:
        """Of the struct, where numbers lie at multiples of their size."""
        read = 8 + 4 * 3 + 8 * self.listed + 4 + 4 * self.candidates + self.candidates + 1
        own = 16 + 4 + 4 * self.kept + 16 * self.kept * self.listed + 8 * self.union
        return _whole_words(read) + _whole_words(own)


def _whole_words(count: int) -> int:
    return 8 * math.ceil(count / 8)


def _words(bundle: Bundle, path: Path, tables: DecisionTables, sizes: _Sizes, prefix: str) -> dict[str, str]:
    """What stands for the words between @ in the templates."""
    candidates, labels = bundle.policy.candidates, bundle.label_names
    costs = bundle.policy.costs
    least_ms = rounded_up(min(costs.latency_ms) + costs.before_ms)
    long = [name for name in (*candidates, *labels) if len(name.encode()) > MAX_NAME_BYTES]
    if long:
        raise OptionError(
            "a name is too long for C", where=path, given=f"{len(long[0].encode())} bytes",
            allowed=f"{MAX_NAME_BYTES} bytes or fewer",
        )  # fmt: skip
    names = "\n\n".join(
        (
            _strings(f"{prefix}_candidate_names[{prefix.upper()}_CANDIDATES]", candidates),
            _strings(f"{prefix}_label_names[{prefix.upper()}_LABELS]", labels),
            f"const double {prefix}_least_ms = {least_ms};",
        )
    )
    return {
        "title": f"the decision of {_plain(path.name)}",
        "policy": bundle.policy.kind,
        "version": _plain(__version__),
        "candidates": "\n".join(f" *     {index}  {_plain(name)}" for index, name in enumerate(candidates)),
        "n_candidates": str(sizes.candidates),
        "n_labels": str(sizes.labels),
        "n_listed": str(sizes.listed),
        "n_kept": str(sizes.kept),
        "n_union": str(sizes.union),
        "state_bytes": str(sizes.state_bytes),
        "stack_bytes": str(STACK_BYTES),
        "table_bytes": str(_table_bytes(tables)),
        "name_bytes": str(sum(len(name.encode()) + 9 for name in (*candidates, *labels))),
        "tables": "\n\n".join((_numbers(tables.numbers), *(_array(*entry) for entry in tables.arrays.items()))),
        "names": names,
    }


def _table_bytes(tables: DecisionTables) -> int:
    floats = sum(8 for value in tables.numbers.values() if isinstance(value, float))
    return floats + sum(array.nbytes for array in tables.arrays.values())


def _plain(text: str) -> str:
    """For a comment."""
    return _PLAIN.sub("?", text)


def _template(name: str) -> str:
    return files("premodel.serving.c").joinpath(name).read_text(encoding="ascii")


def _fill(template: str, prefix: str, words: Mapping[str, str]) -> str:
    """The template with its rule and words, all names beginning with the prefix.

    What comes from the bundle is not searched: a label may be called `prefix_state` or `@names@`.
    """
    pieces = re.split(r"@(\w+)@", template.replace("@rule@", words.get("rule", "")))
    pieces[0::2] = [_named(piece, prefix) for piece in pieces[0::2]]
    pieces[1::2] = [words[word] for word in pieces[1::2]]
    return "".join(pieces)


def _named(text: str, prefix: str) -> str:
    return re.sub(r"\bprefix(?=_|\b)", prefix, re.sub(r"\bPREFIX(?=_)", prefix.upper(), text))


def _numbers(numbers: Mapping[str, int | float]) -> str:
    """Whole numbers as an enumeration, others as constants."""
    whole = [f"    {name.upper()} = {value}" for name, value in numbers.items() if isinstance(value, int)]
    enumeration = ["enum {\n" + ",\n".join(whole) + "\n};"] if whole else []
    others = [
        f"static const double {name.upper()} = {_literal(value, 'float64')};"
        for name, value in numbers.items()
        if isinstance(value, float)
    ]
    return "\n".join((*enumeration, *others))


def _array(name: str, array: NDArray[Any]) -> str:
    """An array as a constant, all numbers exact."""
    kind = array.dtype.name
    sides = "".join(f"[{side}]" for side in array.shape)
    if array.ndim == 1:
        lines = _wrapped([_literal(value, kind) for value in array.tolist()])
    else:
        lines = ["{" + ", ".join(_literal(value, kind) for value in row) + "}" for row in array.tolist()]
    body = ",\n".join(f"    {line}" for line in lines)
    return f"static const {C_TYPES[kind]} {name.upper()}{sides} = {{\n{body}\n}};"


def _wrapped(literals: list[str], count: int = 8) -> list[str]:
    return [", ".join(literals[start : start + count]) for start in range(0, len(literals), count)]


def _literal(value: float, kind: str) -> str:
    """A number as C writes it, with enough digits to give it back exactly; an infinite one is the largest there is.

    Examples
    --------
    >>> _literal(0.5, "float32"), _literal(0.1, "float64"), _literal(2.0, "float64"), _literal(-3, "int8")
    ('0.5f', '0.10000000000000001', '2.0', '-3')
    """
    if not kind.startswith("float"):
        return str(value)
    end = "f" if kind == "float32" else ""
    if math.isinf(value):
        return ("-" if value < 0 else "") + ("FLT_MAX" if end else "DBL_MAX")
    text = f"{value:.9g}" if end else f"{value:.17g}"
    return text + ("" if "." in text or "e" in text else ".0") + end


def _strings(declared: str, names: tuple[str, ...]) -> str:
    body = ",\n".join(f"    {c_string(name)}" for name in names)
    return f"const char *const {declared} = {{\n{body}\n}};"


def c_string(text: str) -> str:
    r"""A text as a literal of C, in UTF-8; what a compiler could read as something else is escaped.

    Examples
    --------
    >>> print(c_string('a "cat"?'), c_string("é"))
    "a \"cat\"\?" "\303\251"
    """
    plain = {byte: chr(byte) for byte in range(32, 127)} | {ord(one): f"\\{one}" for one in '"\\?'}
    return '"' + "".join(plain.get(byte, f"\\{byte:03o}") for byte in text.encode()) + '"'


def _check_own(file: Path) -> None:
    """OptionError unless the file is absent or of an earlier export."""
    if not file.exists() and not file.is_symlink():
        return
    own = False
    if file.is_file():
        with file.open("rb") as stream:
            own = stream.read(len(MARKER)) == MARKER.encode()
    if not own:
        raise OptionError(
            "a file that premodel did not export stands there", where=file, allowed="a new file, or an earlier export",
            do="give another folder, or rename the bundle",
        )  # fmt: skip
