"""The steps of the demo, in order. Each uses what earlier ones made and takes up what is in the folder already.

A further step is a function here and a line in STEPS.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from premodel.demo.digits import write
from premodel.demo.folder import BENCH, REPORT, SCENES, STORE, TEXTS
from premodel.demo.state import FEATURE_SAMPLES, Demo
from premodel.errors import OptionError
from premodel.evaluation.bench import bench
from premodel.evaluation.diagnosis import format_diagnosis
from premodel.evaluation.doctor import diagnose
from premodel.evaluation.evaluate import evaluate
from premodel.evaluation.final_test import final_test, train_and_test
from premodel.evaluation.final_test_record import FinalTest
from premodel.evaluation.peer_curves import peer_curves
from premodel.evaluation.report.page import Report, write_report
from premodel.evaluation.report.pictures import Difficulty
from premodel.evaluation.report.stored import stored_runs
from premodel.evaluation.rows import best_premodel
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.datasets.columns import DatasetOptions
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, profile
from premodel.runtime.conditions import OtherLoad, busy_note
from premodel.runtime.engine import Premodel
from premodel.store.store import Store
from premodel.training.load import load_candidates, load_tables
from premodel.training.model_selection import select_models
from premodel.training.objective import Objective
from premodel.training.options import DEFAULT_POLICY, TrainOptions
from premodel.training.package import package
from premodel.training.record import Trained
from premodel.training.tables import Tables
from premodel.training.train import train

BENCH_IMAGES = 300
TITLE = "Digits in the street: the premodel demo"
TEXT_TITLE = "Whose documentation: the premodel demo on texts"


def make_scenes(demo: Demo) -> None:
    """Draw the scenes to profile, and others for the real runs."""
    options = demo.options
    count = min(BENCH_IMAGES, options.images // 2) if options.bench_images is None else options.bench_images
    demo.made_dataset = _scenes(demo, SCENES, options.images, options.seed)
    demo.made_bench_dataset = _scenes(demo, BENCH, count, options.seed + 1)
    with (demo.folder / SCENES / "labels.csv").open(encoding="utf-8", newline="") as stream:
        demo.difficulty = {row["path"]: float(row["difficulty"]) for row in csv.DictReader(stream)}


def make_texts(demo: Demo) -> None:
    """Read as texts what `texts.write_split` has written."""
    labels = demo.zoo.labels
    options = DatasetOptions(task=demo.zoo.task)
    demo.made_dataset = read_dataset(demo.folder / TEXTS, label_names=labels, options=options)
    demo.made_bench_dataset = read_dataset(demo.folder / BENCH, label_names=labels, options=options)


def profile_scenes(demo: Demo) -> None:
    """Run every network on every scene, time it, extract the features; only what the store lacks."""
    options = ProfileOptions(
        workers=demo.options.workers,
        max_timing_seconds=demo.options.timing_seconds,
        retime="invalid",
        seed=demo.options.seed,
        command="premodel demo",
    )
    dataset = demo.dataset
    with Store(demo.folder / STORE, create=True) as store:
        demo.made_profile = report = profile(demo.zoo, dataset, store, options, demo.progress)
        tables = load_tables(store, device=report.device, partial=True)
    entries = report.inventory.entries
    paths = dataset.paths or ()
    demo.files = {entry.sample: paths[entry.row] for entry in entries}
    # The store may hold scenes of an earlier demo with other options.
    wanted = {entry.sample for entry in entries}
    demo.made_tables = tables.take(np.flatnonzero([sample in wanted for sample in tables.samples]))
    accuracy = demo.tables.correct("top1").mean(axis=0)
    for column in np.argsort(demo.tables.latency_ms):
        timing = demo.tables.timings[column]
        demo.progress.note(
            f"  {demo.tables.candidates[column]}: {100 * accuracy[column]:.1f} % right, {timing.mean_ms:.3f} ms "
            + ("VALID" if timing.valid else f"INVALID: {timing.reason}")
        )


def ask_doctor(demo: Demo) -> None:
    """Say before training what can be won."""
    demo.doctor = tuple(format_diagnosis(diagnose(demo.tables, seed=demo.options.seed)))
    demo.progress.note(f"  {demo.doctor[0]}")


def show_model_selection(demo: Demo) -> None:
    """Tell Algorithm 1 step by step on these scenes; each policy does it again on its own training folds."""
    tables = demo.tables
    selection = select_models(tables.correct("top1"), tables.latency_ms, tables.candidates)
    for step in selection.steps:
        demo.progress.note(f"  {step}")
    demo.progress.note(f"  stopped: {selection.stopped}")


def train_policies(demo: Demo) -> None:
    """Train on all scenes what will be deployed; features are selected on the way."""
    demo.progress.begin("training", len(demo.policies), "policies")
    for policy in demo.policies:
        options = _options(demo, policy)
        if policy == DEFAULT_POLICY:  # tested as `premodel train` tests it
            trained, demo.tested[policy] = train_and_test(demo.tables, options, advise=False)
        else:
            trained = train(demo.tables, options)
        demo.trained[policy] = trained
        demo.training_summaries[policy] = trained.summary
        demo.progress.advance()
    demo.progress.end()
    for policy, summary in demo.training_summaries.items():
        for line in summary:
            if line.startswith(("features kept", "decides", "selector")):
                demo.progress.note(f"  {policy}: {line}")


def evaluate_policies(demo: Demo) -> None:
    """Cross-validate them beside every baseline, and choose the one to deploy."""

    def show(done: int, total: int, _: str) -> None:
        if done == 1:
            demo.progress.end()
            demo.progress.begin("cross-validation", total, "fit")
        demo.progress.advance()

    options = {policy: _options(demo, policy) for policy in demo.policies}
    demo.made_evaluation = evaluate(
        demo.tables,
        options,
        folds=demo.options.folds,
        seed=demo.options.seed,
        workers=demo.options.workers,
        progress=show,
    )
    demo.made_chosen = best_premodel(demo.evaluation.rows, Objective())


def bundle_best(demo: Demo) -> None:
    """Test the policy as `train` does, and write the bundle, networks inside, its decisions compared on every scene."""
    policy = demo.chosen.name
    trained, options = demo.trained[policy], _options(demo, policy)
    tested = demo.tested[policy] if policy in demo.tested else _tested(demo.tables, options, trained)
    for line in tested.lines() if tested is not None else ():
        demo.progress.note(f"  {line.strip()}")
    with Store(demo.folder / STORE) as store:
        candidates = load_candidates(store)
    recorded = None if tested is None else tested.to_json()
    package(trained, demo.tables, candidates, options, demo.folder / demo.bundle, embed=True, test=recorded)


def bench_bundle(demo: Demo) -> None:
    """Run the bundle and every single network end to end on scenes that were in no profile."""
    load = OtherLoad()
    # The Python code of the texts' models is the demo's own.
    with Premodel(demo.folder / demo.bundle, trust_python=True) as premodel:
        demo.bench = bench(
            premodel,
            demo.bench_dataset,
            seed=demo.options.seed,
            max_seconds=demo.options.bench_seconds,
            progress=demo.progress,
        )
    busy = busy_note(load.cores(), load.processes())
    if busy:
        demo.progress.note(f"{busy}; latencies may be too high")


def report_demo(demo: Demo) -> None:
    """Write the page."""
    files, difficulty = demo.files, demo.difficulty
    of_sample = [difficulty[files[sample].name] for sample in demo.tables.samples] if difficulty else []
    with Store(demo.folder / STORE) as store:
        runs_ms = stored_runs(store, demo.profile.device)
    evaluation = demo.evaluation
    report = Report(
        TEXT_TITLE if demo.of_texts else TITLE,
        evaluation,
        demo.tables,
        peers=peer_curves(demo.tables, evaluation.criterion, Objective(), folds=evaluation.folds, seed=evaluation.seed),
        find=lambda sample: demo.dataset.domain.read_file(files[sample]),
        difficulty=Difficulty("difficulty drawn for the scene", np.array(of_sample)) if of_sample else None,
        runs_ms=runs_ms,
        bench=demo.bench,
        bench_images=f"{demo.noun} that were in no profile",
        doctor=demo.doctor,
        training_summaries=demo.training_summaries,
    )
    write_report(report, demo.folder / REPORT)


@dataclass(frozen=True)
class Step:
    """One step: its name in the record of seconds, what the user reads, and what it does."""

    name: str
    title: str
    work: Callable[[Demo], None]


STEPS = (
    Step("scenes", "drawing scenes", make_scenes),
    Step("profile", "profiling every network on every sample", profile_scenes),
    Step("doctor", "what can be won here", ask_doctor),
    Step("model selection", "model selection (Algorithm 1)", show_model_selection),
    Step("train", "selecting features, training", train_policies),
    Step("evaluate", "cross-validation", evaluate_policies),
    Step("bundle", "bundling the better one", bundle_best),
    Step("bench", "real runs, end to end", bench_bundle),
    Step("report", "writing the report", report_demo),
)


TEXT_STEPS = (Step("texts", "reading texts", make_texts), *STEPS[1:])
"""Of the demo on texts."""


def _options(demo: Demo, policy: str) -> TrainOptions:
    return TrainOptions(policy=policy, seed=demo.options.seed, feature_samples=FEATURE_SAMPLES)


def _tested(tables: Tables, options: TrainOptions, trained: Trained) -> FinalTest | None:
    try:
        return final_test(tables, options, trained)
    except OptionError:  # too few scenes to divide
        return None


def _scenes(demo: Demo, name: str, count: int, seed: int) -> Dataset:
    demo.progress.begin(name, count, "scenes")
    table = write(demo.folder / name, count, seed, "test", lambda *_: demo.progress.advance())
    demo.progress.end()
    return read_dataset(table, label_names=demo.zoo.labels)
