"""What is counted."""

from __future__ import annotations

from typing import Any

import premodel
from aside import aside
from bundles import Made
from serving_client import INFER, binary_request, samples

RAW = {"inference-header-content-length": "0"}


def test_answers_runs_stages_and_codes(made: Made, serving: Any) -> None:
    images = list(made.small.images[:5])
    with premodel.load(made.path) as clf:
        answers = [clf.predict(path) for path in images]
    with serving(made.path) as (client, _):
        before = samples(client)
        for name in made.policy.candidates:
            assert before["premodel_answers_total", name] == 0, "a rate can be taken from the first answer on"
        client.post(INFER, content=images[0].read_bytes(), headers=RAW)
        body, headers = binary_request([path.read_bytes() for path in images[1:]])
        client.post(INFER, content=body, headers=headers)
        client.post(INFER, content=b"")
        found = samples(client)
    for name in made.policy.candidates:
        assert found["premodel_answers_total", name] == sum(answer.candidate == name for answer in answers)
        assert found["premodel_runs_total", name] == sum(name in answer.ran for answer in answers)
        assert found["premodel_candidate_failures_total", name] == 0
    for stage in ("decode", "features", "select", "predict", "total"):
        assert found["premodel_stage_seconds_count", stage] == 5
        assert found["premodel_stage_seconds_sum", stage] > 0
    assert found["premodel_request_seconds_count", "200"] == 2
    assert found["premodel_request_seconds_count", "400"] == 1
    assert found["premodel_rejected_total", "input"] == 1
    assert found["premodel_abstentions_total",] == 0
    assert found["premodel_queue_depth",] == 0


def test_abstentions(abstaining: Made, serving: Any) -> None:
    with premodel.load(abstaining.path) as clf:
        silent = [path for path in abstaining.small.images if clf.predict(path).abstained]
    with serving(abstaining.path) as (client, _):
        for path in silent:
            assert client.post(INFER, content=path.read_bytes(), headers=RAW).status_code == 200
        found = samples(client)
    assert found["premodel_abstentions_total",] == len(silent) > 0


def test_a_candidate_that_fails_is_counted_and_another_answers(made: Made, serving: Any) -> None:
    image = made.small.images[0]
    with premodel.load(made.path) as clf:
        first = clf.predict(image).candidate
    gone = made.small.zoo.parent / "models" / f"{first}.npz"
    with aside(gone), serving(made.path) as (client, _):
        assert client.post(INFER, content=image.read_bytes(), headers=RAW).status_code == 200
        found = samples(client)
    assert found["premodel_candidate_failures_total", first or ""] == 1
    assert found["premodel_answers_total", first or ""] == 0


def test_two_servers_count_apart(made: Made, serving: Any) -> None:
    with serving(made.path) as (one, _), serving(made.path) as (other, _):
        one.post(INFER, content=made.small.images[0].read_bytes(), headers=RAW)
        assert ("premodel_request_seconds_count", "200") in samples(one)
        assert ("premodel_request_seconds_count", "200") not in samples(other)
