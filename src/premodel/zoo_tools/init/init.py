"""Making a manifest from model files: inspect, find the preprocessing where images allow, write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from premodel.backends.base import Tensor
from premodel.domains.image.decode import Image
from premodel.domains.image.preprocess import preprocess
from premodel.errors import DatasetError, ModelError, OptionError, PremodelError, RunError
from premodel.files import replacing
from premodel.profiling.progress import Progress, Silent
from premodel.runtime.candidate import check_against_manifest
from premodel.zoo.manifest import read_zoo
from premodel.zoo_tools.init.conventions import Convention, usual
from premodel.zoo_tools.init.draft import UNKNOWN_LICENCE, Draft, manifest_text, safe_name
from premodel.zoo_tools.init.found import Found
from premodel.zoo_tools.init.images import TrialImages, made_up_image
from premodel.zoo_tools.init.inspect import Inspected, activation_of, inspect_model, label_offset, numbers_given
from premodel.zoo_tools.init.labels import (
    GIVEN,
    LabelMapping,
    Order,
    empty_folders,
    folder_labels,
    label_mappings,
    matching,
    orders_of,
    with_placeholder,
)
from premodel.zoo_tools.init.notes import read_notes
from premodel.zoo_tools.init.search import find_preprocessing
from premodel.zoo_tools.init.trial import Trial

DEFAULT_LIMIT = 300
PROBE_SIZE = (224, 224)
"""Of inputs whose size is free, where only the outputs are counted."""
LOOKED_AT = 8
"""Images from whose outputs the activation is determined."""


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
    orders: Sequence[Order] = (),
    fixed_labels: bool = True,
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
        Called with how far the search is.
    orders:
        Further orders that the labels may be meant in; images decide.
    fixed_labels:
        The order of the labels was given; else it is that of folders, or of names in a model file, and images decide.

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
            mappings = label_mappings(numbers_given(one, n_labels), n_labels, offset, orders, gaps=not fixed_labels)
            yield _draft(one, names[-1], mappings, images, license_, progress or Silent(), fixed_labels)
    finally:
        for one in inspected:
            one.backend.close()


@dataclass(frozen=True)
class LabelChoice:
    """The labels of a zoo to be written.

    Attributes
    ----------
    labels:
        Their names.
    orders:
        Further orders that they may be meant in.
    fixed:
        Their order was given.
    notes:
        What the user should know of where they come from.
    """

    labels: tuple[str, ...]
    orders: tuple[Order, ...] = ()
    fixed: bool = True
    notes: tuple[str, ...] = ()


def choose_labels(files: Sequence[Path], given: Sequence[str] | None, data: Path | None) -> LabelChoice:
    """The labels of a zoo: the given ones, else those that a model file names, else the folders of the data set.

    Names in a file count only where the folders of the data set, if it has such, are among them.

    Raises
    ------
    OptionError, DatasetError
        No labels are given, no file names any, and the data set has no folder per class.
    """
    own = [notes for file in files if (notes := read_notes(file)).names]
    if given is not None:
        return LabelChoice(tuple(given), tuple(orders_of(given, [notes.names for notes in own], numbers=True)))
    folders: tuple[str, ...] | None = None
    if data is None and not own:
        raise OptionError("labels are needed", do="name the label file with --labels, and images with --data")
    if data is not None:
        try:
            folders = folder_labels(data, _counts(files, data))
        except DatasetError:
            if not own:
                raise
    for notes in own:
        matched = notes.names if folders is None else matching(notes.names, folders)
        if matched is not None and len(set(matched)) == len(matched):
            orders = orders_of(matched, [other.names for other in own])
            note = f"labels: {len(matched)} names from {notes.source}"
            return LabelChoice(tuple(matched), tuple(orders), fixed=False, notes=(note,))
    if folders is None:
        raise OptionError("labels are needed", do="name the label file with --labels")
    notes_ = tuple(f"the names in {notes.source} are not those of the folders" for notes in own[:1])
    return LabelChoice(folders, tuple(orders_of(folders)), fixed=False, notes=notes_)


def settle_labels(choice: LabelChoice, drafts: Sequence[Draft]) -> tuple[tuple[str, ...], list[Draft]]:
    """The labels in the order that fits most of the right answers, and the drafts with what does not fit in words.

    An output between the others without a folder gets a placeholder, if all models agree on it.
    """
    drafts, labels = list(drafts), choice.labels
    votes: dict[str, int] = {}
    for draft in drafts:
        votes[draft.mapping.order] = votes.get(draft.mapping.order, 0) + (draft.found.right if draft.found else 1)
    taken = max(votes, key=lambda name: votes[name], default=GIVEN)
    for order in choice.orders:
        if order.name == taken:
            labels = order.sorted(labels)
    for number, draft in enumerate(drafts):
        if draft.mapping.order != taken:
            text = (
                f"its labels are in another order than the manifest's ({draft.mapping.order}): give it one of its own"
            )
            drafts[number] = draft.with_warning(text)
    gaps = {draft.mapping.gap for draft in drafts}
    if gaps == {None}:
        return labels, drafts
    gap = next(iter(gaps))
    if len(gaps) == 1 and gap is not None:
        text = f"output {gap} is a class without a folder; --labels with its name settles it"
        return with_placeholder(labels, gap), [draft.with_warning(text) for draft in drafts]
    for number, draft in enumerate(drafts):
        if draft.mapping.gap is not None:
            text = f"output {draft.mapping.gap} is a class without a folder: give --labels with its name"
            drafts[number] = replace(draft, mapping=draft.mapping.without_gap()).with_warning(text)
    return labels, drafts


def _counts(files: Sequence[Path], data: Path) -> list[int]:
    """Outputs of the models, looked up only where folders without images may be classes."""
    empty = empty_folders(data)
    if not empty:
        return []
    found = []
    for file in files:
        try:
            opened = inspect_model(file, PROBE_SIZE)
        except PremodelError:  # drafting will tell
            continue
        found.append(opened.outputs)
        opened.backend.close()
    return found


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


def _draft(
    inspected: Inspected,
    name: str,
    mappings: Sequence[LabelMapping],
    images: TrialImages | None,
    license_: str | None,
    progress: Progress,
    fixed_labels: bool,
) -> Draft:
    mapping = mappings[0]
    convention = usual(inspected)
    found: Found | None = None
    looked_at = [made_up_image()]
    if images is not None:
        looked_at = [image for _, image in images.read(range(min(LOOKED_AT, len(images))))]
    raw = _outputs(inspected, convention, looked_at)
    activation, seen = activation_of(inspected.backend.output, raw)
    if images is not None:
        progress.note(f"{name}: {inspected.describe()}")
        found = find_preprocessing(Trial(inspected, activation, mappings, images, progress, fixed_labels))
        convention, mapping = found.convention, found.mapping
    guessed = images is None and len(mappings) > 1 and mapping.offset == 1
    return Draft(name, inspected, mapping, guessed, activation, seen, convention, license_ or UNKNOWN_LICENCE, found)


def _outputs(inspected: Inspected, convention: Convention, images: Sequence[Image]) -> list[Tensor]:
    """Raw outputs for some images; none of a recording, which answers only its own inputs.

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
