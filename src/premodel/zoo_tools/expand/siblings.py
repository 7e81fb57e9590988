"""The siblings of one model: made, opened, and asked about every image that siblings are checked on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from premodel.backends.base import Tensor
from premodel.errors import MissingExtraError, ModelError, PremodelError, RunError
from premodel.fields import Fields
from premodel.files import file_sha256, replacing
from premodel.runtime.candidate import NetworkPool, OpenedCandidate
from premodel.zoo.candidate import Candidate, Origin
from premodel.zoo_tools.expand import onnx_files, tflite_files
from premodel.zoo_tools.expand.images import Drawn
from premodel.zoo_tools.expand.judge import answers_of
from premodel.zoo_tools.expand.plan import (
    Recipe,
    file_form,
    quantiser,
    recipes,
    runtime_version,
    sibling_file,
)
from premodel.zoo_tools.expand.state import State


@dataclass(frozen=True)
class Sibling:
    """One that was made, or why it could not be.

    Attributes
    ----------
    name, original:
        Of the sibling and of the model that it is one of.
    kind:
        What it is, for people.
    candidate:
        Ready to run; None if it could not be made.
    base:
        Name of the model whose view it is; empty if it has an entry of its own.
    reason:
        Why it could not be made.
    missing_extra:
        The reason is a package that is not installed.
    answers:
        To the checked images; -1 where it failed.
    """

    name: str
    original: str
    kind: str
    candidate: Candidate | None = None
    base: str = ""
    reason: str = ""
    missing_extra: bool = False
    answers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Job:
    """The work on one model; may be sent to another process."""

    original: Candidate
    kinds: frozenset[str]
    drawn: Drawn
    folder: Path
    taken: frozenset[str]
    """Names that siblings must not have."""

    def run(self) -> list[Sibling]:
        """The original, with its answers, then its siblings.

        Raises
        ------
        ModelError, ZooError, OptionError
            The original cannot be run.
        OSError
            A file cannot be written.
        """
        state = State(self.folder / "state")
        found = list(self._made(state))
        original = Sibling(self.original.name, self.original.name, "", self.original)
        return self._asked([original, *found], state)

    def _made(self, state: State) -> Iterator[Sibling]:
        try:
            planned = recipes(self.original, self.kinds)
        except (ModelError, MissingExtraError) as error:
            yield self._failed("", error)
            return
        tensors: list[Tensor] = []
        failed: dict[Path, PremodelError] = {}
        for recipe in planned:
            file = sibling_file(self.folder, self.original, recipe)
            try:
                if file in failed:
                    raise failed[file]
                if recipe.int8 and not tensors:
                    tensors = self._tensors(self.original)
                yield self._make(recipe, tensors, state)
            except (ModelError, MissingExtraError) as error:
                failed[file] = error
                yield self._failed(recipe.suffix, error, recipe.what)

    def _failed(self, suffix: str, error: PremodelError, kind: str = "") -> Sibling:
        name, extra = self.original.name + suffix, isinstance(error, MissingExtraError)
        return Sibling(name, self.original.name, kind, reason=str(error), missing_extra=extra)

    def _make(self, recipe: Recipe, tensors: Sequence[Tensor], state: State) -> Sibling:
        model = self.original.model
        form, domain = file_form(model), self.original.domain
        view = form != "onnx" and recipe.size is not None
        settings = {**model.settings, **recipe.settings}
        if recipe.runtime != model.runtime:
            settings = {name: value for name, value in settings.items() if name in ("output", "precision")}
        made_file = recipe.int8 or (recipe.size is not None and not view)
        tool = runtime_version(recipe.runtime)
        spec = model.input if recipe.size is None or view else replace(model.input, size=recipe.size)
        digest, samples = model.digest, 0
        target = model.file
        if made_file:
            target = sibling_file(self.folder, self.original, replace(recipe, size=None) if view else recipe)
            tool, samples = ("onnx", 0) if not recipe.int8 else (quantiser(model)[1], len(tensors))
            digest = self._file(recipe if not view else replace(recipe, size=None), target, tensors, tool, state)
        if recipe.int8 and form == "tflite":
            # Its input is quantised too, by the scale that the file states: mean and std must be said for that.
            channels = spec.shape[-1] if spec.layout == "NHWC" else spec.shape[1]
            mean, std = spec.mean or (0.0,) * channels, spec.std or (1.0,) * channels
            spec = replace(spec, dtype=tflite_files.input_dtype(target), mean=mean, std=std)
        base = ""
        if view:
            base = self._name("-int8") if recipe.int8 else model.name
        made = replace(
            model,
            name=base or self._name(recipe.suffix),
            file=target,
            sha256=digest if made_file else model.file_digest,
            git_blob_sha1=None if made_file else model.git_blob_sha1,
            files={} if made_file else model.files_to_state,
            url="",
            package=None,
            runtime=recipe.runtime,
            input=spec,
            settings=settings,
            origin=Origin(model.digest, recipe.what, tool, samples),
        )
        if view and not recipe.int8:
            made = model
        seen = domain.plain_view()
        if view and recipe.size is not None:
            named = Fields({"size": list(recipe.size)}, self.original.name)
            seen = domain.read_view(named, recipe.suffix.partition("@")[2])
        candidate = Candidate(made, seen, self.original.n_labels)
        return Sibling(candidate.name, self.original.name, recipe.what, candidate, base)

    def _name(self, suffix: str) -> str:
        name = self.original.name + suffix
        number = 2
        while name in self.taken:
            name, number = f"{self.original.name}{suffix}-{number}", number + 1
        return name

    def _file(self, recipe: Recipe, target: Path, tensors: Sequence[Tensor], tool: str, state: State) -> str:
        """Make the sibling's file unless it is there from before; gives its SHA-256."""
        model = self.original.model
        calibrated = self.drawn.digest(self.drawn.calibration) if recipe.int8 else ""
        key = (model.digest, repr(model.input), recipe.int8, recipe.size, tool, calibrated, target.name)
        known = state.get(*key)
        if known is not None and target.is_file() and file_sha256(target) == known:
            return str(known)
        with replacing(target, durable=False) as part:
            source = model.file
            if recipe.size is not None:
                shape = replace(model.input, size=recipe.size).shape
                onnx_files.fix_size(source, shape, part)
                source = part
            if recipe.int8:
                if recipe.size is not None:
                    tensors = self._tensors(self.original, recipe.size)
                quantiser(model)[0].quantise(source, tensors, part)
        digest = file_sha256(target)
        state.put(digest, *key)
        return digest

    def _tensors(self, candidate: Candidate, size: tuple[int, int] | None = None) -> list[Tensor]:
        """The calibration images as the network is fed them."""
        spec = candidate.input if size is None else replace(candidate.input, size=size)
        prepare = candidate.domain.prepare
        return [
            prepare(image, spec, candidate.view).copy() for _, image in self.drawn.read(self.drawn.calibration)
        ]  # fmt: skip

    def _asked(self, siblings: Sequence[Sibling], state: State) -> list[Sibling]:
        """The siblings with their answers to the checked images; one that cannot be opened is given the reason."""
        checked = self.drawn.digest(self.drawn.checked)
        known: dict[str, Any] = {}
        opened: dict[str, OpenedCandidate] = {}
        found = []
        pool = NetworkPool()
        try:
            for sibling in siblings:
                candidate = sibling.candidate
                if candidate is not None:
                    before = state.get(candidate.prediction_key, checked)
                    if isinstance(before, list) and len(before) == len(self.drawn.checked):
                        known[sibling.name] = before
                    else:
                        try:
                            opened[sibling.name] = pool.open(candidate)
                        except (PremodelError, RunError) as error:
                            if sibling.name == self.original.name:
                                raise
                            sibling = replace(sibling, candidate=None, reason=str(error))
                found.append(sibling)
            if opened:
                fresh: dict[str, list[int]] = {name: [] for name in opened}
                for _, image in self.drawn.read(self.drawn.checked):
                    shared = self.drawn.domain.shared(image)
                    for name, one in opened.items():
                        fresh[name].append(answers_of(one, image, shared))
                for name, answers in fresh.items():
                    state.put(answers, opened[name].candidate.prediction_key, checked)
                known.update(fresh)
        finally:
            pool.close()
        return [replace(one, answers=tuple(known.get(one.name, ()))) for one in found]
