"""From a store to tables: what is missing is named, with the command that brings it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import delete, select, update

from premodel.domains.image.decode import decode
from premodel.domains.image.features.registry import FEATURE_NAMES
from premodel.errors import OptionError, StoreError
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import PASSES, ProfileOptions, profile
from premodel.runtime.candidate import open_candidates
from premodel.store.features import StoredFamily, describe_families
from premodel.store.schema import CANDIDATES, FEATURES, PREDICTIONS, SAMPLES, STORE, TIMINGS
from premodel.store.store import Store
from premodel.training.load import load_candidates, load_tables
from premodel.zoo.candidate_json import candidate_from_json
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo, write_zoo

N_FEATURES = len(FEATURE_NAMES)
DAMAGED = f"damaged features; allowed: {N_FEATURES} finite numbers"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    correct = np.random.default_rng(1).random((9, 3)) < 0.5
    folder = tmp_path_factory.mktemp("zoo")
    return write_zoo(folder, correct=correct, n_labels=30, latency_ms=[3.0, 1.0, 2.0])


def run(small: SmallZoo, store: Path, *passes: str, limit: int | None = None) -> None:
    zoo = read_zoo(small.zoo)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels)
    profile(zoo, dataset, store, ProfileOptions(passes or PASSES, limit=limit, max_timing_seconds=0.3))


@pytest.fixture(scope="module")
def profiled(small: SmallZoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole profile, not to be changed."""
    store = tmp_path_factory.mktemp("profiled") / "s.db"
    run(small, store)
    return store


@pytest.fixture
def store(profiled: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copy(profiled, tmp_path / "s.db"))


def change(store: Path, statement: object) -> None:
    with Store(store) as opened:
        opened.write(lambda connection: connection.execute(statement))  # type: ignore[call-overload]


def test_one_file_opened_in_two_ways_is_two_networks(store: Path) -> None:
    with Store(store) as opened, opened.reading() as connection:
        manifest = json.loads(connection.scalar(select(CANDIDATES.c.manifest).where(CANDIDATES.c.name == "m0")))
    for threads, count in ((manifest["threads"], 2), (manifest["threads"] + 1, 3)):
        other = manifest | {"name": "m1", "threads": threads}
        found = candidate_from_json(other, Path("/"))
        keys = {"timing_key": found.timing_key, "prediction_key": found.prediction_key}
        before = load_candidates(store, ["m1"])[0]
        change(store, update(CANDIDATES).where(CANDIDATES.c.name == "m1").values(manifest=json.dumps(other), **keys))
        others = PREDICTIONS.c.prediction_key == before.prediction_key
        taken = found.prediction_key in {one.prediction_key for one in load_candidates(store, ["m0"])}
        if not taken:
            change(store, update(PREDICTIONS).where(others).values(prediction_key=found.prediction_key))
        assert len(set(load_tables(store, passes=("predictions", "features")).networks)) == count


def test_tables_are_in_order_and_of_the_promised_types(small: SmallZoo, store: Path) -> None:
    tables = load_tables(store)
    assert list(tables.samples) == sorted(tables.samples)
    assert tables.candidates == ("m0", "m1", "m2")
    assert tables.label_names == tuple(f"label {i}" for i in range(30))
    assert tables.networks == tuple(candidate.network_key for candidate in read_zoo(small.zoo).candidates)
    shapes = {
        "truth": ((9,), np.int32),
        "top_labels": ((9, 3, 20), np.int32),
        "top_probabilities": ((9, 3, 20), np.float32),
        "entropy": ((9, 3), np.float32),
        "rank": ((9, 3), np.int32),
        "latency_ms": ((3,), np.float64),
        "features": ((9, N_FEATURES), np.float32),
        "memory_mb": ((3,), np.float64),
        "energy_mj": ((3,), np.float64),
    }
    for name, (shape, dtype) in shapes.items():
        array = getattr(tables, name)
        assert (array.shape, array.dtype) == (shape, dtype), name
    json.dumps(tables.conditions)
    # A truth beyond the top 20 has its real rank.
    assert tables.rank.max() >= 20
    beyond = tables.rank >= 20
    hits = (tables.top_labels == tables.truth[:, None, None]).any(axis=2)
    np.testing.assert_array_equal(hits, ~beyond)


def test_an_opened_store_and_its_url_give_the_same(store: Path) -> None:
    one = load_tables(store)
    with Store(store) as opened:
        two = load_tables(opened)
    three = load_tables(f"sqlite:///{store}")
    assert one.samples == two.samples == three.samples
    np.testing.assert_array_equal(one.rank, three.rank)


def test_some_candidates_in_the_order_asked_for(store: Path) -> None:
    whole, some = load_tables(store), load_tables(store, candidates=["m2", "m0"])
    assert some.candidates == ("m2", "m0")
    np.testing.assert_array_equal(some.rank, whole.rank[:, [2, 0]])
    np.testing.assert_array_equal(some.latency_ms, whole.latency_ms[[2, 0]])
    with pytest.raises(OptionError, match="unknown candidate; given: m9; allowed: m0, m1, m2"):
        load_tables(store, candidates=["m9"])


def test_candidates_open_without_the_zoo(
    small: SmallZoo, store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    candidates = load_candidates(store, ["m1"])
    (opened,) = open_candidates(candidates)
    prediction = opened.predict(decode(small.images[0]))
    assert prediction.labels[0] == small.probabilities[0, 1].argmax()


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        (("timings", "features"), r"9 of 9 samples lack an answer of m0; run: premodel profile .* --only predictions"),
        (("predictions", "features"), r"m0 has no timings on this device; given: .*--only timings"),
        (("predictions", "timings"), r"9 of 9 samples lack their features; run: .* --only features"),
    ],
)
def test_a_missing_pass_is_named(small: SmallZoo, tmp_path: Path, passes: tuple[str, ...], message: str) -> None:
    run(small, tmp_path / "s.db", *passes)
    with pytest.raises(StoreError, match=message) as caught:
        load_tables(tmp_path / "s.db")
    assert "\n" not in str(caught.value)
    if "predictions" in passes:
        tables = load_tables(tmp_path / "s.db", passes=passes)
        assert len(tables) == 9
        assert np.isnan(tables.latency_ms).all() == ("timings" not in passes)


def test_an_incomplete_pass_is_refused_unless_part_is_enough(store: Path) -> None:
    whole = load_tables(store)
    key = load_candidates(store)[1].prediction_key
    gone = whole.samples[4]
    change(store, delete(PREDICTIONS).where(PREDICTIONS.c.sample == gone, PREDICTIONS.c.prediction_key == key))
    change(store, delete(FEATURES).where(FEATURES.c.sample == whole.samples[7]))
    with pytest.raises(StoreError, match="1 of 9 samples lack an answer of m1"):
        load_tables(store)
    with pytest.raises(StoreError, match="1 of 9 samples lack their features"):
        load_tables(store, candidates=["m0"])
    part = load_tables(store, partial=True)
    assert part.samples == tuple(s for i, s in enumerate(whole.samples) if i not in (4, 7))
    np.testing.assert_array_equal(part.features, whole.features[[0, 1, 2, 3, 5, 6, 8]])
    assert part.conditions["left_out_samples"] == 2


def test_an_answer_about_another_label_does_not_count(store: Path) -> None:
    sample = load_tables(store).samples[0]
    change(store, update(SAMPLES).where(SAMPLES.c.sample == sample).values(label=29))
    with pytest.raises(StoreError, match="1 of 9 samples lack an answer"):
        load_tables(store)


def test_unreadable_samples_are_left_out(store: Path) -> None:
    sample = load_tables(store).samples[0]
    change(store, update(SAMPLES).where(SAMPLES.c.sample == sample).values(status="unreadable"))
    assert sample not in load_tables(store).samples


def test_an_empty_store(small: SmallZoo, tmp_path: Path) -> None:
    Store(tmp_path / "s.db", create=True).close()
    with pytest.raises(StoreError, match="holds no candidates"):
        load_tables(tmp_path / "s.db")
    with pytest.raises(StoreError, match="store must exist"):
        load_tables(tmp_path / "t.db")


def test_damaged_blobs_are_told(store: Path) -> None:
    change(store, update(PREDICTIONS).values(labels=b"123"))
    with pytest.raises(StoreError, match="damaged answers of m0"):
        load_tables(store)


def test_the_newest_extractor_counts(store: Path) -> None:
    change(store, update(TIMINGS).values(valid=True, reason=""))
    with Store(store) as opened:
        family = StoredFamily("other:1", ("a",), {"a": ["check"]})
        describe_families(opened, [family], version="99")
    with pytest.raises(StoreError, match="9 of 9 samples lack their features"):
        load_tables(store)
    assert load_tables(store, passes=("predictions", "timings")).feature_names == ("a",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"truth_rank": -1}, "a rank that is a whole number from 0 to 30"),
        ({"truth_rank": 31}, "a rank that is a whole number from 0 to 30"),
        ({"truth_rank": 2.5}, "a rank that is a whole number from 0 to 30"),
        ({"truth_rank": 30}, "a rank of the truth that agrees with the labels"),
        ({"truth": "one"}, "a label that is a whole number from 0 to 29"),
        ({"truth": 10**18}, "a label that is a whole number from 0 to 29"),
        ({"status": "failed"}, "labels where the status is ok, and only there"),
        ({"labels": None, "status": "failed"}, "no answer and rank 30 where it failed"),
        ({"labels": "text"}, "20 labels"),
        ({"probabilities": b"\0" * 76}, "20 probabilities"),
        ({"probabilities": np.full(20, 0.9, "<f4").tobytes()}, "whose sum is at most 1"),
        ({"labels": np.zeros(20, "<i4").tobytes()}, "labels below 30, each once"),
        ({"labels": np.arange(11, 31, dtype="<i4").tobytes()}, "labels below 30, each once"),
        ({"probabilities": np.full(20, 1.5, "<f4").tobytes()}, "do not rise"),
        ({"probabilities": np.linspace(0, 0.1, 20).astype("<f4").tobytes()}, "do not rise"),
        ({"probabilities": np.full(20, np.nan, "<f4").tobytes()}, "do not rise"),
        ({"entropy": None}, "an entropy that is a number"),
        ({"entropy": 4.0}, "an entropy from 0"),
        ({"entropy": "high"}, "an entropy that is a number"),
    ],
)
def test_an_answer_that_no_prediction_can_have_given_is_named(
    store: Path, values: dict[str, object], message: str
) -> None:
    sample = load_tables(store).samples[2]
    with Store(store) as opened, opened.writing() as connection:
        text = ", ".join(f"{name} = ?" for name in values)
        connection.exec_driver_sql(f"UPDATE predictions SET {text} WHERE sample = ?", (*values.values(), sample))
    with pytest.raises(StoreError, match=message) as caught:
        load_tables(store)
    assert sample in str(caught.value)


def test_a_rank_that_contradicts_the_labels_is_named(store: Path) -> None:
    tables = load_tables(store)
    wrong = (int(tables.rank[0, 0]) + 1) % 20
    change(store, update(PREDICTIONS).where(PREDICTIONS.c.sample == tables.samples[0]).values(truth_rank=wrong))
    with pytest.raises(StoreError, match="a rank of the truth that agrees with the labels"):
        load_tables(store)


@pytest.mark.parametrize(
    ("table", "values", "message"),
    [
        ("timings", {"mean_ms": "text"}, "mean_ms is 'text'; allowed: a number"),
        ("timings", {"mean_ms": 1e300}, r"mean_ms is 1e\+300; allowed: from 0 to"),
        ("timings", {"mean_ms": -2.0}, "mean_ms is -2.0; allowed: from 0 to"),
        ("timings", {"valid": 1, "reason": "", "mean_ms": 0.0, "ci_low_ms": 0.0}, "a verdict that agrees"),
        ("timings", {"valid": 7}, "valid is 7; allowed: true or false"),
        ("timings", {"valid": 1, "reason": "noise"}, "a verdict that agrees"),
        (
            "timings",
            {"mean_ms": 4.0, "ci_low_ms": 0.0, "ci_high_ms": 9e9},
            "mean_ms is 4.0; allowed: .* as of its runs",
        ),
        ("timings", {"ci_low_ms": 9e9}, "its interval"),
        ("timings", {"median_ms": 9e9}, "percentiles that do not fall"),
        ("timings", {"p99_ms": 9e9}, "p99_ms is .* as of its runs"),
        ("timings", {"count": 1}, "count is 1; allowed: .*, as many as runs"),
        ("timings", {"count": "many"}, "count is 'many'; allowed: a whole number"),
        ("timings", {"samples_ms": b"123"}, "samples_ms of other values"),
        ("timings", {"samples_ms": np.full(9, np.nan).tobytes()}, "samples_ms of other values"),
        ("timings", {"preprocess_mean_ms": 1e6}, "preprocess_mean_ms is .*up to mean_ms"),
        ("timings", {"memory_mb": "much"}, "memory_mb is 'much'; allowed: a number"),
        ("timings", {"run": 0.5}, "run is 0.5; allowed: a whole number"),
        ("feature_costs", {"mean_ms": -1.0}, "mean_ms is -1.0; allowed: from 0 to"),
        ("feature_costs", {"mean_ms": 1.0}, r"parts of \d\d ms in all; allowed: .*, the whole"),
        ("feature_costs", {"mean_ms": "cheap"}, "mean_ms is 'cheap'; allowed: a number"),
        ("feature_costs", {"count": 0.5}, "count is 0.5; allowed: a whole number"),
        ("features", {"vector": None}, DAMAGED),
        ("features", {"vector": b"123"}, DAMAGED),
        (
            "features",
            {"vector": np.full(N_FEATURES, np.nan, "<f4").tobytes()},
            DAMAGED,
        ),
        (
            "features",
            {"vector": np.full(N_FEATURES, np.inf, "<f4").tobytes()},
            DAMAGED,
        ),
        ("extractors", {"names": "[1]"}, "names is .*; allowed: a list of distinct names"),
        ("extractors", {"names": "{"}, "table extractors, row .*; allowed: a JSON list"),
        ("extractors", {"needs": '{"contrast": 1}'}, "needs of .*; allowed: a list of names"),
        ("samples", {"label": 30}, "label is 30; allowed: a whole number from 0 to 29"),
        ("samples", {"label": "cat"}, "label is 'cat'; allowed: a whole number from 0 to 29"),
        ("samples", {"label": 1.5}, "label is 1.5; allowed: a whole number from 0 to 29"),
        ("samples", {"status": "perhaps"}, "status is 'perhaps'; allowed: new, ok, unreadable"),
        ("labels", {"name": b"x"}, "name is b'x'; allowed: text"),
        ("candidates", {"position": "first"}, "position is 'first'; allowed: a whole number"),
        ("candidates", {"position": 0}, "position is 0; allowed: a whole number from 1 to 1"),
        ("candidates", {"manifest": "{}"}, "labels is missing"),
        ("candidates", {"manifest": "[" * 5000}, "allowed: a JSON table"),
        (
            "candidates",
            {"prediction_key": "0" * 64},
            "0 of 9 samples|9 of 9 samples lack an answer|of another candidate",
        ),
        ("runs", {"conditions": "not JSON"}, "table runs, row 1: .*; allowed: a JSON table"),
        ("runs", {"conditions": '{"data": 3}'}, "data of the conditions is 3"),
        ("runs", {"conditions": '{"energy": {"records": 3}}'}, ""),
        ("runs", {"outcome": "[]"}, "table runs, row 1: .*; allowed: a JSON table"),
        ("premodel_store", {"value": "many"}, "another schema version; given: many"),
    ],
)
def test_a_value_that_no_profile_can_have_stored_is_refused_and_its_row_named(
    store: Path, table: str, values: dict[str, object], message: str
) -> None:
    with Store(store) as opened, opened.writing() as connection:
        text = ", ".join(f"{name} = ?" for name in values)
        connection.exec_driver_sql(f"UPDATE {table} SET {text}", tuple(values.values()))
    if not message:  # of no device that is read
        load_tables(store)
        return
    with pytest.raises(StoreError, match=message) as caught:
        load_tables(store)
    assert "\n" not in str(caught.value)


def test_an_entry_of_another_input_than_its_answers_is_refused(store: Path) -> None:
    with Store(store) as opened, opened.reading() as connection:
        text = connection.scalar(select(CANDIDATES.c.manifest).where(CANDIDATES.c.name == "m1"))
    assert '"label_offset": 0' in text
    change(
        store,
        update(CANDIDATES)
        .where(CANDIDATES.c.name == "m1")
        .values(manifest=text.replace('"label_offset": 0', '"label_offset": 1')),
    )
    with pytest.raises(StoreError, match=r"table candidates, row m1: .*of another candidate"):
        load_candidates(store)
    with pytest.raises(StoreError, match=r"table candidates, row m1: .*of another candidate"):
        load_tables(store)


def test_threads_that_are_no_number_are_refused(store: Path) -> None:
    change(store, update(STORE).where(STORE.c.name == "opencv_threads").values(value="many"))
    with pytest.raises(StoreError, match=r"row opencv_threads: .*value is 'many'; allowed: a whole number"):
        load_tables(store)


def test_control_characters_of_names_are_escaped(store: Path) -> None:
    with pytest.raises(OptionError) as caught:
        load_tables(store, candidates=["\x1b[2J"])
    assert "\x1b" not in str(caught.value)
    assert "\\x1b[2J" in str(caught.value)
