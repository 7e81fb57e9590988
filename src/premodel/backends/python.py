"""Any Python callable as a model: it takes a decoded input, or a tensor of it, and answers."""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, ClassVar

import numpy as np

from premodel.backends.base import Backend, Tensor, TensorSpec, check_tensor, require_model_file
from premodel.backends.python_answers import ALLOWED, LabelReader, read_outcome, refuse_other
from premodel.backends.python_raised import raised, reason_of
from premodel.backends.python_source import (
    check_packages,
    find_module,
    module_of,
    name_of,
    names_from_elsewhere,
    sibling_files,
)
from premodel.backends.quiet import SaysNothing
from premodel.clock import now_ms
from premodel.errors import ModelError, OptionError, RunError
from premodel.files import file_sha256

SETTINGS = (
    "callable", "arguments", "factory", "batch", "label_map", "labels", "packages", "input", "activation", "name",
)  # fmt: skip
SLOW_MS = 1000.0
"""A call that takes longer on average is worth a word."""
SHOWN_UNKNOWN = 10
MARK = "__premodel_files__"
"""Name, in a module that was loaded from a file, of that file and those beside it, each with its digest."""
_LOADING = threading.RLock()


class PythonBackend(Backend):
    """A function, an object with `__call__`, or what a factory made of it; opening it runs its module's code.

    Who opens one has the user's word that it is trusted (see `premodel.runtime.candidate.open_backend`).

    Settings: `callable` is the target; `arguments` are given to it by name; `factory` means that its result is what is
    called, which a class always is; `batch` that it takes a list of inputs and gives a list of answers; `label_map` and
    `labels` name what it answers, without labels it answers texts; `packages` are the versions that it was profiled
    with; `input` is shape and dtype of the tensor that it takes, absent if it takes the decoded input itself;
    `activation` is what its numbers are.

    Notes
    -----
    One call runs at a time, as not every callable may run in several threads. Arrays are handed over read-only. What it
    prints goes to stderr. `threads` is accepted and changes nothing: its threads are its own.
    """

    name: ClassVar[str] = "python"
    extra: ClassVar[str] = ""

    def __init__(self, function: Callable[..., Any], file: Path, settings: Mapping[str, Any]) -> None:
        self.target = str(settings["callable"])
        tensor = settings.get("input")
        self._takes_tensor = tensor is not None
        self.input = TensorSpec(tuple(tensor["shape"]), str(tensor["dtype"])) if tensor else TensorSpec((), "object")
        labels = list(settings.get("labels", ()))
        self._labels = None
        self.output = TensorSpec((2,), "object")
        if labels:
            self.output = TensorSpec((1, len(labels)), "float32")
            self._labels = LabelReader(labels, settings.get("label_map", {}), settings.get("activation", "softmax"))
        self._function: Callable[..., Any] | None = function
        self._batch = bool(settings.get("batch"))
        self._file = file
        self._lock = threading.Lock()
        self._quiet = SaysNothing()
        self._calls, self._spent_ms = 0, 0.0

    @classmethod
    def open(
        cls,
        file: Path,
        *,
        threads: int,  # noqa: ARG003 - its own
        providers: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> PythonBackend:
        """Import the module and find the callable in it; makes it where it is a class or a factory."""
        settings = settings or {}
        _check_options(file, providers, settings)
        target = str(settings["callable"])
        require_model_file(file)
        check_packages(settings.get("packages", {}), _said(target), file)
        quiet = SaysNothing()
        with _LOADING, quiet:
            found = _attribute(_module(target, file), target, file)
            function = _made(found, target, file, settings)
        backend = cls(function, file, settings)
        backend._quiet.printed = quiet.printed
        return backend

    @classmethod
    def further_files(cls, file: Path) -> tuple[str, ...]:
        """The modules beside it that it imports."""
        return sibling_files(file)

    def predict(self, tensor: Tensor) -> Tensor:
        """Call it; the row of its labels, or a text with its score as two objects."""
        if self._takes_tensor and isinstance(tensor, np.ndarray):
            check_tensor(tensor, self.input)
        given = _read_only(tensor)
        with self._lock:
            function = self._function
            if function is None:
                raise RunError("the callable is closed", where=self.target)
            start = now_ms()
            answer = self._call(function, given)
            self._calls += 1
            self._spent_ms += now_ms() - start if self._calls > 1 else 0.0  # the first may load what it needs
            try:
                if self._batch:
                    answer = _only_one(answer)
                return read_outcome(answer) if self._labels is None else self._labels.read(answer)
            except RunError as error:
                raise type(error)(str(error), where=self.target) from error
            except Exception as error:  # what it answers may have methods of its own
                what = f"the callable's answer {raised(error, self.target, self._file, 'while it was read')}"
                raise RunError(what, where=self.target) from error

    def notes(self) -> tuple[str, ...]:
        """Answers that are no labels, printing, and slowness."""
        found = []
        if self._labels is not None and (unknown := self._labels.unknown):
            names = ", ".join(f"{said!r} ({count})" for said, count in unknown.most_common(SHOWN_UNKNOWN))
            more = f" and {len(unknown) - SHOWN_UNKNOWN} more" if len(unknown) > SHOWN_UNKNOWN else ""
            found.append(
                f"answers what is no label: {names}{more}; there it fails, and another candidate answers in its place; "
                "name in label_map only what is another name of a label"
            )
        if self._labels is not None and (rest := sorted(self._labels.dropped - set(self._labels.unknown))):
            names = ", ".join(map(repr, rest[:SHOWN_UNKNOWN]))
            more = f" and {len(rest) - SHOWN_UNKNOWN} more" if len(rest) > SHOWN_UNKNOWN else ""
            found.append(f"gives probability to what is no label, and is left out: {names}{more}")
        if self._quiet.printed:
            found.append("prints to stdout; what it prints is shown on stderr")
        mean_ms = self._spent_ms / max(1, self._calls - 1)
        if mean_ms > SLOW_MS:
            found.append(f"is slow: {mean_ms:.0f} ms a call")
        return tuple(found)

    def close(self) -> None:
        """Forget it."""
        with self._lock:
            self._function = None

    def _call(self, function: Callable[..., Any], given: Any) -> Any:
        try:
            with self._quiet:
                return function([given] if self._batch else given)
        except (Exception, SystemExit) as error:  # whatever it raises is its own
            what = raised(error, self.target, self._file)
            if isinstance(error, ValueError) and "read-only" in str(error):
                what = "writes to its input, which it shares with other candidates"
                raise RunError(f"the callable {what}", where=self.target, do="have it work on a copy") from error
            raise RunError(f"the callable {what}", where=self.target) from error


class _Loader(SourceFileLoader):
    """Reads the source itself: a cached compilation may be of another one of the same time and size."""

    digest = ""
    """SHA-256 of the source that was read."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        source = self.get_data(path)
        self.digest = hashlib.sha256(source).hexdigest()
        return self.source_to_code(source, path)


def _check_options(file: Path, providers: Sequence[str], settings: Mapping[str, Any]) -> None:
    if providers:
        raise OptionError("runtime python has no providers", where=file, given=", ".join(providers), allowed="none")
    for name in settings:
        if name not in SETTINGS:
            raise OptionError("unknown setting for python", where=file, given=name, allowed=", ".join(SETTINGS))
    if "callable" not in settings:
        raise OptionError("settings.callable is missing", where=file)


def _module(target: str, file: Path) -> ModuleType:
    """The module, imported; ModelError in one line whatever it raises."""
    named, said = module_of(target), _said(target)
    try:
        if named is None:
            return _load_file(file)
        found = find_module(named)
        if found is None or file_sha256(found) != file_sha256(file):
            raise ModelError(
                f"module {named} here is not the one that was profiled", where=file, given=found or "none",
                do="install the version that was profiled, or profile again",
            )  # fmt: skip
        return _load_installed(named, found)
    except ModelError:
        raise
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and missing:
            raise ModelError(
                f"{said} cannot be imported: module {error.name} is not installed", where=file,
                do=f"install it with: pip install {missing} (or the package that brings {missing})",
            ) from error  # fmt: skip
        raise ModelError(f"{said} cannot be imported", where=file, given=reason_of(error)) from error
    except SyntaxError as error:
        other = "" if error.filename in (None, str(file.absolute())) else f"{Path(error.filename).name}, "
        given = f"{other}line {error.lineno}: {error.msg}"
        raise ModelError(f"{said} cannot be imported: it is not Python", where=file, given=given) from error
    except (Exception, SystemExit) as error:  # the module's own code
        raise ModelError(f"{said} {raised(error, target, file, 'while it was imported')}", where=file) from error


def _load_installed(name: str, file: Path) -> ModuleType:
    """Import a module by its name; ModelError if its source has changed since this process did so."""
    module = import_module(name)
    about = ((str(file), file_sha256(file)),)
    if vars(module).setdefault(MARK, about) != about:
        raise ModelError(f"module {name} has changed since it was imported", where=file, do="start this process again")
    return module


def _load_file(file: Path) -> ModuleType:
    """Run a file as a module, under its own name if that is free; the modules beside it can be imported by it."""
    siblings = {Path(name).stem: file.parent / name for name in sibling_files(file)}
    about = tuple((str(one.absolute()), file_sha256(one)) for one in (file, *siblings.values()))
    known = sys.modules.get(file.stem)
    if known is not None and getattr(known, MARK, None) == about:
        return known
    finder = _Siblings(siblings)
    finder.forget_changed()
    is_free = file.stem.isidentifier() and file.stem not in sys.stdlib_module_names
    is_ours = known is None or str(file.absolute()) in [path for path, _ in getattr(known, MARK, ())]
    name = file.stem if is_free and is_ours and find_module(file.stem) is None else f"premodel_{about[0][1][:16]}"
    before = sys.modules.get(name)
    module = module_from_spec(_spec(name, file))
    vars(module)[MARK] = about
    sys.modules[name] = module
    sys.meta_path.insert(0, finder)
    try:
        for sibling in siblings:
            import_module(sibling)
        _Loader(name, str(file.absolute())).exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        if before is not None:
            sys.modules[name] = before
        raise
    finally:
        sys.meta_path.remove(finder)
    return module


class _Siblings:
    """Finds the modules beside a file while it is imported; none of them is left to be found afterwards."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """The spec of one of them; None of any other."""
        del target
        return None if path is not None or name not in self._files else _spec(name, self._files[name])

    def forget_changed(self) -> None:
        """Have a module whose file has changed imported anew; ModelError if its name is another module's."""
        for name, file in self._files.items():
            known = sys.modules.get(name)
            origin = getattr(known, "__file__", None)
            if known is None or _same_source(known, file):
                continue
            if not isinstance(getattr(known, "__loader__", None), _Loader) or origin != str(file.absolute()):
                raise ModelError(
                    f"another module {name} is loaded already", where=file, given=origin, do="rename the file"
                )
            del sys.modules[name]


def _same_source(known: ModuleType, file: Path) -> bool:
    loader = getattr(known, "__loader__", None)
    return isinstance(loader, _Loader) and loader.digest == file_sha256(file)


def _spec(name: str, file: Path) -> ModuleSpec:
    place = str(file.absolute())
    spec = ModuleSpec(name, _Loader(name, place), origin=place)
    spec.has_location = True
    return spec


def _attribute(module: ModuleType, target: str, file: Path) -> Any:
    found: Any = module
    for part in name_of(target).split("."):
        if not hasattr(found, part):
            foreign = names_from_elsewhere(file, module_of(target)) if found is module else frozenset()
            callables = [name for name, value in vars(found).items() if callable(value) and name not in foreign]
            names = [name for name in callables if not name.startswith("_")]
            raise ModelError(
                f"{_said(target)} is not there: nothing is called {part}", where=file,
                allowed=", ".join(names[:20]) or "none",
            )  # fmt: skip
        found = getattr(found, part)
    return found


def _said(target: str) -> str:
    """A target in a message that names its file already."""
    return name_of(target) if module_of(target) is None else target


def _made(found: Any, target: str, file: Path, settings: Mapping[str, Any]) -> Callable[..., Any]:
    """What is called: the function with its arguments, or what the class or factory gave."""
    arguments = dict(settings.get("arguments", {}))
    if not callable(found):
        raise ModelError(
            f"{_said(target)} is not callable", where=file, given=type(found).__name__, allowed="a function"
        )
    if inspect.isclass(found) or settings.get("factory"):
        _check_arguments(found, (), arguments, target, file)
        try:
            made = found(**arguments)
        except (Exception, SystemExit) as error:
            what = f"{_said(target)} {raised(error, target, file, 'while it was made')}"
            raise ModelError(what, where=file) from error
        if inspect.iscoroutine(made):
            made.close()
        if not callable(made):
            raise ModelError(
                f"what {_said(target)} makes is not callable", where=file, given=type(made).__name__,
                allowed="a function, or an object with __call__",
            )  # fmt: skip
        found, arguments = made, {}
    _refuse_async(found, target, file)
    _check_arguments(found, (None,), arguments, target, file)
    return functools.partial(found, **arguments) if arguments else found


def _refuse_async(found: Any, target: str, file: Path) -> None:
    if any(inspect.iscoroutinefunction(one) for one in (found, getattr(found, "__call__", None))):  # noqa: B004
        raise ModelError(
            f"{_said(target)} is async", where=file, allowed="a plain function", do="call it with asyncio.run in one"
        )


def _check_arguments(
    found: Any, positional: tuple[Any, ...], arguments: Mapping[str, Any], target: str, file: Path
) -> None:
    """OptionError if it does not take the settings of the manifest."""
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # what is written in C has none
        return
    try:
        signature.bind(*positional, **arguments)
    except TypeError as error:
        given = ", ".join(arguments) or None
        raise OptionError(
            f"{_said(target)} does not take what it is given ({error})", where=file, given=given,
            allowed=f"{name_of(target)}{signature}", do="correct its settings in the manifest",
        ) from error  # fmt: skip


def _only_one(answer: Any) -> Any:
    """The answer to a batch of one."""
    refuse_other(answer, f"a list with one answer, each {ALLOWED}")
    try:
        (one,) = answer
    except (TypeError, ValueError) as error:
        count = len(answer) if hasattr(answer, "__len__") else type(answer).__name__
        raise RunError("the callable must answer a batch of one with one answer", given=count, allowed=1) from error
    return one


def _read_only(given: Any) -> Any:
    if not isinstance(given, np.ndarray) or not given.flags.writeable:
        return given
    view = given.view()
    view.flags.writeable = False
    return view
