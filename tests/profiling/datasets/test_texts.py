"""Every form of a data set of texts gives the same rows, and what is wrong with bad input."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from premodel.errors import DatasetError, PremodelError
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.datasets.columns import DatasetOptions
from premodel.profiling.datasets.registry import read_dataset

LABELS = ("good", "bad")
TEXTS = ("fine, thanks", 'so "so"', "Grüße", "  two\nlines ", "日本")
TRUTH = (0, 1, 0, 1, 0)
GERMAN = ("gut, danke", "naja", "greetings", "zwei Zeilen", "Japan")
Made = tuple[Path, Path | None]


def read(data: Path, labels: Path | None = None, task: str = "text-classification", **options: str) -> Dataset:
    return read_dataset(data, labels, label_names=LABELS, options=DatasetOptions(task=task, **options))


def quoted(*cells: str) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)


def csv_table(root: Path, truth: list[str], header: str) -> Made:
    rows = [quoted(text, said) for text, said in zip(TEXTS, truth, strict=True)]
    (root / "t.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    return root / "t.csv", None


def tsv_gz(root: Path, truth: list[str], header: str) -> Made:
    rows = [quoted(text, said).replace('","', '"\t"') for text, said in zip(TEXTS, truth, strict=True)]
    text = "\n".join([header.replace(",", "\t"), *rows])
    (root / "t.tsv.gz").write_bytes(gzip.compress(text.encode()))
    return root / "t.tsv.gz", None


def json_lines(root: Path, truth: list[str], header: str) -> Made:
    first, second = header.split(",")
    rows = [json.dumps({"id": 1, first: text, second: said}) for text, said in zip(TEXTS, truth, strict=True)]
    (root / "t.jsonl").write_text("\n".join(rows))
    return root / "t.jsonl", None


def parquet_shards(root: Path, truth: list[str], header: str) -> Made:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    first, second = header.split(",")
    for number, rows in enumerate((slice(0, 2), slice(2, None))):
        table = pa.table({first: list(TEXTS[rows]), second: truth[rows]})
        parquet.write_table(table, root / f"test-0000{number}-of-00002.parquet")
    return root, None


FORMS = {"csv": csv_table, "tsv.gz": tsv_gz, "jsonl": json_lines, "parquet": parquet_shards}
Maker = Callable[[Path, list[str], str], Made]


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_tables_of_texts_and_labels(tmp_path: Path, make: Maker) -> None:
    data, labels = make(tmp_path, [LABELS[truth] for truth in TRUTH], "text,label")
    found = read(data, labels)
    assert found.labels.tolist() == list(TRUTH)
    assert [(one.data or b"").decode() for one in found.read()] == list(TEXTS)
    assert len(set(found.names)) == len(TEXTS)
    assert found.domain.noun == "text"
    assert found.paths is None


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("header", ["source,target", "text,translation"])
def test_tables_of_texts_and_references(tmp_path: Path, make: Maker, header: str) -> None:
    data, labels = make(tmp_path, list(GERMAN), header)
    found = read(data, labels, "translation")
    assert found.truths == GERMAN
    assert found.labels.tolist() == [-1] * len(TEXTS)
    assert [(one.data or b"").decode() for one in found.read([2, 4])] == [TEXTS[2], TEXTS[4]]


def test_columns_of_any_name_are_named(tmp_path: Path) -> None:
    data, _ = csv_table(tmp_path, list(GERMAN), "english,german")
    found = read(data, task="translation", image_column="english", label_column="german")
    assert found.truths == GERMAN
    with pytest.raises(DatasetError, match=r"no column of texts; given: english, german.*--text-column"):
        read(data, task="translation")


def test_the_languages_of_a_translation_are_columns(tmp_path: Path) -> None:
    """As Hugging Face data sets of translations have them."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    records = [{"en": text, "de": german} for text, german in zip(TEXTS, GERMAN, strict=True)]
    parquet.write_table(pa.table({"translation": records}), tmp_path / "t.parquet")
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps({"translation": one}) for one in records))
    for name in ("t.parquet", "t.jsonl"):
        found = read(tmp_path / name, task="translation", image_column="en", label_column="de")
        assert found.truths == GERMAN
        assert [(one.data or b"").decode() for one in found.read()] == list(TEXTS)
        with pytest.raises(DatasetError, match="no column of texts; given: en, de"):
            read(tmp_path / name, task="translation")


def lines(root: Path, texts: list[str], truths: list[str], *, packed: bool = False) -> Made:
    files = (root / ("t.en.gz" if packed else "t.en"), root / ("t.de.gz" if packed else "t.de"))
    for file, own in zip(files, (texts, truths), strict=True):
        data = "".join(f"{line}\n" for line in own).encode()
        file.write_bytes(gzip.compress(data) if packed else data)
    return files


@pytest.mark.parametrize("packed", [False, True])
def test_parallel_files_of_one_sentence_a_line(tmp_path: Path, packed: bool) -> None:
    data, labels = lines(tmp_path, ["one", "", "two\u2028", "three"], ["eins", "null", "zwei", " "], packed=packed)
    found = read(data, labels, "translation")
    assert found.truths == ("eins", "zwei")
    assert [(one.data or b"").decode() for one in found.read()] == ["one", "two\u2028"]
    assert found.notes == ("2 lines that are blank in one of the files were left out",)
    assert found.names[1].endswith("line 3")


def test_labels_may_stand_in_lines_too(tmp_path: Path) -> None:
    data, labels = lines(tmp_path, ["one", "two"], ["bad", "good"])
    assert read(data, labels).labels.tolist() == [1, 0]
    labels.write_text("bad\nugly\n")  # type: ignore[union-attr]
    with pytest.raises(DatasetError, match=r"t.de, line 2: unknown label; given: 'ugly'"):
        read(data, labels)


def test_a_folder_of_files_by_class(tmp_path: Path) -> None:
    for number, (text, truth) in enumerate(zip(TEXTS, TRUTH, strict=True)):
        (tmp_path / LABELS[truth]).mkdir(exist_ok=True)
        (tmp_path / LABELS[truth] / f"{number}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "good" / "picture.jpg").write_bytes(b"\xff\xd8")
    found = read(tmp_path)
    assert dict(zip(found.names, found.labels.tolist(), strict=True)) == {
        f"{LABELS[truth]}/{number}.txt": truth for number, truth in enumerate(TRUTH)
    }
    assert {(one.data or b"").decode() for one in found.read()} == set(TEXTS)
    assert any("1 of its 4 files were left out (.jpg is not read as text)" in note for note in found.notes)


def test_a_table_of_paths_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "t.csv").write_text("path,label\na.txt,bad\n")
    found = read(tmp_path / "t.csv")
    assert found.labels.tolist() == [1]
    assert [one.data for one in found.read()] == [b"one"]


def test_splits_of_shards_are_not_mixed(tmp_path: Path) -> None:
    parquet_shards(tmp_path, [LABELS[truth] for truth in TRUTH], "text,label")
    (tmp_path / "test-00001-of-00002.parquet").rename(tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(DatasetError, match="several splits"):
        read(tmp_path)
    assert len(read(tmp_path, split="test")) == 2


def test_rows_without_a_text_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\n,good\nyes,bad\n")
    found = read(tmp_path / "t.csv")
    assert found.labels.tolist() == [1]
    assert found.notes == ("1 rows without a text were left out",)


BAD: dict[str, tuple[bytes, str, str]] = {
    "not UTF-8": (b"text,label\nfine,good\ncaf\xe9,bad\n", ".csv", "must be UTF-8; given: byte 0xe9, line 3, byte 4"),
    "half a gzip": (gzip.compress(b"text,label\na,good\n")[:20], ".csv.gz", "cannot be read"),
    "no rows": (b"text,label\n", ".csv", "no rows; allowed: one row per text: text,label"),
    "no label": (b"text,label\nfine,\n", ".csv", "line 2: no label"),
    "only blank texts": (b"text,label\n,good\n", ".csv", "no row has a text"),
    "not a text": (b'{"text": 3, "label": "good"}\n', ".jsonl", "line 1: no text or no label; given: 3, 'good'"),
    "a column of paths": (b"file,label\nnone.txt,good\n", ".csv", "the file is not there"),
    "a huge cell": (b'text,label\n"' + b"x" * 200_000 + b'",good\n', ".csv", "not a CSV table: field larger"),
}


@pytest.mark.parametrize("name", BAD)
def test_says_in_one_line_what_is_wrong(tmp_path: Path, name: str) -> None:
    data, suffix, match = BAD[name]
    (tmp_path / f"t{suffix}").write_bytes(data)
    with pytest.raises(PremodelError, match=match) as caught:
        read(tmp_path / f"t{suffix}")
    assert "\n" not in str(caught.value)


def test_refuses_lines_that_are_not_parallel(tmp_path: Path) -> None:
    data, labels = lines(tmp_path, ["one", "two"], ["eins"])
    with pytest.raises(DatasetError, match="as many lines; given: 2 and 1"):
        read(data, labels, "translation")
    with pytest.raises(DatasetError, match=r"only a table holds.*or two files of lines, the second with --labels"):
        read(data, None, "translation")


@pytest.mark.parametrize("truth", ["a\\u0000b", "\\ud800"])
def test_refuses_a_reference_that_no_database_holds(tmp_path: Path, truth: str) -> None:
    (tmp_path / "t.jsonl").write_text(f'{{"source": "a", "target": "{truth}"}}\n')
    with pytest.raises(DatasetError, match=r"t.jsonl, line 1: truth must hold no zero character"):
        read(tmp_path / "t.jsonl", task="translation")


def test_half_of_a_surrogate_pair_in_a_text_becomes_an_unreadable_sample(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a\\ud800", "label": "good"}\n')
    (payload,) = read(tmp_path / "t.jsonl").read()
    assert payload.data == b"a\xed\xa0\x80"
