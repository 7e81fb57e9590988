"""Finding the model files of a bundle: embedded, where they were, or in the folders the user names."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from stat import S_ISREG

from premodel.errors import ModelError, OptionError
from premodel.files import FileMark, file_mark, is_inside, is_regular, replacing
from premodel.runtime.bundle import Bundle, copy_embedded
from premodel.zoo.candidate import Candidate, Model, all_files_digest
from premodel.zoo.verify import AFTER_A_CHANGE

SEARCH_VARIABLE = "PREMODEL_MODELS"
"""Environment variable with folders of models, separated as in PATH."""


class ModelFiles:
    """Gives each candidate's model file, unpacking embedded ones when they are first asked for.

    Searched in this order: the bundle itself; the `zoo` folder; the folders of the variable PREMODEL_MODELS; the
    path the bundle records; the bundle's own folder. In a folder the file is looked for by its recorded relative
    path, then by its name, then by its name one folder down. A file of the wrong size is passed over, and one that
    lacks a further file that the model reads; digests are verified when the candidate is opened.

    Python code is looked for in the same places, but in a folder only by the name that its manifest entry states: what
    runs lies where the user can tell. The module of a package is the one that is installed.

    Parameters
    ----------
    path, bundle:
        The bundle and what was read from it.
    zoo:
        A folder of models, or a manifest in such a folder.

    Raises
    ------
    OptionError
        `zoo` is neither.
    """

    def __init__(self, path: Path, bundle: Bundle, zoo: str | Path | None = None) -> None:
        self._path = path
        self._bundle = bundle
        self._lock = threading.Lock()
        self._unpacked: Path | None = None
        self._marks: dict[Path, FileMark | None] = {}
        self._cleanup: weakref.finalize[..., ModelFiles] | None = None
        self.folders = _folders(path, zoo)

    def find(self, candidate: Candidate) -> Path | None:
        """The file of a candidate that is not embedded; None if it is nowhere. A remote one's only names it."""
        model = candidate.model
        if model.is_remote:
            return model.file
        return next((file for file in self._places(model) if not self._faults(model, file)), None)

    def has(self, candidate: Candidate) -> bool:
        """Is there a file for the candidate."""
        return self._is_embedded(candidate.model) or self.find(candidate) is not None

    def get(self, candidate: Candidate) -> Path:
        """The file of a candidate, unpacked if it is embedded.

        Raises
        ------
        ModelError
            It is nowhere; the message names the places.
        """
        if self._is_embedded(candidate.model):
            return self._unpack(candidate.model)
        file = self.find(candidate)
        if file is None:
            raise self.missing([candidate])
        return file

    def missing(self, candidates: Sequence[Candidate]) -> ModelError:
        """The error for candidates whose files are nowhere, or are others than those that were profiled."""
        absent: dict[str, None] = {}
        for candidate in candidates:
            for file, digest in self._nearest_faults(candidate.model).items():
                if is_regular(file):
                    return self._changed(candidate.model, file, digest)
                absent[file.name] = None
        if all(candidate.model.is_installed for candidate in candidates):
            names = sorted({str(one.model.call.module) for one in candidates if one.model.call is not None})
            return ModelError(
                f"module {', '.join(names)} is not installed", where=self._path,
                do="install what brings it, in the version that was profiled",
            )  # fmt: skip
        places = [str(folder) for folder in (*self.folders, *{c.model.file.parent for c in candidates})]
        return ModelError(
            "model file is missing", where=self._path, given=", ".join(sorted(absent)),
            allowed="in " + ", ".join(dict.fromkeys(places)),
            do=f"name its folder with --zoo (zoo=) or {SEARCH_VARIABLE}, or train with --embed",
        )  # fmt: skip

    def described(self, candidate: Candidate) -> str:
        """Where the file of a candidate is that would be opened, for a message."""
        if self._is_embedded(candidate.model):
            return f"{candidate.model.file.name}, embedded in {self._path}"
        file = self.find(candidate)
        return f"{candidate.model.file}, which is missing or changed" if file is None else str(file)

    def tell_code_from_elsewhere(self, candidates: Iterable[Candidate]) -> None:
        """Log a line for Python code that runs from a place that neither the bundle records nor the user named."""
        seen = set()
        for candidate in candidates:
            model = candidate.model
            if model.call is None or model.is_installed or self._is_embedded(model):
                continue
            file, places = self.find(candidate), self._places(model)
            if file is not None and file not in seen and places.index(file) > places.index(model.file):
                import logging  # here: a device where nothing is moved need not wait for what logs

                logging.getLogger(__name__).warning(
                    "%s runs the code in %s; that of the profile, %s, is missing or changed",
                    candidate.name, file, model.file,
                )  # fmt: skip
                seen.add(file)

    def close(self) -> None:
        """Remove what was unpacked; without this it is removed when the object or the process ends."""
        with self._lock:
            if self._cleanup is not None:
                self._cleanup()
                self._unpacked = self._cleanup = None

    def _is_embedded(self, model: Model) -> bool:
        files = {} if model.is_installed else model.all_files()
        return bool(files) and self._bundle.embedded.issuperset(files.values())

    def _fits(self, file: Path, digest: str) -> bool:
        """Is a regular file there, of the size that was recorded."""
        size = self._bundle.sizes.get(digest)
        try:
            stat = file.stat()
        except (OSError, ValueError):
            return False
        return S_ISREG(stat.st_mode) and (size is None or stat.st_size == size)

    def _faults(self, model: Model, place: Path) -> dict[Path, str]:
        """Those of a model's files that are missing or of another size, were its first one at that place."""
        files = model.with_file(place).all_files()
        return {file: digest for file, digest in files.items() if not self._fits(file, digest)}

    def _nearest_faults(self, model: Model) -> dict[Path, str]:
        """What is wrong at the place that has the most of a model: its file as profiled, else a file of its name."""
        faults = {place: self._faults(model, place) for place in self._places(model)}
        for place, wrong in faults.items():
            if place not in wrong:
                return wrong
        for place, wrong in faults.items():
            if is_regular(place):
                return {place: wrong[place]}
        return {model.file: model.file_digest}

    def _changed(self, model: Model, file: Path, digest: str) -> ModelError:
        return ModelError(
            f"{file.name} of {model.name} is not the one that was profiled", where=self._path,
            given=f"{file}, of another size", allowed=f"{self._bundle.sizes.get(digest)} bytes",
            do="install the version that was profiled, or profile and train again"
            if model.is_installed
            else AFTER_A_CHANGE,
        )  # fmt: skip

    def _places(self, model: Model) -> list[Path]:
        """Where a model file may be, most wanted first; the recorded path last but for the bundle's folder."""
        if model.call is not None and model.is_installed:
            return [model.call.locate(model.file.parent)]
        named, own = self.folders[:-1], self.folders[-1]
        places = [place for folder in named for place in self._within(folder, model)]
        return [*places, model.file, *self._within(own, model)]

    def _within(self, folder: Path, model: Model) -> list[Path]:
        recorded = model.file
        if model.call is not None:
            stated = model.call.target.rpartition(":")[0]
            return [folder / (stated if is_inside(stated) else recorded.name)]
        tails = [Path(*recorded.parts[-count:]) for count in (2, 1) if len(recorded.parts) > count]
        try:
            below = sorted(child / recorded.name for child in folder.iterdir() if child.is_dir())
        except OSError:
            below = []
        return [*(folder / tail for tail in tails), *below]

    def _unpack(self, model: Model) -> Path:
        """The file of an embedded model; further files stand beside it as they did, in a folder of its own."""
        files, digest = model.all_files(), model.file_digest
        with self._lock:
            if self._unpacked is None:
                self._unpacked = Path(tempfile.mkdtemp(prefix="premodel-"))
                self._cleanup = weakref.finalize(self, shutil.rmtree, self._unpacked, ignore_errors=True)
            if len(files) == 1:
                return self._copy(digest, self._unpacked / digest)
            folder = self._unpacked / f"files-{all_files_digest(digest, model.further_files)}"
            for file, its_digest in files.items():
                self._copy(its_digest, folder / file.relative_to(model.file.parent))
            return folder / model.file.name

    def _copy(self, digest: str, file: Path) -> Path:
        """Unpack a file, unless it is there as it was left: folders of temporary files are tidied by others."""
        if file_mark(file) is None or file_mark(file) != self._marks.get(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file, durable=False) as part:
                copy_embedded(self._path, digest, part)
            self._marks[file] = file_mark(file)
        return file


def _folders(path: Path, zoo: str | Path | None) -> tuple[Path, ...]:
    """Folders to search; the bundle's own is the last."""
    folders = []
    if zoo is not None:
        place = Path(zoo)
        if not place.exists():
            raise OptionError("zoo must exist", given=zoo, allowed="a folder of models, or a manifest in one")
        folders.append(place if place.is_dir() else place.parent)
    named = os.environ.get(SEARCH_VARIABLE, "")
    folders.extend(Path(folder) for folder in named.split(os.pathsep) if folder)
    return (*(folder.absolute() for folder in folders), path.absolute().parent)
