"""Rows that contradict each other, and columns that do."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from premodel.profiling.datasets.base import Dataset
from premodel.profiling.datasets.columns import DatasetOptions
from premodel.profiling.datasets.registry import read_dataset

NAMES = ["ant", "bee", "wild cat"]


def dataset_of(folder: Path, table: str, text: str, options: DatasetOptions | None = None) -> Dataset:
    """Three pictures and a table of them."""
    for number in range(3):
        cv2.imwrite(str(folder / f"p{number}.png"), np.full((4, 4, 3), 40 * number, np.uint8))
    (folder / table).write_text(text)
    return read_dataset(folder / table, label_names=NAMES, options=options or DatasetOptions())


def test_names_are_taken_where_numbers_beside_them_mean_other_labels(tmp_path: Path) -> None:
    text = "path,label,label_name\np0.png,2,ant\np1.png,1,bee\np2.png,0,wild_cat\n"
    found = dataset_of(tmp_path, "t.csv", text)
    assert list(found.labels) == [0, 1, 2]
    assert found.notes == ("the numbers and the names of the labels differ by the zoo's list; the names were taken",)
    asked = dataset_of(tmp_path, "t.csv", text, DatasetOptions(label_column="label"))
    assert (list(asked.labels), asked.notes) == ([2, 1, 0], ())


@pytest.mark.parametrize("names", ["ant,bee,wild cat", "ant,bee,dog", "7,8,9"], ids=["agree", "unknown", "numbers"])
def test_numbers_stay_where_the_names_beside_them_say_nothing_else(tmp_path: Path, names: str) -> None:
    rows = "".join(f"p{number}.png,{number},{name}\n" for number, name in enumerate(names.split(",")))
    found = dataset_of(tmp_path, "t.csv", f"path,label,category\n{rows}")
    assert (list(found.labels), found.notes) == ([0, 1, 2], ())


def test_files_with_several_labels_are_counted_and_one_is_named(tmp_path: Path) -> None:
    text = "file_name,category_name\np0.png,ant\np0.png,bee\np1.png,bee\np1.png,bee\n"
    found = dataset_of(tmp_path, "t.csv", text)
    assert found.notes == ("1 images are listed with several labels, such as p0.png with 'ant' and 'bee'",)


def test_ids_without_suffixes_name_the_only_file(tmp_path: Path) -> None:
    found = dataset_of(tmp_path, "t.csv", "id,breed_label,label\np0,x,ant\np2,x,bee\n")
    assert found.paths is not None
    assert [path.name for path in found.paths] == ["p0.png", "p2.png"]
    (tmp_path / "p0.jpg").write_bytes(b"another")
    with pytest.raises(Exception, match=r"the file is not there; given: p0"):
        dataset_of(tmp_path, "t.csv", "id,label\np0,ant\n")


def test_a_list_of_one_label_is_that_label(tmp_path: Path) -> None:
    rows = [{"image": "p0.png", "labels": ["bee"]}, {"image": "p1.png", "labels": [2]}]
    with pytest.raises(Exception, match="unknown label"):
        dataset_of(tmp_path, "t.jsonl", "\n".join(map(json.dumps, rows)))
    rows[1]["labels"] = ["wild cat"]
    assert list(dataset_of(tmp_path, "t.jsonl", "\n".join(map(json.dumps, rows))).labels) == [1, 2]
    rows[1]["labels"] = ["wild cat", "ant"]
    with pytest.raises(Exception, match="no path or no label"):
        dataset_of(tmp_path, "t.jsonl", "\n".join(map(json.dumps, rows)))
