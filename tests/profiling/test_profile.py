"""The three passes on recorded answers: everything once, and only what is missing."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sqlalchemy import select

from premodel.backends.replay import ReplayBackend
from premodel.domains.image.decode import decode
from premodel.domains.image.features.extractor import Extractor
from premodel.errors import DatasetError, ModelError, OptionError, StoreError
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.passes import predictions
from premodel.profiling.profile import ProfileOptions, ProfileReport, profile
from premodel.store.schema import FEATURES, PREDICTIONS, RUNS, SAMPLES
from premodel.store.store import Store
from premodel.training.load import load_candidates, load_tables
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo, write_zoo

CORRECT = np.random.default_rng(5).random((12, 3)) < 0.6
QUICK = 0.2


class Notes:
    """A progress that remembers what it is reported."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.passes: dict[str, tuple[int, int]] = {}
        self._what = ""

    def begin(self, what: str, total: int, unit: str) -> None:
        self._what = what
        self.passes[what] = (0, total)

    def advance(self, count: int = 1) -> None:
        done, total = self.passes[self._what]
        self.passes[self._what] = (done + count, total)

    def end(self) -> None:
        pass

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture(autouse=True)
def nothing_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predictions are counted here; those that are asked again are in `test_repeats`."""
    for name in ("MIN_REPEATS", "MAX_REPEATS"):
        monkeypatch.setattr(predictions, name, 0)


@pytest.fixture
def small(tmp_path: Path) -> SmallZoo:
    return write_zoo(tmp_path / "zoo", correct=CORRECT)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every inference in this process."""
    counted: list[int] = []
    real = ReplayBackend.predict

    def predict(self: ReplayBackend, tensor: Any) -> Any:
        counted.append(1)
        return real(self, tensor)

    monkeypatch.setattr(ReplayBackend, "predict", predict)
    return counted


def run(small: SmallZoo, store: Path, notes: Notes | None = None, **options: Any) -> ProfileReport:
    zoo = read_zoo(small.zoo, require_files=True)
    dataset = read_dataset(small.data, options.pop("labels", small.labels), label_names=zoo.labels)
    options.setdefault("passes", ("predictions", "features"))
    return profile(zoo, dataset, store, ProfileOptions(max_timing_seconds=QUICK, **options), notes)


def rows(store: Path, table: Any) -> list[Any]:
    with Store(store) as opened, opened.reading() as connection:
        return list(connection.execute(select(table).order_by(*table.primary_key)).all())


def tables(store: Path) -> Any:
    return load_tables(store, passes=("predictions", "features"))


def test_every_answer_is_stored_as_it_was_given(small: SmallZoo, tmp_path: Path) -> None:
    notes = Notes()
    report = run(small, tmp_path / "s.db", notes)
    assert report.predictions is not None
    assert (report.predictions.predictions, report.predictions.kept, report.predictions.opened) == (36, 0, 12)
    assert notes.passes == {"reading": (12, 12), "predicting": (36, 36), "extracting features": (12, 12)}
    found = tables(tmp_path / "s.db")
    assert found.candidates == small.names
    order = {sample: row for row, sample in enumerate(found.samples)}
    extractor = Extractor()
    assert found.feature_names == extractor.names
    for i, image in enumerate(small.images):
        row = order[hashlib.sha256(image.read_bytes()).hexdigest()]
        assert found.truth[row] == small.truth[i]
        np.testing.assert_array_equal(found.features[row], extractor.extract(decode(image).rgb))
        for j in range(3):
            given = small.probabilities[i, j]
            np.testing.assert_array_equal(found.top_probabilities[row, j], np.sort(given)[::-1])
            np.testing.assert_array_equal(given[found.top_labels[row, j]], found.top_probabilities[row, j])
            assert found.rank[row, j] == np.count_nonzero(given > given[small.truth[i]])
            p = given[given > 0] / given.sum()
            assert found.entropy[row, j] == pytest.approx(-(p * np.log(p)).sum(), rel=1e-5)
    np.testing.assert_array_equal(found.correct("top1").sum(0), CORRECT.sum(0))


def test_a_second_run_does_nothing(small: SmallZoo, tmp_path: Path, calls: list[int]) -> None:
    run(small, tmp_path / "s.db")
    assert len(calls) == 36
    before = rows(tmp_path / "s.db", PREDICTIONS)
    report = run(small, tmp_path / "s.db")
    assert len(calls) == 36
    assert report.predictions is not None
    assert report.features is not None
    assert (report.predictions.predictions, report.predictions.kept) == (0, 36)
    assert (report.features.vectors, report.features.kept) == (0, 12)
    assert rows(tmp_path / "s.db", PREDICTIONS) == before


def test_a_renamed_file_is_old_work_and_a_changed_one_new(small: SmallZoo, tmp_path: Path, calls: list[int]) -> None:
    run(small, tmp_path / "s.db")
    shutil.move(small.images[0], small.data / "images" / "renamed.png")
    text = small.labels.read_text().replace("images/00000.png", "images/renamed.png")
    small.labels.write_text(text)
    report = run(small, tmp_path / "s.db")
    assert len(calls) == 36
    assert report.relabelled == 0
    assert "images/renamed.png" in {row.name for row in rows(tmp_path / "s.db", SAMPLES)}
    assert len(rows(tmp_path / "s.db", SAMPLES)) == 12
    # Other bytes, the same pixels: a new sample, answered anew.
    pixels = cv2.imread(str(small.images[1]))
    cv2.imwrite(str(small.images[1]), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    run(small, tmp_path / "s.db")
    assert len(calls) == 39
    assert len(rows(tmp_path / "s.db", SAMPLES)) == 13


def test_a_new_candidate_is_new_work_for_it_alone(tmp_path: Path, calls: list[int]) -> None:
    views = {"m1": [{"name": "mirror", "mirror": True}]}
    small = write_zoo(tmp_path / "zoo", correct=np.ones((12, 3), bool), views=views)
    text = small.zoo.read_text()
    view = text[text.index("[[models.views]]") :]
    small.zoo.write_text(text.replace(view, ""))
    run(small, tmp_path / "s.db")
    assert len(calls) == 24
    small.zoo.write_text(text)
    run(small, tmp_path / "s.db")
    assert len(calls) == 36
    assert tables(tmp_path / "s.db").candidates == small.names


def test_one_candidate_on_more_threads_has_the_same_answers(small: SmallZoo, tmp_path: Path, calls: list[int]) -> None:
    run(small, tmp_path / "s.db")
    run(small, tmp_path / "s.db", threads=2)
    assert len(calls) == 36
    assert [candidate.threads for candidate in load_candidates(tmp_path / "s.db")] == [2, 2, 2]


def test_workers_bring_the_same(small: SmallZoo, tmp_path: Path) -> None:
    run(small, tmp_path / "one.db")
    report = run(small, tmp_path / "two.db", workers=2)
    assert report.predictions is not None
    assert report.predictions.predictions == 36
    one, two = tables(tmp_path / "one.db"), tables(tmp_path / "two.db")
    assert one.samples == two.samples
    for name in ("truth", "top_labels", "top_probabilities", "entropy", "rank", "features"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_a_limit_is_drawn_and_grows(small: SmallZoo, tmp_path: Path, calls: list[int]) -> None:
    run(small, tmp_path / "s.db", limit=4)
    assert len(tables(tmp_path / "s.db")) == 4
    run(small, tmp_path / "s.db", limit=7)
    assert len(calls) == 7 * 3
    run(small, tmp_path / "s.db")
    assert len(calls) == 36


def test_unreadable_images_are_recorded_and_do_not_end_the_run(small: SmallZoo, tmp_path: Path) -> None:
    small.images[0].write_bytes(b"")
    small.images[1].write_bytes(b"")
    small.images[2].write_bytes(b"this is no image")
    small.images[3].write_bytes(small.images[3].read_bytes()[:-30])
    report = run(small, tmp_path / "s.db")
    assert sorted(Path(name).stem for name in report.unreadable) == ["00000", "00001", "00002", "00003"]
    assert "empty" in report.unreadable["images/00000.png"]
    assert "empty" in report.unreadable["images/00001.png"]
    assert "truncated" in report.unreadable["images/00003.png"]
    assert report.inventory.duplicates == []
    stored = {row.name: row for row in rows(tmp_path / "s.db", SAMPLES)}
    bad = {name: row.reason for name, row in stored.items() if row.status == "unreadable"}
    assert sorted(Path(name).stem for name in bad) == ["00000", "00002", "00003"]  # two empty files are one content
    assert all(bad.values())
    assert {(row.width, row.height) for row in stored.values() if row.status == "ok"} == {(18, 14)}
    assert len(tables(tmp_path / "s.db")) == 8
    # They are tried, and counted, again.
    assert len(run(small, tmp_path / "s.db").unreadable) == 4


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_nothing_readable_is_an_error(small: SmallZoo, tmp_path: Path, content: bytes) -> None:
    for number, image in enumerate(small.images):
        image.write_bytes(content and content + bytes([number]))
    with pytest.raises(DatasetError, match=r"no image can be read; given: 12 files; images/0.*\.png: ") as caught:
        run(small, tmp_path / "s.db")
    assert "\n" not in str(caught.value)
    with pytest.raises(DatasetError, match="no image"):
        run(small, tmp_path / "t.db", passes=("timings",))


def test_a_file_that_vanishes_is_no_sample(small: SmallZoo, tmp_path: Path) -> None:
    zoo = read_zoo(small.zoo)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels)
    small.images[4].unlink()
    report = profile(zoo, dataset, tmp_path / "s.db", ProfileOptions(passes=("predictions",)))
    assert list(report.unreadable) == ["images/00004.png"]
    assert len(rows(tmp_path / "s.db", SAMPLES)) == 11


def test_a_file_that_changes_while_it_is_profiled(small: SmallZoo, tmp_path: Path) -> None:
    class Changing(Notes):
        def begin(self, what: str, total: int, unit: str) -> None:
            super().begin(what, total, unit)
            if what == "predicting":
                small.images[5].write_bytes(small.images[6].read_bytes())

    report = run(small, tmp_path / "s.db", Changing(), passes=("predictions",))
    assert "changed while" in report.unreadable["images/00005.png"]
    assert report.predictions is not None
    assert report.predictions.predictions == 33
    assert {row.status for row in rows(tmp_path / "s.db", SAMPLES)} == {"ok", "new"}


def test_duplicates_are_kept_once_and_contradictions_reported(small: SmallZoo, tmp_path: Path) -> None:
    shutil.copy(small.images[0], small.data / "images" / "twin.png")
    shutil.copy(small.images[1], small.data / "images" / "other.png")
    other = (int(small.truth[1]) + 1) % 6
    with small.labels.open("a") as stream:
        stream.write(f"images/twin.png,{small.truth[0]}\nimages/other.png,{other}\n")
    notes = Notes()
    report = run(small, tmp_path / "s.db", notes)
    assert [(d.name, d.first, d.contradicts) for d in report.inventory.duplicates] == [
        ("images/twin.png", "images/00000.png", False),
        ("images/other.png", "images/00001.png", True),
    ]
    assert any("2 duplicates left out" in note for note in notes.notes)
    assert any("1 of them have another label" in note and "images/other.png" in note for note in notes.notes)
    found = tables(tmp_path / "s.db")
    assert len(found) == 12
    np.testing.assert_array_equal(np.bincount(found.truth, minlength=6), np.bincount(small.truth, minlength=6))


def test_a_changed_label_makes_its_predictions_anew(small: SmallZoo, tmp_path: Path, calls: list[int]) -> None:
    run(small, tmp_path / "s.db")
    lines = small.labels.read_text().splitlines()
    new = (int(small.truth[2]) + 1) % 6
    lines[3] = f"images/00002.png,{new}"
    changed = small.data / "changed.csv"
    changed.write_text("\n".join(lines))
    notes = Notes()
    report = run(small, tmp_path / "s.db", notes, labels=changed)
    assert report.relabelled == 1
    assert any("another label than before" in note for note in notes.notes)
    assert len(calls) == 36 + 3
    found = tables(tmp_path / "s.db")
    row = next(i for i, sample in enumerate(found.samples) if sample == report.inventory.entries[2].sample)
    assert found.truth[row] == new
    for j in range(3):
        assert found.rank[row, j] == found.top_labels[row, j].tolist().index(new)


def test_a_wrong_label_list_costs_nothing_until_predictions_are_made(
    small: SmallZoo, tmp_path: Path, calls: list[int]
) -> None:
    """Answers about another label are not shown, and not thrown away before there are new ones."""
    run(small, tmp_path / "s.db")
    wrong = small.data / "wrong.csv"
    wrong.write_text("path,label\n" + "".join(f"images/{i:05d}.png,{(t + 1) % 6}\n" for i, t in enumerate(small.truth)))
    run(small, tmp_path / "s.db", labels=wrong, passes=("features",))
    with pytest.raises(StoreError, match=r"12 of 12 samples lack an answer of m0; run: premodel profile .*predictions"):
        tables(tmp_path / "s.db")
    run(small, tmp_path / "s.db")
    assert len(calls) == 36
    np.testing.assert_array_equal(tables(tmp_path / "s.db").correct("top1").sum(0), CORRECT.sum(0))


def broken(small: SmallZoo, column: int, image: int | slice) -> SmallZoo:
    """The same zoo, one candidate of which answers NaN."""
    probabilities = small.probabilities.copy()
    probabilities[image, column] = np.nan
    return write_zoo(small.zoo.parent, probabilities, truth=small.truth)


def test_a_failing_answer_is_recorded_and_tried_again(small: SmallZoo, tmp_path: Path, calls: list[int]) -> None:
    some = broken(small, 1, 3)
    report = run(some, tmp_path / "s.db")
    assert report.predictions is not None
    assert report.predictions.failed == {"m1": 1}
    failed = [row for row in rows(tmp_path / "s.db", PREDICTIONS) if row.status == "failed"]
    assert [row.reason for row in failed] == ["output holds NaN or infinite numbers"]
    found = tables(tmp_path / "s.db")
    row = found.samples.index(failed[0].sample)
    assert found.top_labels[row, 1].tolist() == [-1] * 6
    assert found.rank[row, 1] == 6
    assert found.prediction(row, 1) is None
    assert found.prediction(row, 0) is not None
    count = len(calls)
    run(some, tmp_path / "s.db")
    assert len(calls) == count + 1


def test_a_candidate_that_always_fails_is_an_error_and_nothing_is_lost(small: SmallZoo, tmp_path: Path) -> None:
    bad = broken(small, 1, slice(None))
    with pytest.raises(ModelError, match=r"m1.npz: candidate m1 fails on every image.*12 images tried") as caught:
        run(bad, tmp_path / "s.db")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    stored = rows(tmp_path / "s.db", PREDICTIONS)
    assert len(stored) == 36
    assert sum(row.status == "ok" for row in stored) == 24


def test_a_hopeless_candidate_stops_the_pass_early(tmp_path: Path, calls: list[int]) -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), (200, 2))
    probabilities[:, 1] = 0.25
    small = write_zoo(tmp_path / "zoo", probabilities)
    with pytest.raises(ModelError, match=r"m1 fails on every image: constant output"):
        run(small, tmp_path / "s.db", passes=("predictions",))
    assert len(calls) == 100


def test_models_are_checked_before_anything_is_stored(small: SmallZoo, tmp_path: Path) -> None:
    file = small.zoo.parent / "models" / "m2.npz"
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelError, match="wrong sha256"):
        run(small, tmp_path / "s.db")
    assert not (tmp_path / "s.db").exists()


def test_another_label_list_is_refused_and_nothing_is_lost(small: SmallZoo, tmp_path: Path) -> None:
    run(small, tmp_path / "s.db")
    other = write_zoo(tmp_path / "other", correct=CORRECT[:, :1], n_labels=7)
    with pytest.raises(
        StoreError, match=r"another list of labels; given: 7 labels.*allowed: 6 labels, label 6 is 'nothing'"
    ):
        run(other, tmp_path / "s.db")
    assert len(tables(tmp_path / "s.db")) == 12


def test_an_older_zoo_keeps_its_rows(small: SmallZoo, tmp_path: Path, calls: list[int]) -> None:
    run(small, tmp_path / "s.db")
    text = small.zoo.read_text()
    first = text.index("[[models]]")
    small.zoo.write_text(text[:first] + text[text.index("[[models]]", first + 1) :])
    run(small, tmp_path / "s.db")
    assert tables(tmp_path / "s.db").candidates == ("m1", "m2")
    small.zoo.write_text(text)
    run(small, tmp_path / "s.db")
    assert tables(tmp_path / "s.db").candidates == ("m0", "m1", "m2")
    assert len(calls) == 36


def test_every_run_is_recorded_with_its_conditions(small: SmallZoo, tmp_path: Path) -> None:
    run(small, tmp_path / "s.db", command="premodel profile x")
    with pytest.raises(KeyboardInterrupt):
        run(small, tmp_path / "s.db", Interrupting("reading"))
    first, second = rows(tmp_path / "s.db", RUNS)
    assert (first.run, second.run) == (1, 2)
    assert first.command == "premodel profile x"
    assert first.finished >= first.started
    assert second.finished is None
    conditions = json.loads(first.conditions)
    assert conditions["cores"] >= 1
    assert conditions["threads"] == 1
    assert {"premodel", "python", "numpy", "opencv-python-headless"} <= set(conditions["versions"])
    assert set(conditions["candidates"]) == {"m0", "m1", "m2"}
    assert json.loads(first.outcome)["predictions"]["new"] == 36


class Interrupting(Notes):
    """Presses Ctrl-C in a pass, after so many advances."""

    def __init__(self, what: str, after: int = 1) -> None:
        super().__init__()
        self._when = what
        self._after = after

    def advance(self, count: int = 1) -> None:
        super().advance(count)
        if self._what == self._when and self.passes[self._what][0] >= self._after:
            raise KeyboardInterrupt


def test_ctrl_c_keeps_what_is_done(small: SmallZoo, tmp_path: Path, calls: list[int]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(small, tmp_path / "s.db", Interrupting("predicting", 15))
    assert len(rows(tmp_path / "s.db", PREDICTIONS)) == 15
    run(small, tmp_path / "s.db")
    assert len(calls) == 36
    assert len(tables(tmp_path / "s.db")) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"passes": ("magic",)}, "unknown pass; given: magic; allowed: predictions, timings, features"),
        ({"passes": ()}, "unknown pass; given: none"),
        ({"limit": 0}, "wrong limit; given: 0"),
        ({"threads": 0}, "wrong threads"),
        ({"workers": -1}, "wrong workers"),
        ({"retime": "some"}, "wrong retime"),
    ],
)
def test_options_out_of_range(small: SmallZoo, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        run(small, tmp_path / "s.db", **options)
    assert not (tmp_path / "s.db").exists()


def test_opencv_threads_are_given_back(small: SmallZoo, tmp_path: Path) -> None:
    before = cv2.getNumThreads()
    run(small, tmp_path / "s.db")
    assert cv2.getNumThreads() == before


def test_vectors_are_stored_once(small: SmallZoo, tmp_path: Path) -> None:
    run(small, tmp_path / "s.db", passes=("features",))
    with pytest.raises(StoreError, match="lack an answer of m0"):
        tables(tmp_path / "s.db")
    assert len(rows(tmp_path / "s.db", FEATURES)) == 12
    run(small, tmp_path / "s.db", passes=("predictions",))
    assert len(tables(tmp_path / "s.db")) == 12


@pytest.mark.parametrize("workers", [1, 2])
def test_images_inside_a_parquet_file(small: SmallZoo, tmp_path: Path, workers: int) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    images = [{"bytes": image.read_bytes(), "path": None} for image in small.images]
    images[7]["bytes"] = b"no image"
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, kind), "label": small.truth.tolist()})
    pyarrow.parquet.write_table(table, tmp_path / "test.parquet", row_group_size=5)
    zoo = read_zoo(small.zoo)
    dataset = read_dataset(tmp_path / "test.parquet", label_names=zoo.labels)
    options = ProfileOptions(passes=("predictions", "features"), workers=workers)
    report = profile(zoo, dataset, tmp_path / "s.db", options)
    assert list(report.unreadable) == ["test.parquet#7"]
    found = tables(tmp_path / "s.db")
    assert len(found) == 11
    np.testing.assert_array_equal(found.correct("top1").sum(0), np.delete(CORRECT, 7, axis=0).sum(0))
