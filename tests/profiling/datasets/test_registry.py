"""One contract for every form of a data set, and what each form states of bad input."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from premodel.errors import DatasetError, PremodelError
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.datasets.columns import DatasetOptions
from premodel.profiling.datasets.registry import read_dataset

LABELS = ("n00000001 cat", "n00000002 dog", "n00000003 very big horse")
TRUTH = (2, 0, 1, 1, 0, 2, 0)


def encoded(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    return bytes(cv2.imencode(".png", pixels)[1])


IMAGES = tuple(encoded(seed) for seed in range(len(TRUTH)))
Made = tuple[Path, Path | None]


def folders(root: Path) -> Made:
    for number, (data, label) in enumerate(zip(IMAGES, TRUTH, strict=True)):
        folder = root / LABELS[label].split()[0] / ("deeper" if number % 2 else "")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(data)
    return root, None


def files(root: Path) -> list[str]:
    (root / "val").mkdir(parents=True, exist_ok=True)
    names = [f"img {number}.JPEG" for number in range(len(IMAGES))]
    for name, data in zip(names, IMAGES, strict=True):
        (root / "val" / name).write_bytes(data)
    return names


def csv_table(root: Path) -> Made:
    rows = [f"val/{name},{label},x\n" for name, label in zip(files(root), TRUTH, strict=True)]
    table = root / "labels.csv"
    table.write_text("path,label,source\n" + "".join(rows), encoding="utf-8-sig")
    return root, table


def csv_as_data(root: Path) -> Made:
    _, table = csv_table(root)
    assert table is not None
    return table, None


def csv_elsewhere(root: Path) -> Made:
    _, table = csv_table(root)
    assert table is not None
    (root.parent / "elsewhere").mkdir()
    return root, table.rename(root.parent / "elsewhere" / "t.csv")


def tsv_with_names(root: Path) -> Made:
    table = root / "labels.tsv"
    names = files(root)
    table.write_text(
        "label\tpath\n" + "".join(f"{LABELS[label]}\tval/{name}\n" for name, label in zip(names, TRUTH, strict=True))
    )
    return root, table


def parquet_table(root: Path) -> Made:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    names = [f"val/{name}" for name in files(root)]
    pyarrow.parquet.write_table(pa.table({"path": names, "label": list(TRUTH)}), root / "labels.parquet")
    return root, root / "labels.parquet"


def ilsvrc(root: Path) -> Made:
    listing = root / "val.txt"
    listing.write_text("".join(f"{name} {label}\n" for name, label in zip(files(root), TRUTH, strict=True)))
    return root, listing


def ilsvrc_ids(root: Path) -> Made:
    listing = root.parent / "val.txt"
    listing.write_text(
        "".join(f"{name} {LABELS[label].split()[0]}\n" for name, label in zip(files(root), TRUTH, strict=True))
    )
    return root, listing


def huggingface_bytes(images: tuple[bytes, ...], labels: tuple[int, ...], file: Path, **options: object) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    file.parent.mkdir(parents=True, exist_ok=True)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    column = pa.array([{"bytes": data, "path": None} for data in images], kind)
    table = pa.table({"image": column, "label": pa.array(labels, pa.int64())})
    names = options.pop("class_names", None)
    if names is not None:
        info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    pyarrow.parquet.write_table(table, file, **options)
    return file


def huggingface(root: Path) -> Made:
    return huggingface_bytes(IMAGES, TRUTH, root / "test.parquet", row_group_size=3), None


def huggingface_shards(root: Path) -> Made:
    huggingface_bytes(IMAGES[:4], TRUTH[:4], root / "test-00000-of-00002.parquet", row_group_size=3)
    huggingface_bytes(IMAGES[4:], TRUTH[4:], root / "test-00001-of-00002.parquet")
    return root, None


def huggingface_other_order(root: Path) -> Made:
    """The file's class 0 is the zoo's label 2, and so on."""
    names = ["very big horse", "cat", "dog"]
    own = tuple((2, 0, 1).index(label) for label in TRUTH)
    return huggingface_bytes(IMAGES, own, root / "test.parquet", class_names=names), None


FORMS: dict[Callable[[Path], Made], str] = {
    folders: "folders",
    csv_table: "table",
    csv_as_data: "table",
    csv_elsewhere: "table",
    tsv_with_names: "table",
    parquet_table: "table",
    ilsvrc: "ilsvrc",
    ilsvrc_ids: "ilsvrc",
    huggingface: "huggingface",
    huggingface_shards: "huggingface",
    huggingface_other_order: "huggingface",
}


@pytest.fixture(params=FORMS, ids=lambda form: form.__name__)
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    root = tmp_path / "data"
    root.mkdir()
    data, labels = request.param(root)
    found = read_dataset(data, labels, label_names=LABELS)
    assert found.form == FORMS[request.param]
    return found


def test_every_image_has_its_label(dataset: Dataset) -> None:
    assert len(dataset) == len(IMAGES)
    assert dataset.labels.dtype == np.int32
    label_of = {hashlib.sha256(data).digest(): label for data, label in zip(IMAGES, TRUTH, strict=True)}
    found = {payload.row: payload.data for payload in dataset.read()}
    assert sorted(found) == list(range(len(IMAGES)))
    assert [
        label_of[hashlib.sha256(found[row] or b"").digest()] for row in range(len(IMAGES))
    ] == dataset.labels.tolist()
    assert dataset.missing == ()
    assert dataset.notes == ()


def test_some_rows_are_read_in_rising_order(dataset: Dataset) -> None:
    whole = {payload.row: payload.data for payload in dataset.read()}
    some = list(dataset.read([5, 0, 3]))
    assert [payload.row for payload in some] == [0, 3, 5]
    assert all(payload.data == whole[payload.row] for payload in some)
    assert list(dataset.read([])) == []


def test_names_are_distinct_and_paths_hold_the_bytes(dataset: Dataset) -> None:
    assert len(set(dataset.names)) == len(IMAGES)
    if dataset.paths is not None:
        assert [path.read_bytes() for path in dataset.paths] == [payload.data for payload in dataset.read()]


def test_a_smaller_draw_lies_in_a_larger_one(dataset: Dataset) -> None:
    draws = [set(dataset.draw(limit)) for limit in range(1, 9)]
    assert [len(draw) for draw in draws] == [1, 2, 3, 4, 5, 6, 7, 7]
    assert all(small <= large for small, large in pairwise(draws))
    assert dataset.draw(3) == dataset.draw(3) == sorted(dataset.draw(3))
    assert dataset.draw(None) == list(range(7))


def refuse(message: str, data: Path, labels: Path | None = None, error: type[PremodelError] = DatasetError) -> str:
    with pytest.raises(error, match=message) as caught:
        read_dataset(data, labels, label_names=LABELS)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 2
    return text


def test_unknown_folder(tmp_path: Path) -> None:
    folders(tmp_path)
    (tmp_path / "unicorn").mkdir()
    folders_found = read_dataset(tmp_path, label_names=LABELS)
    assert len(folders_found) == 7  # an empty folder is no class
    (tmp_path / "unicorn" / "a.jpg").write_bytes(b"x")
    refuse("unicorn: unknown label; given: 'unicorn'; allowed: 0 to 2", tmp_path)


def test_folders_by_index_and_name_are_read_one_way(tmp_path: Path) -> None:
    for name in ("0", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(IMAGES[0])
    assert read_dataset(tmp_path, label_names=LABELS).labels.tolist() == [0, 2]


def test_other_and_hidden_files_are_left_out_and_counted(tmp_path: Path) -> None:
    folders(tmp_path)
    (tmp_path / "n00000001" / "notes.txt").write_text("x")
    (tmp_path / "n00000001" / ".hidden.png").write_bytes(IMAGES[0])
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.png").write_bytes(IMAGES[0])
    found = read_dataset(tmp_path, label_names=LABELS)
    assert len(found) == 7
    assert found.notes == (
        "class n00000001: 1 of its 4 files were left out (.txt is not read as image)",
        "1 files without the suffix of an image were left out",
    )


def test_a_folder_without_classes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(IMAGES[0])
    text = refuse("no folder per class holds an image; given: 1 images directly", tmp_path)
    assert "--labels" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column of paths; given: no column"),
        ("path,label\n", "the table has no rows"),
        ("where,label\nval/img 0.JPEG,0\n", "no column of paths; given: where, label.*--image-column"),
        ("path,truth\nval/img 0.JPEG,0\n", "no column of labels; given: truth.*--label-column"),
        ("path,label\nval/img 0.JPEG\n", "line 2: no label"),
        ("path,label\n,1\n", "line 2: no path"),
        ("path,label\nval/img 0.JPEG,0\nval/img 1.JPEG,3\n", "line 3: unknown label; given: '3'; allowed: 0 to 2"),
        ("path,label\nval/img 0.JPEG,0\nnone.jpg,1\n", "line 3: the file is not there; given: none.jpg"),
        ("path,label\nval,1\n", "line 2: the file is not there; given: val"),
        ('path,label\n"val,1\n', "not a CSV table"),
        ("path,label\nval/img 0.JPEG,0\0\n", "line 2: unknown label|not a CSV table"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    files(tmp_path)
    table = tmp_path / "t.csv"
    table.write_text(text)
    assert str(table) in refuse(message, tmp_path, table)


def test_a_table_that_is_no_text(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(b"path,label\n\xff\xfe,1\n")
    refuse("not a CSV table", tmp_path, table)


def test_a_subset_of_a_list_is_usable_and_the_rest_counted(tmp_path: Path) -> None:
    _, listing = ilsvrc(tmp_path)
    assert listing is not None
    with listing.open("a") as stream:
        stream.writelines(f"absent_{number}.JPEG 1\n" for number in range(40))
    found = read_dataset(tmp_path, listing, label_names=LABELS)
    assert len(found) == 7
    assert len(found.missing) == 40
    assert found.missing[0] == "absent_0.JPEG"


def test_a_list_without_any_of_its_images(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    listing = tmp_path / "val.txt"
    listing.write_text("a.JPEG 0\nb.JPEG 1\n")
    refuse("none of the listed images is there; given: 2 names", tmp_path, listing)


def test_images_anywhere_below_unless_two_have_the_name(tmp_path: Path) -> None:
    _, listing = ilsvrc(tmp_path)
    assert listing is not None
    (tmp_path / "val").rename(tmp_path / "pictures")
    assert len(read_dataset(tmp_path, listing, label_names=LABELS)) == 7
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "img 3.JPEG").write_bytes(IMAGES[0])
    text = refuse("line 4: two files have this name", tmp_path, listing)
    assert "more" in text
    assert "pictures" in text
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "img 3.JPEG").write_bytes(IMAGES[3])
    assert len(read_dataset(tmp_path, listing, label_names=LABELS)) == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the list is empty"),
        ("img 0.JPEG 0\n490\n", "line 2: not a name and a label; given: '490'"),
        ("img 0.JPEG 0\n\nimg 1.JPEG 77\n", "line 3: unknown label; given: '77'"),
    ],
)
def test_bad_lists(tmp_path: Path, text: str, message: str) -> None:
    files(tmp_path)
    listing = tmp_path / "val.txt"
    listing.write_text(text)
    refuse(message, tmp_path, listing)


def test_bad_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 no")
    refuse("not a readable Parquet file", tmp_path / "damaged.parquet")
    pyarrow.parquet.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    refuse("no column of paths; given: a", tmp_path / "other.parquet")
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.array([{"bytes": IMAGES[0], "path": None}], kind)
    pyarrow.parquet.write_table(pa.table({"image": images}), tmp_path / "no_label.parquet")
    refuse("no column of labels; given: no column.*--label-column", tmp_path / "no_label.parquet")
    huggingface_bytes(IMAGES[:2], (0, 3), tmp_path / "bad_label.parquet")
    refuse("bad_label.parquet, row 1: unknown label; given: 3", tmp_path / "bad_label.parquet")
    huggingface_bytes(IMAGES[:2], (0, -2), tmp_path / "no_truth.parquet")
    refuse("row 1: unknown label; given: -2", tmp_path / "no_truth.parquet")


def test_parquet_rows_without_bytes(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    (tmp_path / "there.png").write_bytes(IMAGES[0])
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": None, "path": "there.png"}, {"bytes": None, "path": "gone.png"}, None]
    pyarrow.parquet.write_table(pa.table({"image": pa.array(rows, kind), "label": [0, 1, 2]}), tmp_path / "t.parquet")
    found = list(read_dataset(tmp_path / "t.parquet", label_names=LABELS).read())
    assert found[0].data == IMAGES[0]
    assert [payload.data for payload in found[1:]] == [None, None]
    assert "gone.png" in found[1].reason
    assert "neither bytes nor a path" in found[2].reason


def test_class_names_that_are_not_the_zoos_are_told(tmp_path: Path) -> None:
    file = huggingface_bytes(IMAGES, TRUTH, tmp_path / "t.parquet", class_names=["a", "b", "c"])
    found = read_dataset(file, label_names=LABELS)
    assert found.labels.tolist() == list(TRUTH)
    assert "taken as indices" in found.notes[0]


def test_what_is_not_there_or_of_no_form(tmp_path: Path) -> None:
    refuse("nothing: not there", tmp_path / "nothing")
    refuse("nothing.csv: not there", tmp_path, tmp_path / "nothing.csv")
    (tmp_path / "a.zip").write_bytes(b"x")
    refuse("unknown form", tmp_path / "a.zip")
    refuse("labels go with a folder", tmp_path / "a.zip", tmp_path / "a.zip")


def test_a_file_that_cannot_be_read_gives_the_reason(tmp_path: Path) -> None:
    _, table = csv_table(tmp_path)
    dataset = read_dataset(tmp_path, table, label_names=LABELS)
    (tmp_path / "val" / "img 2.JPEG").unlink()
    found = list(dataset.read())
    assert found[2].data is None
    assert "img 2.JPEG" in found[2].reason
    assert sum(payload.data is not None for payload in found) == 6


def test_bytes_are_not_all_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that looks at one row of 300 makes pyarrow decode one batch, not the file."""
    pytest.importorskip("pyarrow")
    many = tuple(IMAGES[number % 7] for number in range(300))
    file = huggingface_bytes(many, tuple(TRUTH[number % 7] for number in range(300)), tmp_path / "t.parquet")
    dataset = read_dataset(file, label_names=LABELS)
    seen = []
    from premodel.profiling.datasets import huggingface as form

    real = form.open_parquet

    class Counting:
        def __init__(self, path: Path) -> None:
            self._file = real(path)

        def __getattr__(self, name: str) -> object:
            return getattr(self._file, name)

        def iter_batches(self, *args: object, **options: object) -> object:
            for batch in self._file.iter_batches(*args, **options):
                seen.append(batch.num_rows)
                yield batch

    monkeypatch.setattr(form, "open_parquet", Counting)
    assert next(iter(dataset.read([70]))).data == many[70]
    assert sum(seen) <= 128


def test_real_lists(imagenet: Path) -> None:
    names = (imagenet / "synset_words.txt").read_text().splitlines()
    table = read_dataset(imagenet, imagenet / "labels.csv", label_names=names)
    listed = read_dataset(imagenet, imagenet / "ilsvrc2012_val_labels.txt", label_names=names)
    assert (len(table), len(listed), len(listed.missing)) == (1500, 900, 49_100)
    by_name = {Path(name).name: label for name, label in zip(table.names, table.labels, strict=True)}
    assert all(by_name[name] == label for name, label in zip(listed.names, listed.labels, strict=True))


def test_real_parquet(shared: Path) -> None:
    pytest.importorskip("pyarrow")
    names = (shared / "cifar10" / "labels.txt").read_text().split()
    dataset = read_dataset(shared / "cifar10" / "test.parquet", label_names=names)
    assert len(dataset) == 8000
    payloads = list(dataset.read([0, 999, 1000, 7999]))
    assert [payload.row for payload in payloads] == [0, 999, 1000, 7999]
    for payload in payloads:
        assert cv2.imdecode(np.frombuffer(payload.data or b"", np.uint8), cv2.IMREAD_COLOR).shape == (32, 32, 3)
    assert io.BytesIO(payloads[0].data or b"").read(2) == b"\xff\xd8"


def table_of(root: Path, text: str, *, name: str = "t.csv", encoding: str = "utf-8") -> Dataset:
    (root / name).write_bytes(text.encode(encoding))
    return read_dataset(root, root / name, label_names=["light red", "red", "blue"])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("head", ["path,label", "Path,Label", " FileName , Class ", "image_path,target", "file_name,y"])
def test_tables_as_spreadsheets_write_them(tmp_path: Path, delimiter: str, encoding: str, head: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a b.png").write_bytes(IMAGES[0])
    text = f"{head},note\r\nsub\\a b.png,light red,x\r\n".replace(",", delimiter)
    found = table_of(tmp_path, text, encoding=encoding)
    assert found.labels.tolist() == [0]
    assert found.paths == [tmp_path / "sub" / "a b.png"]


def test_json_lines_and_the_metadata_of_an_image_folder(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(IMAGES[0])
    text = '{"file_name": "a.png", "label": "blue"}\n\n{"file_name": "b.png", "label": 1}\n'.replace("1}", '"red"}')
    assert table_of(tmp_path, text, name="metadata.jsonl").labels.tolist() == [2, 1]
    found = read_dataset(tmp_path, label_names=["light red", "red", "blue"])
    assert (found.form, found.labels.tolist()) == ("table", [2, 1])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not JSON"),
        ("[1]", "line 1: not a JSON object"),
        ('{"path": 3, "label": "red"}', "line 1: no path"),
    ],
)
def test_bad_json_lines(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "t.jsonl").write_text(line)
    refuse(message, tmp_path, tmp_path / "t.jsonl")


def test_columns_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(IMAGES[0])
    (tmp_path / "t.csv").write_text("where,path,label,truth\na.png,x,9,2\n")
    options = DatasetOptions(image_column="where", label_column="Truth")
    found = read_dataset(tmp_path, tmp_path / "t.csv", label_names=LABELS, options=options)
    assert found.labels.tolist() == [2]
    with pytest.raises(DatasetError, match="no column 'nowhere'; given: where, path"):
        read_dataset(tmp_path, tmp_path / "t.csv", label_names=LABELS, options=DatasetOptions(image_column="nowhere"))


@pytest.mark.parametrize("line", ["a b.png\tlight red", "a b.png light red", "a b.png   light red"])
def test_a_list_may_hold_labels_of_several_words(tmp_path: Path, line: str) -> None:
    (tmp_path / "a b.png").write_bytes(IMAGES[0])
    found = table_of(tmp_path, line + "\n", name="list.txt")
    assert (found.form, found.labels.tolist(), found.missing) == ("ilsvrc", [0], ())


def test_a_class_that_loses_all_its_files_is_named(tmp_path: Path) -> None:
    folders(tmp_path)
    for file in [path for path in (tmp_path / "n00000001").rglob("*") if path.is_file()]:
        file.rename(file.with_suffix(".heic"))
    notes = read_dataset(tmp_path, label_names=LABELS).notes
    assert notes[0] == "class n00000001: all its 3 files were left out (.heic is not read as image)"


def test_folders_of_splits_are_not_taken_for_classes(tmp_path: Path) -> None:
    for split in ("train", "val"):
        folders(tmp_path / split)
    text = refuse("folders must be labels; train holds folders that are", tmp_path)
    assert str(tmp_path / "train") in text
    found = read_dataset(tmp_path, label_names=LABELS, options=DatasetOptions(split="val"))
    assert len(found) == 7
    with pytest.raises(DatasetError, match="no such split; given: test; allowed: train, val"):
        read_dataset(tmp_path, label_names=LABELS, options=DatasetOptions(split="test"))


@pytest.mark.parametrize("suffix", [".jfif", ".JFIF", ".pjpeg"])
def test_names_that_browsers_give_to_jpegs(tmp_path: Path, suffix: str) -> None:
    for name in ("0", "1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"a{suffix}").write_bytes(IMAGES[0])
    assert len(read_dataset(tmp_path, label_names=LABELS)) == 2


def test_one_name_in_composed_and_decomposed_letters(tmp_path: Path) -> None:
    (tmp_path / unicodedata.normalize("NFD", "grün")).mkdir()
    (tmp_path / unicodedata.normalize("NFD", "grün") / "a.png").write_bytes(IMAGES[0])
    found = read_dataset(tmp_path, label_names=["rot", unicodedata.normalize("NFC", "grün")])
    assert found.labels.tolist() == [1]


@pytest.mark.parametrize("image", ["img", "image", "Picture"])
@pytest.mark.parametrize("label", ["label", "labels", "fine_label", "digit"])
@pytest.mark.parametrize("plain", [False, True])
def test_columns_of_parquet_as_data_sets_name_them(tmp_path: Path, image: str, label: str, plain: bool) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    images = list(IMAGES[:3]) if plain else [{"bytes": data, "path": None} for data in IMAGES[:3]]
    pyarrow.parquet.write_table(pa.table({image: images, label: [2, -1, 0]}), tmp_path / "t.parquet")
    found = read_dataset(tmp_path / "t.parquet", label_names=LABELS)
    assert found.labels.tolist() == [2, 0]
    assert list(found.names) == ["t.parquet#0", "t.parquet#2"]
    reported = ("the labels are those of the column 'digit'; --label-column names another",) if label == "digit" else ()
    assert found.notes == (*reported, "1 rows without a label (null or -1) were left out")
    assert [payload.data for payload in found.read()] == [IMAGES[0], IMAGES[2]]
    assert [payload.data for payload in found.read([1])] == [IMAGES[2]]


def test_shards_of_several_splits_are_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, count in (("train-00000-of-00001", 3), ("test-00000-of-00001", 2)):
        huggingface_bytes(IMAGES[:count], (0,) * count, tmp_path / "data" / f"{name}.parquet")
    text = refuse("several splits", tmp_path)
    assert "test (1 files), train (1 files)" in text
    assert "--split" in text
    for split, count in (("train", 3), ("test", 2)):
        assert len(read_dataset(tmp_path, label_names=LABELS, options=DatasetOptions(split=split))) == count


def with_options(data: Path, labels: Path | None = None, **options: str) -> Dataset:
    return read_dataset(data, labels, label_names=LABELS, options=DatasetOptions(**options))


@pytest.mark.parametrize("form", [".csv", ".jsonl", ".parquet"])
def test_rows_of_several_splits_are_not_mixed(tmp_path: Path, form: str) -> None:
    names, splits, truth = ["a.png", "b.png", "c.png"], ["train", "test", "test"], [0, 1, 2]
    for name in names:
        (tmp_path / name).write_bytes(IMAGES[0])
    table = tmp_path / f"t{form}"
    rows = [{"path": n, "label": k, "Split": s} for n, k, s in zip(names, truth, splits, strict=True)]
    if form == ".csv":
        table.write_text("path,label,Split\n" + "".join(f"{r['path']},{r['label']},{r['Split']}\n" for r in rows))
    elif form == ".jsonl":
        table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), table)
    text = refuse("several splits", table)
    assert "test (2 rows), train (1 rows)" in text
    assert with_options(table, split="test").labels.tolist() == [1, 2]
    with pytest.raises(DatasetError, match="no such split; given: val; allowed: test, train"):
        with_options(table, split="val")


def test_a_column_that_holds_no_splits_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(IMAGES[0])
    (tmp_path / "t.csv").write_text("path,label,set\na.png,1,summer\na.png,2,winter\n")
    assert with_options(tmp_path / "t.csv").labels.tolist() == [1, 2]


def test_rows_of_images_have_splits_too(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    for number in range(2):
        images = [{"bytes": data, "path": None} for data in IMAGES[:3]]
        columns = {"image": images, "label": [0, 1, 2], "split": ["train", "test", "train"]}
        pyarrow.parquet.write_table(pa.table(columns), tmp_path / f"{number}.parquet")
    refuse("several splits.*test \\(2 rows\\), train \\(4 rows\\)", tmp_path)
    found = with_options(tmp_path, split="train")
    assert list(found.names) == ["0.parquet#0", "0.parquet#2", "1.parquet#0", "1.parquet#2"]
    assert [payload.data for payload in found.read()] == [IMAGES[0], IMAGES[2], IMAGES[0], IMAGES[2]]


def test_options_that_do_not_apply_are_refused(tmp_path: Path) -> None:
    folders(tmp_path / "folders")
    (tmp_path / "lists").mkdir()
    _, listing = ilsvrc(tmp_path / "lists")
    table, _ = csv_as_data(tmp_path / "lists")
    file = huggingface_bytes(IMAGES, TRUTH, tmp_path / "train.parquet")
    for message, data, labels, options in (
        ("--image-column does not apply", tmp_path / "folders", None, {"image_column": "x"}),
        ("--label-column does not apply", tmp_path / "lists", listing, {"label_column": "x"}),
        ("--split does not apply", tmp_path / "lists", listing, {"split": "test"}),
        ("no such split", table, None, {"split": "test"}),
        ("no such split; given: test; allowed: train", file, None, {"split": "test"}),
    ):
        with pytest.raises(DatasetError, match=message):
            with_options(data, labels, **options)
    assert len(with_options(file, split="train")) == len(IMAGES)


def test_images_in_no_class_are_counted(tmp_path: Path) -> None:
    folders(tmp_path)
    (tmp_path / "loose.png").write_bytes(IMAGES[0])
    found = read_dataset(tmp_path, label_names=LABELS)
    assert len(found) == 7
    assert found.notes == ("1 images lie in no class's folder and were left out",)


def test_splits_within_the_classes_are_told(tmp_path: Path) -> None:
    for split, count in (("train", 2), ("test", 1)):
        (tmp_path / "0" / split).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "0" / split / f"{number}.png").write_bytes(IMAGES[0])
    (note,) = read_dataset(tmp_path, label_names=LABELS).notes
    assert note == "the classes' folders hold splits, which were read together: train (2 images), test (1 images)"


def test_images_that_the_metadata_leave_out_are_counted(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(IMAGES[0])
    (tmp_path / "metadata.csv").write_text("file_name,label\na.png,1\n")
    found = read_dataset(tmp_path, label_names=LABELS)
    assert found.labels.tolist() == [1]
    assert found.notes[0].startswith("2 images of the folder are not in metadata.csv")


def test_metadata_without_labels_leave_the_folders_their_names(tmp_path: Path) -> None:
    folders(tmp_path)
    (tmp_path / "metadata.csv").write_text("file_name,text\nn00000001/0.png,a sentence\n")
    found = read_dataset(tmp_path, label_names=LABELS)
    assert (found.form, len(found)) == ("folders", 7)
    assert found.notes == ("metadata.csv has no column of labels; the folders' names are taken",)


def test_folders_too_high_are_refused_with_the_right_one(tmp_path: Path) -> None:
    folders(tmp_path / "data" / "train")
    assert f"give {tmp_path / 'data' / 'train'}" in refuse("folders must be labels, got data", tmp_path)
    for split in ("train", "test"):
        home = tmp_path / "pictures" / split
        home.mkdir(parents=True)
        (home / "a.png").write_bytes(IMAGES[0])
        (home / "metadata.csv").write_text("file_name,label\na.png,1\n")
    assert "--split test" in refuse("folders must be labels; test is a split", tmp_path / "pictures")
    assert with_options(tmp_path / "pictures", split="train").labels.tolist() == [1]


@pytest.mark.parametrize("place", ["plain_text/{}-00000-of-00001", "{}/0000", "default/{}/0000"])
def test_shards_as_repositories_of_data_sets_lay_them(tmp_path: Path, place: str) -> None:
    for split, count in (("train", 3), ("test", 2)):
        huggingface_bytes(IMAGES[:count], TRUTH[:count], tmp_path / f"{place.format(split)}.parquet")
    refuse("several splits", tmp_path)
    found = with_options(tmp_path, split="test")
    assert [payload.data for payload in found.read()] == list(IMAGES[:2])


def test_shards_of_several_configurations_are_not_mixed(tmp_path: Path) -> None:
    for name in ("small", "large"):
        huggingface_bytes(IMAGES[:2], TRUTH[:2], tmp_path / name / "test-00000-of-00001.parquet")
    assert "large, small" in refuse("several folders, which are not mixed", tmp_path)


def arrow(file: Path, images: tuple[bytes, ...], truth: tuple[int, ...], *, stream: bool) -> None:
    pa = pytest.importorskip("pyarrow")
    file.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"image": [{"bytes": data, "path": None} for data in images], "label": list(truth)})
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(str(file), table.schema) as writer:
        writer.write_table(table, max_chunksize=3)


@pytest.mark.parametrize("stream", [True, False])
def test_arrow_files(tmp_path: Path, stream: bool) -> None:
    arrow(tmp_path / "data-00000-of-00001.arrow", IMAGES, TRUTH, stream=stream)
    for data in (tmp_path, tmp_path / "data-00000-of-00001.arrow"):
        found = read_dataset(data, label_names=LABELS)
        assert (found.form, found.labels.tolist()) == ("huggingface", list(TRUTH))
        assert [payload.data for payload in found.read()] == list(IMAGES)
        assert [payload.data for payload in found.read([4, 6])] == [IMAGES[4], IMAGES[6]]


def test_arrow_files_as_a_data_set_is_saved_to_disk(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("extra", 2)):
        arrow(tmp_path / split / "data-00000-of-00001.arrow", IMAGES[:count], TRUTH[:count], stream=True)
        arrow(tmp_path / split / "cache-1f.arrow", IMAGES[:1], (0,), stream=True)
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
        (tmp_path / split / "state.json").write_text(json.dumps(state))
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "extra"]}')
    assert "extra (1 files), train (1 files)" in refuse("several splits", tmp_path)
    assert len(with_options(tmp_path, split="extra")) == 2


def test_an_arrow_file_whose_values_end_elsewhere_than_stated_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "one.arrow"
    arrow(file, (b"first", b"second", b"last"), (0, 1, 0), stream=True)
    data = file.read_bytes()
    ends = struct.pack("<4i", 0, 5, 11, 15)
    assert data.count(ends) == 1
    file.write_bytes(data.replace(ends, struct.pack("<4i", 0, 5, 11, 17)))  # beyond the last byte
    found = read_dataset(file, label_names=LABELS)
    with pytest.raises(DatasetError, match=r"damaged Arrow file: .*get it again"):
        list(found.read())


def test_a_damaged_arrow_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "t.arrow").write_bytes(b"ARROW1 no")
    refuse("t.arrow: not a readable Arrow file", tmp_path / "t.arrow")


@pytest.mark.parametrize("column", ["pixels", "Content"])
def test_the_only_column_of_bytes_holds_the_images(tmp_path: Path, column: str) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    pyarrow.parquet.write_table(pa.table({column: list(IMAGES[:2]), "label": [0, 2]}), tmp_path / "t.parquet")
    assert [payload.data for payload in read_dataset(tmp_path, label_names=LABELS).read()] == list(IMAGES[:2])
    pyarrow.parquet.write_table(
        pa.table({"other": [b"x", b"x"], column: list(IMAGES[:2]), "label": [0, 2]}), tmp_path / "t.parquet"
    )
    found = with_options(tmp_path, image_column=column.upper())
    assert [payload.data for payload in found.read()] == list(IMAGES[:2])


def test_labels_that_pandas_made_floating_point_numbers(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    images = [{"bytes": data, "path": None} for data in IMAGES[:4]]
    labels = pa.array([2.0, None, float("nan"), 1.0])
    pyarrow.parquet.write_table(pa.table({"image": images, "label": labels}), tmp_path / "t.parquet")
    found = read_dataset(tmp_path, label_names=LABELS)
    assert found.labels.tolist() == [2, 1]
    assert found.notes == ("2 rows without a label (null or -1) were left out",)
    pyarrow.parquet.write_table(pa.table({"image": images[:1], "label": [0.5]}), tmp_path / "t.parquet")
    refuse("row 0: unknown label; given: '0.5'", tmp_path)


@pytest.mark.parametrize("names", [["dog", "cat"], ["Dog", "CAT"]])
def test_class_names_of_a_schema_hold_for_a_table_of_paths_too(tmp_path: Path, names: list[str]) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    (tmp_path / "a.png").write_bytes(IMAGES[0])
    info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    table = pa.table({"path": ["a.png", "a.png"], "label": [0, 1]})
    table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    found = read_dataset(tmp_path / "t.parquet", label_names=LABELS)
    assert (found.form, found.labels.tolist()) == ("table", [1, 0])


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("sep=;\npath;label\na.png;2\n", "utf-8"),
        ("\n\npath,label\na.png,2\n", "utf-8"),
        ("path,label\na.png,2\n", "utf-16-le"),
        ("path,label\na.png,2\n", "utf-16-be"),
        ('path;label;"a, b, c, d"\na.png;2;x\n', "utf-8"),
    ],
)
def test_further_habits_of_spreadsheets(tmp_path: Path, text: str, encoding: str) -> None:
    (tmp_path / "a.png").write_bytes(IMAGES[0])
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    assert read_dataset(tmp_path / "t.csv", label_names=LABELS).labels.tolist() == [2]


def test_the_place_of_an_error_counts_the_lines_before_the_names(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("sep=;\n\npath;label\nnone.png;2\n")
    refuse("line 4: the file is not there", tmp_path / "t.csv")


def test_json_lines_end_at_line_feeds_only(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(IMAGES[0])
    (tmp_path / "t.jsonl").write_text('{"path": "a.png", "label": 1, "note": "x\u2028y"}\n', encoding="utf-8")
    assert read_dataset(tmp_path / "t.jsonl", label_names=LABELS).labels.tolist() == [1]


@pytest.mark.parametrize(("on_disk", "written"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_file_names_in_composed_and_decomposed_letters(tmp_path: Path, on_disk: str, written: str) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / unicodedata.normalize(on_disk, "größe.png")).write_bytes(IMAGES[0])
    (tmp_path / "deep" / unicodedata.normalize(on_disk, "höhe.png")).write_bytes(IMAGES[1])
    name, deep = (unicodedata.normalize(written, text) for text in ("größe.png", "höhe.png"))
    (tmp_path / "t.csv").write_text(f"path,label\n{name},1\n", encoding="utf-8")
    assert read_dataset(tmp_path / "t.csv", label_names=LABELS).labels.tolist() == [1]
    (tmp_path / "t.txt").write_text(f"{name} 1\n{deep} 2\n", encoding="utf-8")
    found = read_dataset(tmp_path, tmp_path / "t.txt", label_names=LABELS)
    assert (found.labels.tolist(), found.missing) == ([1, 2], ())


@pytest.mark.parametrize("line", ["deep/a b.png;2", "deep/a b.png, 2", "deep\\a b.png 2", "deep\\a b.png\t2"])
def test_lists_with_other_separators(tmp_path: Path, line: str) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a b.png").write_bytes(IMAGES[0])
    (tmp_path / "t.txt").write_text(line + "\n")
    assert read_dataset(tmp_path, tmp_path / "t.txt", label_names=LABELS).labels.tolist() == [2]


def test_classes_without_any_listed_image_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(IMAGES[0])
    (tmp_path / "t.txt").write_text("a.png 0\nb.png 1\nc.png 1\nd.png 0\n")
    found = read_dataset(tmp_path, tmp_path / "t.txt", label_names=LABELS)
    assert found.notes == ("class n00000002 dog: none of its 2 listed images is there",)
    assert found.missing == ("b.png", "c.png", "d.png")


def test_tables_beside_images_are_told(tmp_path: Path) -> None:
    huggingface_bytes(IMAGES[:2], TRUTH[:2], tmp_path / "t.parquet")
    folders(tmp_path)
    found = read_dataset(tmp_path, label_names=LABELS)
    assert (found.form, len(found)) == ("huggingface", 2)
    assert found.notes == ("the images in files beside the tables were left out",)


def test_tables_without_images_among_those_with_them(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    huggingface_bytes(IMAGES[:2], TRUTH[:2], tmp_path / "a.parquet")
    pyarrow.parquet.write_table(pa.table({"x": [1]}), tmp_path / "b.parquet")
    assert "b.parquet has none" in refuse("tables with images and tables without", tmp_path)


@pytest.mark.parametrize("split", ["x" * 300, "d/" * 3000, "\ud800"])
def test_a_split_that_no_file_system_can_hold_is_one_line(tmp_path: Path, split: str) -> None:
    root, _ = folders(tmp_path / "data")
    with pytest.raises(DatasetError) as caught:
        read_dataset(root, label_names=LABELS, options=DatasetOptions(split=split))
    assert str(caught.value).isprintable()


def test_a_parquet_file_whose_pages_are_damaged_is_one_line(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    file = tmp_path / "train.parquet"
    table = pa.table({"image": [{"bytes": data} for data in IMAGES], "label": list(range(len(IMAGES)))})
    parquet.write_table(table, file, compression="none")
    whole = file.read_bytes()
    refused: list[str] = []
    for place in range(4, len(whole) - 8, 7):
        file.write_bytes(whole[:place] + b"\xff\xff" + whole[place + 2 :])
        try:
            dataset = read_dataset(file, label_names=[str(label) for label in range(len(IMAGES))])
            assert 0 < len(list(dataset.read())) <= len(IMAGES)
        except PremodelError as error:
            refused.append(str(error))
    assert all(line.isprintable() for line in refused)
    assert len(refused) > 10


@pytest.mark.parametrize("image", [[1], {"bytes": "text"}, {"path": 3}, None])
def test_a_cell_that_holds_no_image_is_an_unreadable_row(tmp_path: Path, image: object) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    file = tmp_path / "train.parquet"
    parquet.write_table(pa.table({"image": pa.array([image] * 2), "label": [0, 1]}), file)
    options = DatasetOptions(image_column="image")
    try:
        payloads = list(read_dataset(file, label_names=LABELS, options=options).read())
    except DatasetError as error:
        payloads = []
        assert str(error).isprintable()  # noqa: PT017
    assert all(one.data is None and one.reason for one in payloads)
