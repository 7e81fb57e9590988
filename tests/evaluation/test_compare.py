"""Two premodels on the same inputs: what is counted, and who may be compared."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import premodel
from bundles import Made, bundle_of, make_bundle, profile_of, small_zoo
from policy_makers import make_single
from premodel.errors import OptionError
from premodel.evaluation.compare import Comparison, compare_premodels
from premodel.profiling.datasets.registry import read_dataset
from premodel.runtime.bundle import read_bundle, write_bundle
from premodel.runtime.policies.single import Single


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Path, Path]:
    """Of one zoo: a premodel of its first candidate alone, and one of its last, which takes three times as long."""
    folder = tmp_path_factory.mktemp("two")
    made = make_bundle(folder, make_single, n=60, latency_ms=[1.0, 2.0, 3.0])
    paths = []
    for name in (made.policy.candidates[0], made.policy.candidates[-1]):
        assert isinstance(made.policy, Single)
        column = made.policy.candidates.index(name)
        costs = dataclasses.replace(made.policy.costs, latency_ms=(made.policy.costs.latency_ms[column],))
        policy = Single((name,), (made.policy.accuracy[column],), costs)
        paths.append(folder / f"only-{name}.premodel")
        write_bundle(paths[-1], bundle_of(made.small, made.tables, policy), folder=made.small.zoo.parent)
    return made, paths[0], paths[1]


def compare(made: Made, first: Path, second: Path, **more: float) -> Comparison:
    dataset = read_dataset(made.small.data, made.small.labels, label_names=made.tables.label_names)
    with premodel.load(first) as a, premodel.load(second) as b:
        return compare_premodels(a, b, dataset, max_seconds=0.001, **more)  # type: ignore[arg-type]


def test_counts_by_hand(two: tuple[Made, Path, Path]) -> None:
    made, first, second = two
    right = made.tables.correct("top1")[:, [0, -1]]
    found = compare(made, first, second)
    assert (found.gained, found.lost) == ((right[:, 1] > right[:, 0]).sum(), (right[:, 1] < right[:, 0]).sum())
    labels = made.tables.top_labels[:, [0, -1], 0]
    assert found.changed == (labels[:, 0] != labels[:, 1]).sum()
    assert found.verdict.gain == pytest.approx(100 * (right[:, 1].mean() - right[:, 0].mean()))
    low, high = found.verdict.gain_ci
    assert low < found.verdict.gain < high
    assert found.verdict.speedup == found.first.timing.mean_ms / found.second.timing.mean_ms
    assert found.first.accuracy == pytest.approx(right[:, 0].mean())
    assert found.second.share == {made.policy.candidates[-1]: 1.0}
    assert found.sentence.startswith(f"only-m2 ({100 * right[:, 1].mean():.1f} % at ")
    assert f" only-m0 ({100 * right[:, 0].mean():.1f} % at " in found.sentence
    assert "INVALID" not in found.sentence or "give more time" in found.sentence


def test_the_other_way_round_has_the_other_sign(two: tuple[Made, Path, Path]) -> None:
    made, first, second = two
    one, other = compare(made, first, second), compare(made, second, first)
    assert one.verdict.gain == pytest.approx(-other.verdict.gain)
    assert (one.gained, one.lost) == (other.lost, other.gained)


def test_one_with_itself_is_no_difference(two: tuple[Made, Path, Path]) -> None:
    made, first, _ = two
    found = compare(made, first, first, limit=55)
    assert (found.gained, found.lost, found.changed) == (0, 0, 0)
    assert found.verdict.accuracy == "no difference shown"
    assert found.verdict.samples == 55
    assert found.first.name != found.second.name


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ({"criterion": "top5"}, "must be of the same criterion to be compared; given: top1 and top5"),
        ({"label_names": ("other", "1", "2", "3", "4", "5")}, "must be of the same labels to be compared"),
    ],
)
def test_who_answers_another_question_is_refused(
    two: tuple[Made, Path, Path], tmp_path: Path, change: dict[str, object], reported: str
) -> None:
    made, first, _ = two
    other = tmp_path / "other.premodel"
    bundle = dataclasses.replace(read_bundle(first), **change)  # type: ignore[arg-type]
    write_bundle(other, bundle, folder=made.small.zoo.parent)
    with pytest.raises(OptionError, match=reported):
        compare(made, first, other)


def test_another_number_of_labels_is_refused(two: tuple[Made, Path, Path], tmp_path: Path) -> None:
    made, first, _ = two
    small = small_zoo(tmp_path / "zoo", n=4, m=2, n_labels=4)
    tables = profile_of(small)
    write_bundle(tmp_path / "b.premodel", bundle_of(small, tables, make_single(tables)), folder=small.zoo.parent)
    with pytest.raises(OptionError, match="of the same number of labels to be compared; given: 6 and 4"):
        compare(made, first, tmp_path / "b.premodel")
