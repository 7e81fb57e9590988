"""Tables without a line of names, tables with a column per class, and paths of another machine."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from premodel.errors import DatasetError
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.datasets.columns import DatasetOptions
from premodel.profiling.datasets.registry import read_dataset
from premodel.zoo.label_files import read_label_file

LABELS = ("cat", "dog", "sea gull")


def picture(file: Path, seed: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8))
    return file


def read(root: Path, text: str, *, names: tuple[str, ...] = LABELS, **options: str) -> Dataset:
    for number in range(4):
        picture(root / "pictures" / f"{number}.png", number)
    (root / "t.csv").write_text(text)
    return read_dataset(root / "t.csv", label_names=names, options=DatasetOptions(**options))


class TestNoLineOfNames:
    @pytest.mark.parametrize(
        "text",
        [
            "pictures/0.png,dog\npictures/1.png,cat\npictures/2.png,dog\n",
            "1;pictures/0.png\n0;pictures/1.png\n1;pictures/2.png\n",
            "pictures/0.png\t17.5\tdog\npictures/1.png\t3\tcat\n\npictures/2.png\t9.25\tdog\n",
        ],
    )
    def test_the_first_line_is_a_row_too(self, tmp_path: Path, text: str) -> None:
        found = read(tmp_path, text)
        assert list(found.labels) == [1, 0, 1]
        assert [Path(path).name for path in found.paths or ()] == ["0.png", "1.png", "2.png"]
        assert any("t.csv has no line of names: column " in note for note in found.notes)

    @pytest.mark.parametrize(
        "text",
        [
            "pictures/0.png,dog,cat\npictures/1.png,cat,cat\n",
            "pictures/0.png,pictures/1.png,dog\n",
            "pictures/0.png,7 cm,red\npictures/1.png,8 cm,blue\n",
        ],
    )
    def test_what_is_not_clear_is_refused(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(DatasetError, match="has no line of names, and its columns are not clear"):
            read(tmp_path, text)

    def test_a_column_that_is_asked_for_needs_the_names(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="no column 'kind'"):
            read(tmp_path, "path,dog\npictures/0.png,cat\n", label_column="kind")

    def test_a_label_that_is_none_is_named_with_its_line(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match=r"line 2.*unknown label|unknown label.*line 2") as error:
            read(tmp_path, "pictures/0.png,dog\npictures/1.png,horse\n")
        assert "horse" in str(error.value)


class TestColumnPerClass:
    def test_the_one_that_holds_1_is_the_label(self, tmp_path: Path) -> None:
        text = "image,age,Cat,DOG,sea_gull\npictures/0,7,0,1,0\npictures/1,8,1.0,0.0,0.0\npictures/2,9,0,0,1\n"
        found = read(tmp_path, text)
        assert list(found.labels) == [1, 0, 2]
        assert "t.csv has a column per class: the one that holds 1 is the label, of 3" in found.notes

    def test_metadata_of_a_folder_may_be_such_a_table(self, tmp_path: Path) -> None:
        picture(tmp_path / "a" / "0.png")
        picture(tmp_path / "b" / "1.png", 1)
        (tmp_path / "metadata.csv").write_text("file_name,cat,dog\na/0.png,0,1\nb/1.png,1,0\n")
        found = read_dataset(tmp_path, label_names=LABELS)
        assert list(found.labels) == [1, 0]

    @pytest.mark.parametrize(
        ("row", "given"), [("0,0,0", "no class"), ("1,1,0", "cat, dog"), ("0.5,0.5,0", "0.5"), ("1,maybe,0", "maybe")]
    )
    def test_not_one_class_is_refused_with_the_line(self, tmp_path: Path, row: str, given: str) -> None:
        with pytest.raises(DatasetError, match="not one class") as error:
            read(tmp_path, f"path,cat,dog,sea gull\npictures/0.png,1,0,0\npictures/1.png,{row}\n")
        assert "line 3" in str(error.value)
        assert given in str(error.value)

    def test_a_column_of_labels_comes_first(self, tmp_path: Path) -> None:
        found = read(tmp_path, "path,label,cat,dog\npictures/0.png,dog,1,0\npictures/1.png,cat,1,0\n")
        assert list(found.labels) == [1, 0]
        assert found.notes == ()


class TestPathsOfAnotherMachine:
    @pytest.mark.parametrize(
        "start", ["C:\\Users\\me\\My data\\", "D:/work/", "\\\\server\\share\\", "/home/other/data/", "/content/x/"]
    )
    def test_the_longest_end_finds_the_file(self, tmp_path: Path, start: str) -> None:
        separator = "\\" if "\\" in start else "/"
        for folder in ("cat", "dog"):
            picture(tmp_path / "deep" / folder / "1.png")
        rows = [f"{start}{folder}{separator}1.png,{folder}" for folder in ("dog", "cat")]
        (tmp_path / "t.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
        found = read_dataset(tmp_path / "t.csv", label_names=LABELS)
        assert [Path(path).parent.name for path in found.paths or ()] == ["dog", "cat"]
        (note,) = found.notes
        assert note.startswith("2 paths of another machine: found by their ends, such as ")

    def test_files_below_the_root_are_looked_at(self, tmp_path: Path) -> None:
        picture(tmp_path / "root" / "x" / "7.png")
        (tmp_path / "t.csv").write_text("path,label\nC:\\me\\7.png,dog\n")
        found = read_dataset(tmp_path / "root", tmp_path / "t.csv", label_names=LABELS)
        assert [Path(path).name for path in found.paths or ()] == ["7.png"]

    def test_several_files_that_fit_are_refused(self, tmp_path: Path) -> None:
        picture(tmp_path / "a" / "1.png")
        picture(tmp_path / "b" / "1.png")
        (tmp_path / "t.csv").write_text("path,label\nC:\\me\\1.png,dog\n")
        with pytest.raises(DatasetError, match="fits several files"):
            read_dataset(tmp_path / "t.csv", label_names=LABELS)

    def test_one_file_for_two_paths_is_refused(self, tmp_path: Path) -> None:
        picture(tmp_path / "1.png")
        (tmp_path / "t.csv").write_text("path,label\nC:\\me\\dog\\1.png,dog\nC:\\me\\cat\\1.png,cat\n")
        with pytest.raises(DatasetError, match="two paths of another machine fit one file"):
            read_dataset(tmp_path / "t.csv", label_names=LABELS)

    @pytest.mark.parametrize("path", ["C:\\me\\9.png", "/home/other/9.png", "other/0.png"])
    def test_what_is_not_there_is_refused_as_before(self, tmp_path: Path, path: str) -> None:
        with pytest.raises(DatasetError, match="the file is not there"):
            read(tmp_path, f"path,label\n{path},dog\n")


@pytest.mark.parametrize("head", ["path,label,label", "path,label,path"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, head: str) -> None:
    """Which of them is meant cannot be known; a reader of tables would take the last without a word."""
    with pytest.raises(DatasetError, match="2 columns have one name"):
        read(tmp_path, f"{head}\npictures/0.png,dog,cat\n")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_label_files_as_windows_writes_them(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "classes.txt").write_bytes("cat\r\ndog\r\nsea gull\r\n".encode(encoding))
    assert read_label_file(tmp_path / "classes.txt") == LABELS
