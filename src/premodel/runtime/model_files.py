"""Finding the model files of a bundle: embedded, where they were, or in the folders the user names."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from stat import S_ISREG

from premodel.errors import ModelError, OptionError
from premodel.files import FileMark, file_mark, replacing
from premodel.runtime.bundle import Bundle, copy_embedded
from premodel.zoo.candidate import Candidate, Model, all_files_digest

SEARCH_VARIABLE = "PREMODEL_MODELS"
"""Environment variable with folders of models, separated as in PATH."""


class ModelFiles:
    """Gives each candidate's model file, unpacking embedded ones when they are first asked for.

    Searched in this order: the bundle itself; the `zoo` folder; the folders of the variable PREMODEL_MODELS; the
    path the bundle records; the bundle's own folder. In a folder the file is looked for by its recorded relative
    path, then by its name, then by its name one folder down. A file of the wrong size is passed over, and one that
    lacks a further file that the model reads; digests are verified when the candidate is opened.

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
        installed = [] if model.call is None or model.call.module is None else [model.call.locate(model.file.parent)]
        for file in (*installed, *self._places(model.file)):
            if all(self._fits(one, digest) for one, digest in model.with_file(file).all_files().items()):
                return file
        return None

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
        """The error for candidates whose files are nowhere."""
        names = sorted({candidate.model.file.name for candidate in candidates})
        places = [str(folder) for folder in (*self.folders, *{c.model.file.parent for c in candidates})]
        return ModelError(
            "model file is missing, or of another size than the profiled one",
            where=self._path, given=", ".join(names), allowed="in " + ", ".join(dict.fromkeys(places)),
            do=f"name its folder with --zoo (zoo=) or {SEARCH_VARIABLE}, or train with --embed",
        )  # fmt: skip

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

    def _places(self, recorded: Path) -> list[Path]:
        """Where a model file may be, most wanted first; the recorded path last but for the bundle's folder."""
        named, own = self.folders[:-1], self.folders[-1]
        places = [place for folder in named for place in self._within(folder, recorded)]
        return [*places, recorded, *self._within(own, recorded)]

    def _within(self, folder: Path, recorded: Path) -> list[Path]:
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
