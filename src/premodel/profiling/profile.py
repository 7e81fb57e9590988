"""Profiling: the passes that fill a store, each of which only does what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from premodel.clock import now_ms
from premodel.errors import DatasetError, OptionError
from premodel.profiling.boards import Board, answering, find_board, latency_notes
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.meters.meters import OFF
from premodel.profiling.options import PASSES, ProfileOptions
from premodel.profiling.passes.energy import EnergyOptions, EnergyResult, measure_energy
from premodel.profiling.passes.features import extract_all
from premodel.profiling.passes.penultimate import check_candidate, extract_penultimate
from premodel.profiling.passes.predictions import predict_all
from premodel.profiling.passes.same_answers import compare_answers
from premodel.profiling.passes.scores import score_all
from premodel.profiling.passes.soak import SoakPlan, refuse_remote, soak_all
from premodel.profiling.passes.timings import TimingOptions, TimingResult, candidates_to_time, time_all
from premodel.profiling.progress import Progress, Silent
from premodel.profiling.race import Race, StartRace, can_race, kept_out, pays
from premodel.profiling.report import ProfileReport
from premodel.profiling.samples import Inventory, draw_rows, take_inventory
from premodel.profiling.workers.ray_pool import RayWorkers
from premodel.profiling.workers.workers import LocalWorkers, Workers
from premodel.runtime.candidate import open_network
from premodel.runtime.conditions import WHEN_IDLE, busy_note, device_name, measure_conditions, too_many_threads
from premodel.store.answers import known_ranks
from premodel.store.conditions import add_condition
from premodel.store.left_out import LEFT_OUT_OF_RACE, LeftOut, read_left_out, write_left_out
from premodel.store.measurements import read_energy
from premodel.store.runs import (
    COMPARED,
    EMBEDDING,
    FEATURES_VERSION,
    begin_run,
    end_run,
    otherwise_note,
    register_zoo,
    unrepeatable_note,
)
from premodel.store.samples import Entry, register_samples, set_aside
from premodel.store.store import Store
from premodel.zoo.candidate import Candidate
from premodel.zoo.manifest import Zoo

__all__ = ["PASSES", "ProfileOptions", "ProfileReport", "profile"]


def profile(
    zoo: Zoo,
    dataset: Dataset,
    store: str | Path | Store,
    options: ProfileOptions | None = None,
    progress: Progress | None = None,
) -> ProfileReport:
    """Measure every candidate on every sample; what the store holds already is not done again.

    Parameters
    ----------
    zoo:
        The candidates.
    dataset:
        The labelled samples.
    store:
        A file of SQLite, an SQLAlchemy URL, or an opened store.
    options:
        What to measure and how.
    progress:
        Called with how far each pass is.

    Raises
    ------
    ModelError, ZooError, MissingExtraError, OptionError
        A candidate cannot be opened, or fails on everything. Every candidate is opened before anything is measured.
        No Ray cluster answers, or Ray is not installed. An embedding is wanted, and the inputs have none or its
        package is not installed.
    DatasetError
        No sample can be read.
    StoreError
        The store cannot be opened or written to, or belongs to another list of labels.
    """
    options = options or ProfileOptions()
    options.check()
    dataset = dataset.with_detail(zoo.detail)
    if options.embedding:
        dataset = dataset.with_embedding()
    with ExitStack() as stack:
        workers = stack.enter_context(closing(_workers(options)))
        if options.threads is not None:
            candidates = tuple(candidate.with_threads(options.threads) for candidate in zoo.candidates)
        else:
            candidates = zoo.candidates
        if options.soak is not None:
            refuse_remote(candidates)
        board = find_board(candidates, options.device, dataset.features) if "timings" in options.passes else None
        for candidate in _opened_in(options.passes, candidates):
            open_network(candidate).close()
        opened = store if isinstance(store, Store) else stack.enter_context(Store(store, create=True))
        return _Run(zoo, candidates, board, dataset, opened, workers, options, progress or Silent()).go()


def _workers(options: ProfileOptions) -> Workers:
    return LocalWorkers(options.workers) if options.ray is None else RayWorkers(options.ray)


def _opened_in(passes: Sequence[str], candidates: Sequence[Candidate]) -> list[Candidate]:
    """One candidate of each network here, and of each behind a server that these passes need."""
    wanted = [candidate for candidate in candidates if not candidate.model.is_remote or "timings" in passes]
    wanted += [answering(candidate) for candidate in candidates if "predictions" in passes]
    return list({candidate.network_key: candidate for candidate in wanted}.values())


class _Run:
    """One run: registers, passes, outcome."""

    def __init__(
        self,
        zoo: Zoo,
        candidates: Sequence[Candidate],
        board: Board | None,
        dataset: Dataset,
        store: Store,
        workers: Workers,
        options: ProfileOptions,
        progress: Progress,
    ) -> None:
        self.zoo = zoo
        self.candidates = candidates
        self.answering = [answering(candidate) for candidate in candidates]
        self.board = board
        self.latency_notes = latency_notes(candidates, board)
        self.dataset = dataset
        self.store = store
        self.workers = workers
        self.options = options
        self.progress = progress
        self.run = 0
        self.opencv_threads = options.threads or 1
        self.device = options.device or (board.device if board else device_name())
        self.left = self._left_before()
        self.behind = None if options.penultimate is None else _named(candidates, options.penultimate)

    def go(self) -> ProfileReport:
        """Do all that was asked for."""
        domain = self.dataset.domain
        threads_before = domain.threads()
        try:
            register_zoo(self.store, self.zoo.labels, self.candidates, self.opencv_threads)
            rows = draw_rows(self.dataset, self.options.limit, self.options.seed, self.zoo.calibration)
            run = self.run = self._begin()
            start = now_ms()
            inventory = take_inventory(self.dataset, rows, self.progress)
            report = ProfileReport(run, self.device, len(rows), inventory)
            self._set_calibration_aside(report)
            report.relabelled = register_samples(self.store, self.dataset.names, inventory.entries)
            report.seconds["reading"] = (now_ms() - start) / 1e3
            _note_what_was_read(self.progress.note, self.dataset, inventory, report.relabelled)
            threads = {one.name: one.model.threads for one in self.candidates if not one.model.is_remote}
            crowded = too_many_threads({**threads, "OpenCV": self.opencv_threads})
            if crowded:
                self.progress.note(crowded)
            self._passes(report)
            self._end(report)
            return report
        finally:
            domain.set_threads(threads_before)

    def _left_before(self) -> dict[str, LeftOut]:
        """Who stays left out: without the prediction pass whoever is, with it only where nothing has changed."""
        if self.options.full:
            return {}
        with self.store.reading() as connection:
            before = read_left_out(connection)
        return kept_out(before, self.answering, self.device) if "predictions" in self.options.passes else before

    @property
    def running(self) -> list[Candidate]:
        """The candidates that are not left out."""
        pairs = zip(self.candidates, self.answering, strict=True)
        return [one for one, asked in pairs if asked.prediction_key not in self.left]

    @property
    def _asked(self) -> list[Candidate]:
        """Those that answer for them in the prediction pass."""
        return [one for one in self.answering if one.prediction_key not in self.left]

    def _race(self, entries: Sequence[Entry]) -> StartRace | None:
        """What starts a race; None if everything is to be profiled, or the times of this pass are no basis."""
        if self.options.full or self.options.ray is not None or not can_race(self._asked, self.workers.apart):
            return None
        others = {one.prediction_key: one for one in self.answering if one.prediction_key in self.left}

        def start(distinct: Sequence[Candidate], wanted: Mapping[str, tuple[int, ...]]) -> Race | None:
            if not pays(wanted):
                return None
            racing = [*distinct, *others.values()]
            known = [known_ranks(self.store, one.prediction_key, entries) for one in racing]
            return Race(racing, len(self.zoo.labels), known, self.device, self.left, self._leave, self.options.seed)

        return start

    def _leave(self, left: Mapping[str, LeftOut], new: Mapping[str, LeftOut]) -> None:
        write_left_out(self.store, self.run, left)
        for one in new.values():
            self.progress.note(f"{one.name}: {one.note}")

    def _set_calibration_aside(self, report: ProfileReport) -> None:
        """Take the samples out that models were calibrated on, here and in the store."""
        inventory = report.inventory
        aside = [entry for entry in inventory.entries if entry.sample in self.zoo.calibration]
        if aside:
            inventory.entries = [entry for entry in inventory.entries if entry.sample not in self.zoo.calibration]
            set_aside(self.store, self.dataset.names, aside)
            report.calibration = len(aside)
            self.progress.note(f"{len(aside)} samples left out, as models of this zoo were calibrated on them")

    def _passes(self, report: ProfileReport) -> None:
        """What may be spread comes first; what needs a clock comes when all workers are gone."""
        if not report.inventory.entries:
            self._need_one_readable(0, report)
        passes = {
            "predictions": self._predict,
            "features": self._extract,
            "penultimate": self._look_behind,
            "timings": self._time,
            "energy": self._measure_energy,
        }
        for name, work in passes.items():
            if name not in self.options.passes and not (name == "penultimate" and self.behind is not None):
                continue
            if name in ("timings", "energy"):
                self.workers.close()
            start = now_ms()
            work(report)
            report.seconds[name] = (now_ms() - start) / 1e3
        if self.options.soak is not None:
            self.workers.close()
            plan = SoakPlan(self.options.soak, self.opencv_threads, report.run, self.options.seed)
            report.soak = soak_all(
                self.store, self.running, self.dataset, report.inventory.entries, plan, self.progress
            )

    def _predict(self, report: ProfileReport) -> None:
        race = self._race(report.inventory.entries)
        report.predictions = predict_all(self.store, self._asked, *self._spread(report), race)
        report.scores = score_all(self.store, self.answering, self.dataset, report.inventory.entries)
        names = {one.prediction_key: one.name for one in self.answering}
        for key, (differ, asked) in report.predictions.repeated.items():
            if differ:
                self.progress.note(unrepeatable_note(names[key], differ, asked))
        self._need_one_readable(report.predictions.opened + report.predictions.kept, report)

    def _extract(self, report: ProfileReport) -> None:
        report.features = extract_all(self.store, *self._spread(report))
        self._need_one_readable(report.features.vectors + report.features.kept, report)

    def _look_behind(self, report: ProfileReport) -> None:
        if self.behind is not None:
            report.penultimate = extract_penultimate(self.store, self.behind, *self._spread(report))

    def _spread(self, report: ProfileReport) -> tuple[Dataset, Sequence[Entry], Workers, Progress, int]:
        """What every pass that workers do is given."""
        return self.dataset, report.inventory.entries, self.workers, self.progress, self.opencv_threads

    def _time(self, report: ProfileReport) -> None:
        options = TimingOptions(
            self.device,
            self.opencv_threads,
            report.run,
            self.options.max_timing_seconds,
            self.options.retime,
            self.options.seed,
            self.board,
        )
        entries = report.inventory.entries
        # Before they are timed: what is broken off here is done when timing is.
        self._compare_answers(report, candidates_to_time(self.store, self.running, options))
        report.timings = time_all(self.store, self.running, self.dataset, entries, options, self.progress)
        _note_how_timing_went(self.progress.note, report.timings, self.latency_notes)

    def _compare_answers(self, report: ProfileReport, untimed: Sequence[Candidate]) -> None:
        """Of those that are timed now, unless it was here and in this run that all answers were computed."""
        predicted = report.predictions
        made_here = predicted is not None and not predicted.kept and self.board is None and self.options.ray is None
        if not untimed or made_here:
            return
        entries = report.inventory.entries
        found = compare_answers(self.store, untimed, self.dataset, entries, self.opencv_threads, self.progress)
        report.compared = found
        add_condition(self.store, self.run, COMPARED, found)
        for one in untimed:
            differ, asked = found.get(one.prediction_key, (0, 0))
            if differ:
                self.progress.note(otherwise_note(one.name, self.device, differ, asked))

    def _measure_energy(self, report: ProfileReport) -> None:
        if all(candidate.model.is_remote for candidate in self.candidates):
            report.energy = EnergyResult(reason="the models run on another machine, which no meter here sees")
            self.progress.note(f"energy: not measured ({report.energy.reason})")
            return
        options = EnergyOptions(
            self.device,
            self.opencv_threads,
            report.run,
            self.options.max_timing_seconds,
            self.options.retime,
            self.options.seed,
            self.options.energy,
        )
        try:
            report.energy = measure_energy(
                self.store, self.running, self.dataset, report.inventory.entries, options, self.progress
            )
        except OptionError:
            self._end(report)
            raise
        said = read_energy(self.store, self.device).conditions
        if (
            report.energy.reason
            and self.options.energy != OFF
            and (said is None or said.reason != report.energy.reason)
        ):
            self.progress.note(f"energy: not measured ({report.energy.reason})")  # else the store states it
        if report.energy.invalid:
            names = ", ".join(report.energy.invalid)
            self.progress.note(f"INVALID energies: {names}; measure them again with --only energy --retime")

    def _need_one_readable(self, readable: int, report: ProfileReport) -> None:
        if not readable and report.calibration and not report.unreadable:
            self._end(report)
            noun = self.dataset.domain.noun
            raise DatasetError(
                f"every {noun} of it is one that models of this zoo were calibrated on", where=self.dataset.root,
                given=f"{report.calibration} samples", do=f"give others: {noun}s to be profiled must be new to it",
            )  # fmt: skip
        if not readable:
            name, reason = next(
                iter(report.unreadable.items()), (str(self.dataset.root), f"no {self.dataset.domain.plural}")
            )
            self._end(report)
            raise DatasetError(
                f"no {self.dataset.domain.noun} can be read",
                where=self.dataset.root,
                given=f"{report.rows} files; {name}: {reason}",
            )

    def _begin(self) -> int:
        domain = self.dataset.domain
        conditions = asdict(measure_conditions(self.device, self.opencv_threads, self.options.seed))
        if self.board is not None:
            conditions |= {**self.board.conditions, "device": self.device, "seed": self.options.seed}
        if self.latency_notes and "timings" in self.options.passes:
            conditions["latency"] = self.latency_notes
        conditions["candidates"] = {candidate.name: candidate.model.digest for candidate in self.candidates}
        if self.left:
            conditions[LEFT_OUT_OF_RACE] = {key: one.to_json() for key, one in self.left.items()}
        if domain.feature_groups:
            conditions[FEATURES_VERSION] = domain.features_version
        if self.options.embedding:
            conditions[EMBEDDING] = True
        if self.options.ray is not None:
            conditions["ray"] = self.options.ray
        conditions["zoo"] = {"name": self.zoo.name, "file": str(self.zoo.file.absolute())}
        conditions["data"] = {"root": str(self.dataset.root.absolute()), "form": self.dataset.form}
        row = {"started": _utc(), "command": self.options.command, "conditions": json.dumps(conditions)}
        return begin_run(self.store, row)

    def _end(self, report: ProfileReport) -> None:
        end_run(self.store, report.run, {"finished": _utc(), "outcome": json.dumps(report.to_json())})


def _named(candidates: Sequence[Candidate], name: str) -> Candidate:
    """The candidate whose penultimate features are wanted; raises as `check_candidate`."""
    for candidate in candidates:
        if candidate.name == name:
            check_candidate(candidate)
            return candidate
    raise OptionError("unknown candidate", given=name, allowed=", ".join(one.name for one in candidates))


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _note_what_was_read(note: Callable[[str], None], dataset: Dataset, inventory: Inventory, relabelled: int) -> None:
    """Missing images, duplicates, contradictions, and how many samples have another label than before."""
    for text in dataset.notes:
        note(text)
    if dataset.missing:
        note(f"{len(dataset.missing)} listed {dataset.domain.plural} are not there, such as {dataset.missing[0]}")
    duplicates = inventory.duplicates
    if duplicates:
        first = duplicates[0]
        note(f"{len(duplicates)} duplicates left out, such as {first.name}, which has the bytes of {first.first}")
    contradictions = [duplicate for duplicate in duplicates if duplicate.contradicts]
    if contradictions:
        first = contradictions[0]
        note(
            f"{len(contradictions)} of them have another label than the one that is kept, "
            f"such as {first.name} (kept: {first.first})"
        )
    if relabelled:
        note(f"{relabelled} samples have another label than before; their predictions are made anew")


def _note_how_timing_went(note: Callable[[str], None], result: TimingResult, latency_notes: Mapping[str, str]) -> None:
    """What a latency holds where that is special, INVALID timings, and a machine that was not idle."""
    for text in dict.fromkeys(latency_notes.values()):
        names = ", ".join(name for name, own in latency_notes.items() if own == text)
        note(f"latency of {names}: {text}")
    busy = busy_note(result.other_cores, result.other_processes)
    found = [f"{busy} while timing; latencies may be too high"] if busy else []
    found += [f"INVALID timings: {', '.join(result.invalid)}"] if result.invalid else []
    if found:
        note(f"{'; '.join(found)}: measure them again with --retime{' all' if busy else ''} {WHEN_IDLE}")
