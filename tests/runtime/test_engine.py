"""The engine on small zoos of recorded answers."""

from __future__ import annotations

import json
import math
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import premodel
from bundles import Made, make_bundle
from policy_makers import MAKERS
from premodel.backends.replay import ReplayBackend
from premodel.errors import BundleError, ImageError, ModelError, OptionError, RunError
from premodel.runtime.answer import Answer
from premodel.runtime.bundle import read_bundle, write_bundle
from premodel.runtime.engine import BATCH_WINDOW, Premodel
from premodel.runtime.policies.base import FUSED, Policy
from premodel.training.simulate import NOBODY, simulate
from premodel.training.tables import Tables

PAPER = MAKERS["select, the paper's chain"]
ABSTAINING = MAKERS["select, abstaining"]
STAGES = ["decode", "features", "select", "predict", "total"]
each_maker = pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS.keys())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_bundle(tmp_path_factory.mktemp("made"), PAPER, n=2 * BATCH_WINDOW + 5)


def same(a: Answer, b: Answer) -> bool:
    return a.candidate == b.candidate and a.ran == b.ran and a.probabilities == b.probabilities


@each_maker
def test_serves_on_the_device_what_was_simulated(tmp_path: Path, maker: Callable[..., Any]) -> None:
    made = make_bundle(tmp_path, maker, n=40)
    expected = simulate(made.policy, made.tables)
    with premodel.load(made.path) as clf:
        assert clf.unavailable == {}
        answers = [clf.predict(image) for image in made.small.images]
        batch = clf.predict_batch(made.small.images)
    for row, answer in enumerate(answers):
        source = int(expected.source[row])
        ran = tuple(made.policy.candidates[index] for index in expected.order[row] if index >= 0)
        by = {NOBODY: None, FUSED: "+".join(ran)}
        assert answer.candidate == (by[source] if source < 0 else made.policy.candidates[source])
        assert answer.abstained == (source == NOBODY)
        assert answer.ran == ran
        served = expected.labels[row][expected.labels[row] >= 0]
        assert [line.label for line in answer.probabilities] == served.tolist()
        assert same(answer, batch[row])


def test_an_answer_says_what_the_design_promises(made: Made) -> None:
    with premodel.load(str(made.path), threads=1) as clf:
        answer = clf.predict(made.small.images[0])
    assert answer.class_name == f"label {answer.label}"
    assert answer.probability == answer.probabilities[0].probability
    assert answer.candidate in made.small.names
    assert list(answer.latency_ms) == STAGES
    parts = sum(answer.latency_ms[stage] for stage in STAGES[:-1])
    assert 0 < parts <= answer.latency_ms["total"]
    data = json.loads(json.dumps(answer.to_json("a.png"), allow_nan=False))
    assert list(data) == ["path", "label", "class", "probabilities", "candidate", "ran", "abstained", "latency_ms"]
    assert data["probabilities"][0] == {"label": answer.label, "class": answer.class_name, "p": answer.probability}
    explained = answer.to_json("a.png", explain=True)
    assert [next(iter(step)) for step in explained["steps"]] == ["run", "stop"]
    assert explained["confidence"] is None, "scores of the optimum are no confidence"


def test_every_kind_of_input_gives_the_same_answer(made: Made) -> None:
    file = made.small.images[1]
    rgb = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
    with premodel.load(made.path) as clf:
        first = clf.predict(file)
        for image in (str(file), file.read_bytes(), rgb):
            assert same(clf.predict(image), first)


def test_an_abstention_is_an_answer_without_a_label(tmp_path: Path) -> None:
    made = make_bundle(tmp_path, ABSTAINING)
    expected = simulate(made.policy, made.tables)
    row = int(np.flatnonzero(expected.abstained)[0])
    with premodel.load(made.path) as clf:
        answer = clf.predict(made.small.images[row])
        explanation = clf.explain(made.small.images[row])
    assert answer.abstained
    assert (answer.label, answer.class_name, answer.probability, answer.candidate) == (None, None, None, None)
    assert answer.ran == ()
    assert answer.latency_ms["predict"] == 0
    assert answer.to_json("x")["probabilities"] == []
    assert explanation.candidate is None
    assert explanation.reason == "no score above 0.5: abstained"


def test_explain_runs_nothing(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    with premodel.load(made.path) as clf:
        answer = clf.predict(made.small.images[2])
        monkeypatch.setattr(Premodel, "_run", lambda *_: pytest.fail("a candidate was run"))
        explanation = clf.explain(made.small.images[2])
    assert explanation.candidate == answer.ran[0]
    assert set(explanation.scores) == set(made.policy.candidates[:-1])
    assert list(explanation.features) == list(made.policy.features)


def test_budget_of_a_call(made: Made) -> None:
    with premodel.load(made.path) as clf:
        for image in made.small.images[:10]:
            assert clf.predict(image, max_latency_ms=2.0).candidate == made.small.names[0]
        with pytest.raises(OptionError, match=r"no candidate can answer within max_latency_ms.*the cheapest.* is m0"):
            clf.predict(made.small.images[0], max_latency_ms=0.1)
        with pytest.raises(OptionError):
            clf.predict_batch(made.small.images[:2], max_latency_ms=0.1)
        with pytest.raises(OptionError, match="wrong max_latency_ms"):
            clf.predict(made.small.images[0], max_latency_ms=-1)
        with pytest.raises(OptionError, match="wrong cost_weight"):
            clf.predict(made.small.images[0], cost_weight=math.nan)


def test_models_are_opened_when_needed_and_once(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    from premodel.runtime.candidate import NetworkPool

    original = NetworkPool.open
    monkeypatch.setattr(NetworkPool, "open", lambda pool, c, **more: opened.append(c.name) or original(pool, c))
    with premodel.load(made.path) as clf:
        assert opened == []
        answers = [clf.predict(image) for image in made.small.images]
        assert sorted(opened) == sorted({answer.candidate for answer in answers})
        assert clf.warm() == {}
        assert sorted(opened) == sorted(made.policy.candidates)


def test_many_threads_get_the_answers_of_one(made: Made) -> None:
    with premodel.load(made.path) as clf:
        expected = [clf.predict(image) for image in made.small.images]
    with premodel.load(made.path) as clf, ThreadPoolExecutor(8) as pool:
        barrier = threading.Barrier(8)

        def work(offset: int) -> list[Answer]:
            barrier.wait()
            images = made.small.images[offset:] + made.small.images[:offset]
            found = [clf.predict(image) for image in images]
            return found[len(found) - offset :] + found[: len(found) - offset]

        for answers in pool.map(work, range(8)):
            assert all(same(a, b) for a, b in zip(answers, expected, strict=True))


@each_maker
def test_a_missing_model_is_passed_over(tmp_path: Path, maker: Callable[..., Any]) -> None:
    made = make_bundle(tmp_path, maker, n=30)
    for gone in made.policy.candidates:
        file = made.small.zoo.parent / "models" / f"{gone}.npz"
        file.rename(tmp_path / "aside")
        with premodel.load(made.path) as clf:
            assert list(clf.unavailable) == [gone]
            assert "model file is missing" in clf.unavailable[gone]
            for image in made.small.images:
                answer = clf.predict(image)
                assert gone not in answer.ran
                assert set(answer.failed) <= {gone}
                if answer.failed:
                    assert not answer.abstained
        (tmp_path / "aside").rename(file)


def test_a_changed_model_is_noticed_when_opened_and_passed_over(tmp_path: Path) -> None:
    made = make_bundle(tmp_path, MAKERS["single"])
    first = made.policy.candidates[0]
    file = made.small.zoo.parent / "models" / f"{first}.npz"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with premodel.load(made.path) as clf:
        answer = clf.predict(made.small.images[0])
        assert answer.candidate != first
        assert "wrong sha256" in answer.failed[first]
        assert list(clf.unavailable) == [first]


def test_no_model_at_all_is_an_error_at_once(tmp_path: Path) -> None:
    made = make_bundle(tmp_path, PAPER)
    shutil.rmtree(made.small.zoo.parent / "models")
    with pytest.raises(ModelError, match=r"model file is missing.*PREMODEL_MODELS") as caught:
        premodel.load(made.path)
    assert "\n" not in str(caught.value)


def test_all_candidates_failing_is_one_clear_error(tmp_path: Path) -> None:
    made = make_bundle(tmp_path, MAKERS["single"])
    other = np.zeros((20, 20, 3), np.uint8)
    with premodel.load(made.path) as clf, pytest.raises(RunError, match=r"no candidate could answer.*no answer is rec"):
        clf.predict(other)


def test_models_are_found_where_they_were_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_bundle(tmp_path / "here", PAPER)
    image = made.small.images[0]
    with premodel.load(made.path) as clf:
        expected = clf.predict(image)
    both = tmp_path / "both"  # bundle and zoo moved together
    shutil.copytree(tmp_path / "here", both)
    with premodel.load(both / "small.premodel") as clf:
        assert same(clf.predict(image), expected)
    bundle = tmp_path / "alone" / "small.premodel"
    bundle.parent.mkdir()
    shutil.copy(made.path, bundle)
    moved = tmp_path / "moved"
    shutil.move(made.small.zoo.parent / "models", moved)
    with pytest.raises(ModelError):
        premodel.load(bundle)
    for zoo in (moved, tmp_path):
        with premodel.load(bundle, zoo=zoo) as clf:
            assert clf.unavailable == {}
            assert same(clf.predict(image), expected)
    monkeypatch.setenv("PREMODEL_MODELS", os.pathsep.join(["/nowhere", str(moved)]))
    with premodel.load(bundle) as clf:
        assert same(clf.predict(image), expected)
    with pytest.raises(OptionError, match="zoo must exist"):
        premodel.load(bundle, zoo=tmp_path / "absent")


def test_an_embedding_bundle_needs_nothing_else(tmp_path: Path) -> None:
    made = make_bundle(tmp_path / "here", PAPER, embed=True)
    with premodel.load(made.path) as clf:
        expected = [clf.predict(image) for image in made.small.images]
    images = [image.read_bytes() for image in made.small.images]
    bundle = Path(shutil.move(made.path, tmp_path / "small.premodel"))
    shutil.rmtree(tmp_path / "here")
    clf = premodel.load(bundle)
    assert all(same(clf.predict(image), answer) for image, answer in zip(images, expected, strict=True))
    unpacked = clf._files._unpacked
    assert unpacked is not None
    assert unpacked.is_dir()
    clf.close()
    assert not unpacked.exists()


def test_closing_is_final_and_may_be_repeated(made: Made) -> None:
    clf = premodel.load(made.path)
    clf.predict(made.small.images[0])
    clf.close()
    clf.close()
    with pytest.raises(RunError, match="closed"):
        clf.predict(made.small.images[0])


def test_wrong_inputs(made: Made, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such bundle"):
        premodel.load(tmp_path / "absent.premodel")
    for threads in (0, -1, 1.5, True):
        with pytest.raises(OptionError, match="wrong number of threads"):
            premodel.load(made.path, threads=threads)  # type: ignore[arg-type]
    with premodel.load(made.path) as clf:
        for image in (tmp_path / "absent.jpg", b"", b"text", np.zeros((4, 4)), 7):
            with pytest.raises(ImageError):
                clf.predict(image)
        with pytest.raises(ImageError):
            clf.predict_batch([made.small.images[0], b"text"])
        assert clf.predict_batch([]) == []
        with pytest.raises(OptionError, match="unknown candidate"):
            clf.open_candidate("nobody")
    assert repr(clf).startswith("Premodel(")


@pytest.mark.parametrize("how", ["nan", "fails"])
def test_a_candidate_that_breaks_at_run_time_is_passed_over_for_that_input(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_bundle(tmp_path, MAKERS["single"])
    first = made.policy.candidates[0]
    broken = [True]
    real = ReplayBackend.predict

    def predict(self: ReplayBackend, tensor: Any) -> Any:
        output = real(self, tensor)
        if broken.pop() if broken else False:
            if how == "fails":
                raise RunError("out of memory")
            output[:] = np.nan
        return output

    monkeypatch.setattr(ReplayBackend, "predict", predict)
    with premodel.load(made.path) as clf:
        answer = clf.predict(made.small.images[0])
        assert answer.candidate != first
        assert {"nan": "NaN", "fails": "out of memory"}[how] in answer.failed[first]
        assert clf.unavailable == {}, "it failed on one input; it may well answer the next"
        assert clf.predict(made.small.images[0]).candidate == first


LOAD_MS = 50.0


def one_at_a_time(tmp_path: Path, maker: Callable[[Tables], Policy]) -> tuple[Made, Path]:
    """A bundle whose profile states that opening any model takes 50 ms, and 10 MB."""
    made = make_bundle(tmp_path, maker)
    singles = [{"name": name, "memory_mb": 10.0, "load_ms": LOAD_MS} for name in made.small.names]
    path = tmp_path / "loading.premodel"
    bundle = replace(read_bundle(made.path), training_record={"singles": singles})
    write_bundle(path, bundle, folder=made.small.zoo.parent)
    return made, path


def counted_ms(clf: Premodel, ran: Sequence[str], was_open: str | None) -> float:
    """What an answer costs by the profile with room for one model, opening included."""
    costs = clf.policy.costs  # type: ignore[attr-defined]
    spent = costs.before_ms
    for name in ran:
        spent += costs.latency_ms[clf.candidates.index(name)] + (0.0 if name == was_open else LOAD_MS)
        was_open = name
    return float(spent)


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS.keys())
def test_a_budget_counts_what_has_to_be_opened_again(tmp_path: Path, maker: Callable[[Tables], Policy]) -> None:
    made, path = one_at_a_time(tmp_path, maker)
    rng = np.random.default_rng(2)
    with Premodel(path, zoo=made.small.zoo.parent, memory_budget_mb=10) as clf:
        cheapest = counted_ms(clf, clf.candidates[:1], clf.candidates[0])
        dearest = max(counted_ms(clf, [name], name) for name in clf.candidates)
        opened: str | None = None
        late = 0
        for _ in range(60):
            image = made.small.images[int(rng.integers(len(made.small.images)))]
            budget = float(rng.choice([dearest, dearest + 1, dearest + LOAD_MS, 1000.0]))
            answer = clf.predict(image, max_latency_ms=budget)
            if counted_ms(clf, answer.ran, opened) > budget:
                late += 1
                assert opened is None, "a model was open that keeps every one of these budgets"
            opened = answer.ran[-1] if answer.ran else opened
        assert late <= 1
        assert cheapest <= dearest


def test_what_keeps_the_budget_only_once_it_is_open_is_opened_once(tmp_path: Path) -> None:
    made, path = one_at_a_time(tmp_path, MAKERS["single"])
    with Premodel(path, zoo=made.small.zoo.parent, memory_budget_mb=10) as clf:
        budget = min(counted_ms(clf, [name], name) for name in clf.candidates)
        cheap = next(name for name in clf.candidates if counted_ms(clf, [name], name) == budget)
        dear = max(clf.candidates, key=lambda name: counted_ms(clf, [name], name))
        clf.predict(made.small.images[0], max_latency_ms=1e6)
        ran = [clf.predict(image, max_latency_ms=budget).ran for image in made.small.images]
        assert ran == [(cheap,)] * len(ran)
        assert cheap != dear
        batch = clf.predict_batch(made.small.images, max_latency_ms=budget)
        assert [answer.ran for answer in batch] == ran


def test_without_a_memory_budget_opening_is_not_counted(tmp_path: Path) -> None:
    made, path = one_at_a_time(tmp_path, MAKERS["cascade-routing"])
    images = made.small.images[:6]
    with Premodel(path, zoo=made.small.zoo.parent) as free, Premodel(made.path) as plain:
        for image in images:
            assert free.predict(image, max_latency_ms=6.0).ran == plain.predict(image, max_latency_ms=6.0).ran
