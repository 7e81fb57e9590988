"""`premodel zoo check`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from premodel.cli.main import main
from text_models import make_languages
from zoos import SmallZoo, write_zoo


@pytest.fixture
def small(tmp_path: Path) -> SmallZoo:
    return write_zoo(tmp_path, correct=np.ones((12, 2), bool))


def test_text(small: SmallZoo, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "check", str(small.zoo), str(small.data), "--labels", str(small.labels)]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "small: 2 candidates, 6 labels, 12 images"
    assert [line.split()[:3] for line in out.splitlines()[2:-1]] == [["m0", "ok", "replay"], ["m1", "ok", "replay"]]
    step = f"next: premodel profile {small.zoo} {small.data} --labels {small.labels} --store profile.db"
    assert out.splitlines()[-1] == step
    assert "top-1 100.0 %" in out
    assert "12 images are too few to tell wrong labels or preprocessing from chance" in out.splitlines()[1]
    assert err.splitlines() == ["m0: checked", "m1: checked"]


def test_what_was_not_checked_is_said_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = write_zoo(tmp_path, correct=np.ones((60, 1), bool))
    data = [str(small.zoo), str(small.data), "--labels", str(small.labels)]
    assert main(["zoo", "check", str(small.zoo)]) == 0
    assert "not checked without labelled images: accuracy, labels" in capsys.readouterr().out
    assert main(["zoo", "check", *data, "--limit", "20"]) == 0
    assert "20 images are too few" in (said := capsys.readouterr().out)
    assert "--limit 50 or more" in said
    assert main(["zoo", "check", *data]) == 0
    assert "checked:" not in capsys.readouterr().out
    assert main(["zoo", "check", *data, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []


def test_json(small: SmallZoo, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "zoo",
        "check",
        str(small.zoo),
        str(small.data),
        "--labels",
        str(small.labels),
        "--limit",
        "5",
        "--json",
    ]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["name"], report["labels"], report["samples"]) == ("small", 6, 5)
    assert (report["errors"], report["warnings"], report["unreadable"]) == (0, 0, [])
    assert [(item["candidate"], item["top1"]) for item in report["candidates"]] == [("m0", 1.0), ("m1", 1.0)]


def test_a_broken_model_is_exit_2_and_named(small: SmallZoo, capsys: pytest.CaptureFixture[str]) -> None:
    (small.zoo.parent / "models" / "m0.npz").write_bytes(b"x")
    assert main(["zoo", "check", str(small.zoo)]) == 2
    out = capsys.readouterr().out
    assert "wrong sha256" in out
    assert out.splitlines()[-1].split()[:2] == ["m1", "ok"]


@pytest.mark.parametrize(
    ("arguments", "states"),
    [
        (["absent.toml"], "manifest cannot be read"),
        (["{zoo}", "--labels", "x.csv"], "--labels without a data set"),
        (["{zoo}", "{data}", "--limit", "0"], "wrong --limit; given: 0"),
        (["{zoo}", "--threads", "0"], "wrong --threads"),
        (["{zoo}", "{data}/nowhere"], "nowhere"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(
    small: SmallZoo, arguments: list[str], states: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(zoo=small.zoo, data=small.data) for word in arguments]
    assert main(["zoo", "check", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert states in err
    assert err.startswith("premodel zoo: ")
    assert err.count("\n") == 1


def test_no_readable_image(small: SmallZoo, capsys: pytest.CaptureFixture[str]) -> None:
    for image in small.images:
        image.write_bytes(b"")
    assert main(["zoo", "check", str(small.zoo), str(small.data), "--labels", str(small.labels)]) == 2
    assert "no image could be read" in capsys.readouterr().err


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["zoo", "check", "--help"])
    assert caught.value.code == 0
    assert "premodel zoo check zoo.toml images --labels labels.csv" in capsys.readouterr().out


def contradictions(said: str) -> list[str]:
    return [line.strip() for line in said.splitlines() if "under different labels" in line]


def test_an_image_under_two_labels_is_named_though_it_was_not_drawn(
    small: SmallZoo, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["zoo", "check", str(small.zoo), str(small.data), "--labels", str(small.labels), "--limit", "1"]
    assert main(words) == 0
    assert contradictions(capsys.readouterr().out) == []
    head, *rows = small.labels.read_text().splitlines()
    first, second = next((a, b) for a in rows for b in rows if a.split(",")[1] != b.split(",")[1])
    path, other = (small.labels.parent / row.split(",")[0] for row in (first, second))
    other.write_bytes(path.read_bytes())
    assert main(words) == 0
    (line,) = contradictions(capsys.readouterr().out)
    assert line.startswith("warning: 1 of 12 images stands there twice under different labels, such as ")
    assert path.name in line
    assert other.name in line
    assert main([*words, "--json"]) == 0
    assert len([note for note in json.loads(capsys.readouterr().out)["notes"] if "different labels" in note]) == 1
    assert head


def test_a_text_under_two_labels_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    zoo = make_languages(tmp_path)
    rows = ["text,label", "ein Hund,de", "a dog,en", "ein Hund,en", "a dog,en", "a dog,de", "ein Haus,de"]
    (tmp_path / "twice.csv").write_text("\n".join(rows))
    assert main(["zoo", "check", str(zoo), str(tmp_path / "twice.csv")]) == 0
    (line,) = contradictions(capsys.readouterr().out)
    assert line.startswith("warning: 2 of 6 texts stand there twice under different labels, such as ")
    assert "twice.csv, line 4 and twice.csv, line 2" in line


def test_what_was_left_out_of_the_data_is_told(small: SmallZoo, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [line.split(",")[:2] for line in small.labels.read_text().splitlines()[1:]]
    listing = small.labels.with_name("listing.txt")
    listing.write_text("".join(f"{path}\t{label}\n" for path, label in rows) + "gone.png\t0\n")
    assert main(["zoo", "check", str(small.zoo), str(small.data), "--labels", str(listing)]) == 0
    assert "premodel zoo: 1 listed images are not there, such as gone.png" in capsys.readouterr().err
