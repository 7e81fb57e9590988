"""Records as a profile: their weights, and what can be run on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundles import Made, make_bundle
from policy_makers import MAKERS
from premodel.errors import OptionError
from premodel.evaluation.recorded import UNKNOWN, read_recorded, weights_of
from premodel.runtime.engine import Premodel
from premodel.serving.record_store import RecordStore
from premodel.serving.record_tables import Kept, Record

RECORD = Record(1, 0.0, 0.5, b"", {}, None, None, None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_bundle(tmp_path_factory.mktemp("recorded"), MAKERS["select, the paper's chain"])


def test_a_record_stands_for_the_inputs_that_were_not_kept() -> None:
    """One kept of two and labelled by a draw of one in four stands for eight; one kept for sure, for four."""
    drawn = [replace(RECORD, kept=0.5, drawn=0.25, truth=1), replace(RECORD, kept=1.0, drawn=0.25, truth=0)]
    weight, label_weight = weights_of([*drawn, replace(RECORD, kept=1.0)])
    assert weight == pytest.approx(np.array([2, 1, 1]) * 3 / 4)
    assert label_weight == pytest.approx(np.array([8, 4, 0]) * 2 / 12)


def test_labels_that_were_not_drawn_count_as_a_draw_among_the_others() -> None:
    own = [replace(RECORD, kept=1.0, truth=1), *[replace(RECORD, kept=1.0)] * 3]
    drawn = replace(RECORD, kept=1.0, drawn=0.5, truth=1)
    assert weights_of([*own, drawn])[1] == pytest.approx(np.array([4, 0, 0, 0, 2]) / 3)


def test_every_candidate_answers_every_record(made: Made, tmp_path: Path) -> None:
    images = [file.read_bytes() for file in made.small.images[:6]]
    with RecordStore(tmp_path / "r.db", create=True) as store, Premodel(made.path) as premodel:
        store.adopt("image-classification", premodel.bundle.label_names)
        run = store.begin_run(0.0, {})
        numbers = store.add(run, [Kept(0.0, 1.0, data, {"label": 0}) for data in (*images, b"no image")])
        with pytest.raises(OptionError, match="no record has a label"):
            read_recorded(premodel, store)
        store.label({numbers[0]: int(made.small.truth[0]), numbers[1]: int(made.small.truth[1])})
        found = read_recorded(premodel, store, limit=3)
    tables = found.tables
    assert len(tables) == 4  # two labelled; of the three newest others one is no image
    assert found.unreadable == 1
    assert found.labelled.tolist() == [True, True, False, False]
    assert (tables.truth[2:] == UNKNOWN).all()
    assert tables.candidates == premodel.candidates
    columns = [made.tables.candidates.index(name) for name in tables.candidates]
    for row, image in ((0, 1), (1, 0)):  # the newest first
        assert (tables.top_labels[row] == made.tables.top_labels[image, columns]).all()
        assert (tables.rank[row] == made.tables.rank[image, columns]).all()
        own = [made.tables.feature_names.index(name) for name in tables.feature_names]
        assert (tables.features[row] == made.tables.features[image, own]).all()
    assert not tables.correct("top1")[2:].any()


def test_records_of_other_labels_are_refused(made: Made, tmp_path: Path) -> None:
    with RecordStore(tmp_path / "r.db", create=True) as store, Premodel(made.path) as premodel:
        store.adopt("image-classification", ("cat", "dog"))
        with pytest.raises(OptionError, match="must be of the premodel's labels"):
            read_recorded(premodel, store)
