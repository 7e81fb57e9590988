"""Making a manifest from model files: inspect, find the preprocessing where images allow, write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from premodel.backends.base import Tensor
from premodel.domains.base import IMAGE_TASK
from premodel.domains.image.decode import Image, preprocess
from premodel.domains.registry import domain_of
from premodel.errors import DatasetError, ModelError, OptionError, RunError
from premodel.files import replacing
from premodel.profiling.datasets.columns import SPLITS
from premodel.profiling.datasets.folders import has_inputs
from premodel.profiling.progress import Progress, Silent
from premodel.runtime.candidate import check_against_manifest
from premodel.zoo.manifest import read_zoo
from premodel.zoo_tools.init.conventions import Convention, usual
from premodel.zoo_tools.init.draft import UNKNOWN_LICENCE, Draft, manifest_text, safe_name
from premodel.zoo_tools.init.images import TrialImages, made_up_image
from premodel.zoo_tools.init.inspect import Inspected, activation_of, inspect_model, label_offset
from premodel.zoo_tools.init.search import Found, Trial, find_preprocessing

DEFAULT_LIMIT = 300
LOOKED_AT = 8
"""Images from whose outputs the activation is told."""


def draft_models(
    files: Sequence[Path],
    n_labels: int,
    images: TrialImages | None = None,
    *,
    offset: int | None = None,
    size: tuple[int, int] | None = None,
    output: str | None = None,
    license_: str | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Iterator[Draft]:
    """Inspect all files, then find the preprocessing of one after the other.

    Parameters
    ----------
    files:
        Model files.
    n_labels:
        Labels of the zoo.
    images:
        Labelled images; without them the preprocessing is guessed.
    offset:
        Outputs before the first label, where outputs - labels is neither 0 nor 1.
    size:
        (height, width) for files that leave it open.
    output:
        The output to read of files that have several.
    license_:
        Of every model; "unknown" is written if None.
    threads:
        Threads of every runtime.
    progress:
        Told of the search.

    Raises
    ------
    ModelError
        A file is no model, or does not go with the labels; nothing was searched by then.
    MissingExtraError
        A runtime is not installed.
    """
    inspected: list[Inspected] = []
    try:
        for file in files:
            inspected.append(inspect_model(file, size, threads, output=output, n_labels=n_labels))
            label_offset(inspected[-1], n_labels, offset)
        names: list[str] = []
        for one in inspected:
            names.append(safe_name(one.file.stem, names))
            yield _draft(one, names[-1], n_labels, images, offset, license_, progress or Silent())
    finally:
        for one in inspected:
            one.backend.close()


def write_manifest(out: Path, name: str, labels: Path | Sequence[str], drafts: Sequence[Draft], force: bool) -> None:
    """Write the manifest, read it back, and compare every entry with its file; only then it takes its place.

    Raises
    ------
    OptionError
        The file is there and `force` is not given, or it cannot be written.
    """
    refuse_overwriting(out, force)
    try:
        with replacing(out) as part:
            part.write_text(manifest_text(name, labels, drafts, out.parent), encoding="utf-8")
            zoo = read_zoo(part, require_files=True)
            for draft, candidate in zip(drafts, zoo.candidates, strict=True):
                backend = draft.inspected.backend
                check_against_manifest(candidate, backend.input, backend.output)
    except OSError as error:
        raise OptionError(f"cannot be written ({error.strerror})", where=out) from error


def refuse_overwriting(out: Path, force: bool) -> None:
    """Raise OptionError if the manifest is there and may not be replaced, or its folder is not there."""
    if out.exists() and not force:
        raise OptionError("there is such a file already", where=out, do="choose another --out, or say --force")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise OptionError("not a file in a folder that is there", where=out, do="choose another --out")


def folder_labels(data: Path) -> tuple[str, ...]:
    """Labels of a folder per class, in the order of the names: what image folder readers number them by.

    Raises
    ------
    DatasetError
        There are not two folders, or they are named as splits are.
    """
    names: list[str] = []
    if data.is_dir():
        folders = sorted(path for path in data.iterdir() if path.is_dir() and not path.name.startswith("."))
        names = [path.name for path in folders if has_inputs(path, domain_of(IMAGE_TASK))]
    if names and all(name.lower() in SPLITS for name in names):
        raise DatasetError(
            "the folders are splits and no labels", where=data, given=", ".join(names), allowed="a folder per class",
            do=f"give {data / names[0]}, or --split {names[0]}",
        )  # fmt: skip
    if len(names) < 2:
        raise DatasetError(
            "labels are needed", where=data, given=f"{len(names)} folders",
            allowed="a folder per class, or a label file", do="name the label file with --labels",
        )  # fmt: skip
    return tuple(names)


def _draft(
    inspected: Inspected,
    name: str,
    n_labels: int,
    images: TrialImages | None,
    given_offset: int | None,
    license_: str | None,
    progress: Progress,
) -> Draft:
    offset = label_offset(inspected, n_labels, given_offset)
    convention = usual(inspected)
    found: Found | None = None
    looked_at = [made_up_image()]
    if images is not None:
        looked_at = [image for _, image in images.read(range(min(LOOKED_AT, len(images))))]
    raw = _outputs(inspected, convention, looked_at)
    activation, seen = activation_of(inspected.backend.output, raw)
    if images is not None:
        progress.note(f"{name}: {inspected.describe()}")
        found = find_preprocessing(Trial(inspected, activation, offset, n_labels, images, progress))
        convention = found.convention
    return Draft(name, inspected, offset, activation, seen, convention, license_ or UNKNOWN_LICENCE, found)


def _outputs(inspected: Inspected, convention: Convention, images: Sequence[Image]) -> list[Tensor]:
    """Raw outputs for some images; none of a recording, which knows only its own inputs.

    Raises
    ------
    ModelError
        The network cannot be run.
    """
    spec = convention.spec(inspected)
    raw = []
    for image in images:
        try:
            raw.append(inspected.backend.predict(preprocess(image, spec, quantisation=inspected.backend.input)))
        except RunError as error:
            if not inspected.backend.recorded:
                raise ModelError(f"model cannot be run ({error})", where=inspected.file) from error
    return raw
