"""What a worker does on a node, without any cluster."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from premodel.domains.registry import domain_of
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.passes.predictions import PredictionJob
from premodel.profiling.progress import Silent
from premodel.profiling.samples import Task, take_inventory, tasks_of
from premodel.profiling.workers.ray_node import NodeWorker, Report, code_of
from premodel.profiling.workers.ray_pool import model_files, with_bytes
from premodel.zoo.manifest import read_zoo
from several_files import WEIGHTS, write_external_zoo
from zoos import SmallZoo, write_zoo

IMAGES = domain_of("image-classification")

CORRECT = np.random.default_rng(5).random((4, 3)) < 0.6


@pytest.fixture
def small(tmp_path: Path) -> SmallZoo:
    return write_zoo(tmp_path / "zoo", correct=CORRECT)


def job_of(small: SmallZoo) -> PredictionJob:
    return PredictionJob(IMAGES, read_zoo(small.zoo).candidates, threads=1)


def tasks(small: SmallZoo) -> list[Task]:
    dataset = read_dataset(small.data, small.labels, label_names=[f"label {i}" for i in range(6)])
    entries = take_inventory(dataset, dataset.draw(None), Silent()).entries
    return list(tasks_of(dataset, entries, {entry.sample: (0, 1, 2) for entry in entries}))


def ranks(reports: list[Report]) -> list[tuple[int, int]]:
    return [
        (number, answer.truth_rank)
        for report in reports
        for number, result in report.results
        for answer in result.answers
    ]


def test_files_that_are_here_are_not_asked_for(small: SmallZoo) -> None:
    job = job_of(small)
    assert NodeWorker().meet(IMAGES, code_of(IMAGES), model_files(job.candidates)) == ("", [])


def test_a_file_of_another_digest_is_asked_for(small: SmallZoo) -> None:
    job = job_of(small)
    file = job.candidates[1].model.file
    wanted = model_files(job.candidates)
    shutil.copy(job.candidates[0].model.file, file)
    assert NodeWorker().meet(IMAGES, code_of(IMAGES), wanted) == ("", [file])
    file.unlink()
    assert NodeWorker().meet(IMAGES, code_of(IMAGES), wanted) == ("", [file])


def test_another_release_is_refused() -> None:
    refusal, lacking = NodeWorker().meet(IMAGES, "premodel 0.0.1", {})
    assert refusal.startswith("another release than the driver's: premodel ")
    assert lacking == []


def test_models_that_were_sent_answer_as_those_here(small: SmallZoo, tmp_path: Path) -> None:
    job, batch = job_of(small), list(enumerate(tasks(small)))
    worker = NodeWorker()
    assert worker.open(job, {}) == ""
    expected = ranks(list(worker.work(batch)))
    assert len(expected) == 12
    contents = [candidate.model.file.read_bytes() for candidate in job.candidates]
    files = [candidate.model.file for candidate in job.candidates]
    for file in files:
        file.unlink()
    sent = NodeWorker()
    assert sent.open(job, {file: [file] for file in files}, *contents) == ""
    assert ranks(list(sent.work(batch))) == expected
    assert "model file of m0 is missing" in NodeWorker().open(job, {})


def test_all_files_of_a_model_are_sent_where_one_is_lacking(tmp_path: Path) -> None:
    folder = write_external_zoo(tmp_path / "zoo")
    job = PredictionJob(IMAGES, read_zoo(folder / "zoo.toml").candidates, threads=1)
    (model,) = {candidate.model.file for candidate in job.candidates}
    weights = model.parent / WEIGHTS
    wanted = model_files(job.candidates)
    assert NodeWorker().meet(IMAGES, code_of(IMAGES), wanted) == ("", [])
    contents = [file.read_bytes() for file in (model, weights)]
    weights.write_bytes(weights.read_bytes()[::-1])
    assert NodeWorker().meet(IMAGES, code_of(IMAGES), wanted) == ("", [model])
    assert "has the wrong sha256" in NodeWorker().open(job, {})
    assert NodeWorker().open(job, {model: list(wanted[model])}, *contents) == ""


def test_an_image_that_is_not_here_is_asked_for(small: SmallZoo) -> None:
    batch = list(enumerate(tasks(small)))
    worker = NodeWorker()
    worker.open(job_of(small), [])
    whole = with_bytes(batch[0][1])
    small.images[0].rename(small.images[0].with_name("away.png"))
    small.images[1].write_bytes(small.images[2].read_bytes())  # a node may have another file of the same name
    reports = list(worker.work(batch))
    assert [number for report in reports for number in report.lacking] == [0, 1]
    assert {number for number, _ in ranks(reports)} == {2, 3}
    assert [number for report in reports for number in report.finished] == [2, 3]
    assert len(ranks(list(worker.work([(0, whole)])))) == 3


def test_an_image_that_nobody_can_read_is_told(small: SmallZoo) -> None:
    task = tasks(small)[0]
    small.images[0].unlink()
    worker = NodeWorker()
    worker.open(job_of(small), [])
    (report,) = worker.work([(7, with_bytes(task))])
    ((number, result),) = report.results
    assert number == 7
    assert result.opening.changed
