"""Making the pool: siblings of every model of a zoo, those that pay kept, the others named with the reason."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError, PremodelError, ZooError
from premodel.files import file_sha256
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.progress import Progress, Silent
from premodel.profiling.workers.ctrl_c import kept_from_children
from premodel.runtime.candidate import open_candidates
from premodel.runtime.conditions import device_name
from premodel.zoo.candidate import Candidate, require_file
from premodel.zoo.manifest import Zoo
from premodel.zoo_tools.expand.images import Drawn, draw
from premodel.zoo_tools.expand.judge import Accuracy, Speed, compare_answers, compare_speed, measure
from premodel.zoo_tools.expand.plan import file_form, wanted_kinds
from premodel.zoo_tools.expand.siblings import Job, Sibling
from premodel.zoo_tools.expand.state import State
from premodel.zoo_tools.expand.write import Entry, check_writer, write_expanded

DEFAULT_CALIBRATION = 100
DEFAULT_CHECKED = 300
DEFAULT_MAX_LOSS = 5.0
TIMED_IMAGES = 16
MANIFEST = "manifest"


@dataclass(frozen=True)
class ExpandOptions:
    """What to make and how.

    Attributes
    ----------
    only, without:
        Kinds of siblings (`plan.KINDS`); all if neither is given.
    calibration:
        Images to calibrate on, at most a quarter of those there are.
    checked:
        Images to check siblings on.
    max_loss:
        Points of accuracy: a sibling whose loss is shown to be larger is left out.
    jobs:
        Models worked on at a time.
    seed:
        Of every random draw.
    force:
        Replace a manifest that this command did not write.
    """

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    calibration: int = DEFAULT_CALIBRATION
    checked: int = DEFAULT_CHECKED
    max_loss: float = DEFAULT_MAX_LOSS
    jobs: int = 1
    seed: int = 0
    force: bool = False

    def check(self) -> frozenset[str]:
        """The kinds to make; OptionError for a value out of range."""
        for name in ("calibration", "checked", "jobs"):
            if getattr(self, name) < 1:
                raise OptionError(f"wrong {name}", given=getattr(self, name), allowed="1 or more")
        if not 0 <= self.max_loss <= 100:
            raise OptionError("wrong loss of accuracy", given=self.max_loss, allowed="points from 0 to 100")
        return wanted_kinds(self.only, self.without)


@dataclass(frozen=True)
class Outcome:
    """What became of one sibling.

    Attributes
    ----------
    reason:
        Why it is left out; empty if it is in the new manifest.
    accuracy, speed:
        Against its original; None where it did not come to that.
    """

    name: str
    original: str
    kind: str
    reason: str = ""
    accuracy: Accuracy | None = None
    speed: Speed | None = None
    missing_extra: bool = False

    @property
    def kept(self) -> bool:
        """Is it in the new manifest."""
        return not self.reason

    @property
    def figures(self) -> str:
        """Accuracy and speed in words."""
        words = []
        if self.accuracy is not None:
            low, high = (100 * bound for bound in self.accuracy.difference_ci)
            change = 100 * (self.accuracy.accuracy - self.accuracy.original)
            words.append(
                f"{100 * self.accuracy.accuracy:.1f} %, {change:+.1f} points [{low:+.1f}, {high:+.1f}] on "
                f"{self.accuracy.images} images"
            )
        if self.speed is not None:
            low, high = self.speed.ratio_ci
            words.append(f"{self.speed.ratio:.2f}x [{low:.2f}, {high:.2f}] as fast")
        return ", ".join(words)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        accuracy, speed = self.accuracy, self.speed
        return {
            "name": self.name,
            "original": self.original,
            "kind": self.kind,
            "kept": self.kept,
            "reason": self.reason or None,
            "accuracy": accuracy and accuracy.accuracy,
            "original_accuracy": accuracy and accuracy.original,
            "difference_ci": accuracy and list(accuracy.difference_ci),
            "agrees": accuracy and accuracy.agrees,
            "images": accuracy and accuracy.images,
            "speed": speed and speed.ratio,
            "speed_ci": speed and list(speed.ratio_ci),
            "latency_ms": speed and speed.median_ms,
        }


@dataclass(frozen=True)
class Expansion:
    """What was made.

    Attributes
    ----------
    outcomes:
        Of every sibling that was tried.
    untouched:
        Models that no sibling is made of, and why.
    calibration:
        Images calibrated on.
    """

    out: Path
    outcomes: tuple[Outcome, ...]
    untouched: dict[str, str]
    calibration: int
    checked: int


def expand(
    zoo: Zoo, dataset: Dataset, out: Path, options: ExpandOptions | None = None, progress: Progress | None = None
) -> Expansion:
    """Make siblings of every model, keep those that pay, and write the expanded manifest.

    Broken off at any moment, the same call goes on: what was made and measured lies beside the new manifest.

    Parameters
    ----------
    zoo:
        The originals.
    dataset:
        Labelled images: some are calibrated on and marked, others are checked on.
    out:
        The new manifest; files go into the folder of its name, `-siblings` appended.

    Raises
    ------
    MissingExtraError
        What writes manifests is not installed, or nothing could be made for want of packages.
    OptionError
        An option is wrong, the manifest is there and was not written by this command, or a file cannot be written.
    DatasetError
        There are too few images.
    ModelError, ZooError, RunError
        An original cannot be run.
    """
    options, progress = options or ExpandOptions(), progress or Silent()
    kinds = options.check()
    check_writer()
    folder = out.absolute().with_name(f"{out.stem}-siblings")
    _check_out(zoo, out, folder, options.force)
    originals, untouched = _originals(zoo)
    for original in originals:
        require_file(original.model)
    needs = "int8" in kinds and any(_is_float(one) for one in originals)
    domain = zoo.candidates[0].domain
    drawn = draw(dataset, domain, options.calibration if needs else 0, options.checked, options.seed)
    try:
        folder.mkdir(exist_ok=True)
        state = State(folder / "state")
        taken = frozenset(candidate.name for candidate in zoo.candidates)
        jobs = [Job(original, kinds, drawn, folder, taken) for original in originals]
        outcomes: list[Outcome] = []
        entries: list[Entry] = []
        timing: list[list[Sibling]] = []
        progress.begin("making and checking siblings", len(jobs), "models")
        try:
            for siblings in _run(jobs, options.jobs):
                timing.append(siblings)
                progress.advance()
        finally:
            progress.end()
        progress.begin("timing siblings", len(timing), "models")
        try:
            for original, siblings in zip(originals, timing, strict=True):
                for outcome, sibling in _judge(original, siblings, drawn, options, state):
                    outcomes.append(outcome)
                    if outcome.kept and sibling.candidate is not None:
                        entries.append(Entry(sibling.candidate, original.name, sibling.base, _comment(outcome)))
                progress.advance()
        finally:
            progress.end()
        if outcomes and not entries and all(outcome.missing_extra for outcome in outcomes):
            raise OptionError(outcomes[0].reason)
        marks = drawn.marks if any(_calibrated(entry) for entry in entries) else {}
        write_expanded(zoo, out, entries, marks)
        state.put(file_sha256(out), MANIFEST)
    except OSError as error:
        raise OptionError(
            f"a sibling cannot be written ({error.strerror or error})", where=error.filename or folder,
            do="make room and give the same command again: it goes on where it stopped",
        ) from error  # fmt: skip
    return Expansion(out, tuple(outcomes), untouched, len(marks), len(drawn.checked))


def _check_out(zoo: Zoo, out: Path, folder: Path, force: bool) -> None:
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise OptionError("not a file in a folder that is there", where=out, do="choose another --out")
    if out.exists() and out.resolve() == zoo.file.resolve():
        raise OptionError("the expanded manifest must be another file than the original", where=out)
    if not out.exists() or force:
        return
    if State(folder / "state").get(MANIFEST) != file_sha256(out):
        raise OptionError(
            "there is such a file already, and this command did not write it or it was changed since", where=out,
            do="choose another --out, or say --force",
        )  # fmt: skip


def _originals(zoo: Zoo) -> tuple[list[Candidate], dict[str, str]]:
    """What siblings are made of, and the others with the reason; views are left as they are."""
    originals: list[Candidate] = []
    untouched: dict[str, str] = {}
    for candidate in zoo.candidates:
        model = candidate.model
        if candidate.view.name:
            continue
        if model.origin is not None:
            untouched[model.name] = f"is a sibling itself ({model.origin.kind})"
        elif model.is_remote:
            untouched[model.name] = "runs on another machine: expand the zoo there"
        elif not file_form(model):
            untouched[model.name] = f"nothing is made of files for {model.runtime}"
        else:
            originals.append(candidate)
    if not originals:
        reason = next(iter(untouched.items()), ("", "no model"))
        raise ZooError(
            "no model of this zoo has siblings", where=zoo.file, given=": ".join(reason),
            allowed="models for onnx, openvino or litert",
        )  # fmt: skip
    return originals, untouched


def _is_float(candidate: Candidate) -> bool:
    return candidate.model.input.dtype == "float32" and file_form(candidate.model) in ("onnx", "tflite")


def _run(jobs: Sequence[Job], count: int) -> Iterator[list[Sibling]]:
    """Their results in order; in processes of their own where several may run at a time."""
    if count == 1 or len(jobs) == 1:
        for job in jobs:
            yield job.run()
        return
    others = set(multiprocessing.active_children())
    with ExitStack() as stack:
        pool = ProcessPoolExecutor(min(count, len(jobs)), multiprocessing.get_context("spawn"))
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        try:
            with kept_from_children():
                futures = [pool.submit(_run_one, job) for job in jobs]
            for future in futures:
                found = future.result()
                if isinstance(found, PremodelError):
                    raise found
                yield found
        except KeyboardInterrupt:  # what they have begun is begun again by the next call
            for process in set(multiprocessing.active_children()) - others:
                process.kill()
            raise


def _run_one(job: Job) -> list[Sibling] | PremodelError:
    """The work of a process; errors travel as values, since not every exception can be sent."""
    try:
        return job.run()
    except PremodelError as error:
        return _sendable(error)


def _sendable(error: PremodelError) -> PremodelError:
    kind = type(error)
    with suppress(TypeError):
        return kind(str(error))
    return PremodelError(str(error))


def _judge(
    original: Candidate, siblings: Sequence[Sibling], drawn: Drawn, options: ExpandOptions, state: State
) -> Iterator[tuple[Outcome, Sibling]]:
    """The outcome of every sibling of one model."""
    own, *others = siblings
    labels = [int(drawn.dataset.labels[row]) for row in sorted(drawn.checked)]
    outcomes: dict[str, Outcome] = {}
    for one in others:
        reason, accuracy = one.reason, None
        if not reason:
            accuracy = compare_answers(one.answers, own.answers, labels)
            failed = sum(answer < 0 for answer in one.answers)
            reason = f"broken: fails on {failed} of {len(labels)} images" if failed else ""
            reason = reason or accuracy.fault(options.max_loss / 100)
        outcomes[one.name] = Outcome(one.name, one.original, one.kind, reason, accuracy, None, one.missing_extra)
    running = [one for one in others if not outcomes[one.name].reason and one.candidate is not None]
    if running:
        speeds, runs = _speeds(original, running, drawn, state, options.seed)
        for one in running:
            outcome = outcomes[one.name]
            speed = speeds[one.name]
            outcomes[one.name] = Outcome(
                outcome.name, outcome.original, outcome.kind, speed.fault, outcome.accuracy, speed
            )
        _drop_slower_runtimes(running, outcomes, runs)
    _drop_views_without_base(running, outcomes)
    for one in others:
        yield outcomes[one.name], one


def _speeds(
    original: Candidate, running: Sequence[Sibling], drawn: Drawn, state: State, seed: int
) -> tuple[dict[str, Speed], dict[str, NDArray[np.float64]]]:
    candidates = [original, *(one.candidate for one in running if one.candidate is not None)]
    key = ("speed", device_name(), drawn.digest(drawn.checked), [one.timing_key for one in candidates])
    rows = state.get(*key)
    if rows is None:
        images = [image for _, image in drawn.read(sorted(drawn.checked)[:TIMED_IMAGES])]
        opened = open_candidates(candidates)
        try:
            rows = measure(opened, images, seed).tolist()
        finally:
            for one in opened:
                one.close()
        state.put(rows, *key)
    spent = np.array(rows, dtype=np.float64)
    runs = {one.name: spent[:, 1 + column] for column, one in enumerate(running)}
    return {name: compare_speed(spent[:, 0], own) for name, own in runs.items()}, runs


def _drop_slower_runtimes(
    running: Sequence[Sibling], outcomes: dict[str, Outcome], runs: dict[str, NDArray[np.float64]]
) -> None:
    """Of the same file at the same size and precision under several runtimes, the fastest is enough."""
    groups: dict[tuple[Any, ...], list[Sibling]] = {}
    for one in running:
        if outcomes[one.name].kept and one.candidate is not None:
            model = one.candidate.model
            key = (model.digest, one.candidate.input.size, model.settings.get("precision"))
            groups.setdefault(key, []).append(one)
    for group in groups.values():
        fastest = min(group, key=lambda one: float(np.median(runs[one.name])))
        for one in group:
            if one is not fastest:
                before = outcomes[one.name]
                outcomes[one.name] = Outcome(
                    before.name, before.original, before.kind, f"{fastest.name} is the same file, and faster here",
                    before.accuracy, before.speed,
                )  # fmt: skip


def _drop_views_without_base(running: Sequence[Sibling], outcomes: dict[str, Outcome]) -> None:
    """A view of a sibling that is left out has no entry to stand in."""
    for one in running:
        before = outcomes[one.name]
        base = outcomes.get(one.base)
        if before.kept and base is not None and not base.kept:
            outcomes[one.name] = Outcome(
                before.name, before.original, before.kind, f"{one.base}, whose view it is, is left out",
                before.accuracy, before.speed,
            )  # fmt: skip


def _calibrated(entry: Entry) -> bool:
    origin = entry.candidate.model.origin
    return origin is not None and origin.calibration_samples > 0


def _comment(outcome: Outcome) -> str:
    return f"{outcome.kind} of {outcome.original}: {outcome.figures}"
