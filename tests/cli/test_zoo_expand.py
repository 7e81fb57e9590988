"""`premodel zoo expand`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from premodel.cli.main import main

pytest.importorskip("onnx", reason="needs the extra premodel[expand]")
pytest.importorskip("tomlkit", reason="needs the extra premodel[expand]")

from expand_zoos import Made, write_expandable


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return write_expandable(tmp_path / "zoo", count=60)


def words(made: Made, out: Path, *more: str) -> list[str]:
    return ["zoo", "expand", str(made.manifest), str(made.data), "--labels", str(made.labels), "--out", str(out), *more]


def test_every_sibling_is_told_of(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    out = made.manifest.with_name("expanded.toml")
    assert main(words(made, out, "--only", "int8", "--limit", "20", "--calibration", "10", "--json")) == 0
    reported = json.loads(capsys.readouterr().out)
    (sibling,) = reported["siblings"]
    assert (sibling["name"], sibling["original"], sibling["images"]) == ("net-int8", "net", 20)
    assert sibling["kept"] is (sibling["reason"] is None)
    assert reported["kept"] == sum(one["kept"] for one in reported["siblings"])
    assert main(words(made, out, "--only", "int8", "--limit", "20", "--calibration", "10")) == 0
    text = capsys.readouterr().out
    assert "siblings kept of 1 tried, checked on 20 images" in text
    assert f"written: {out}; next: premodel profile {out}" in text


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (("--only", "int3"), "unknown kind of sibling; given: int3"),
        (("--jobs", "0"), "wrong jobs; given: 0"),
        (("--max-loss", "nan"), "wrong loss of accuracy"),
        (("--limit", "0"), "wrong checked; given: 0"),
        (("--only", "int8", "--without", "int8"), "no kind of sibling is left"),
    ],
)
def test_a_wrong_option_is_one_line(
    made: Made, more: tuple[str, ...], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = made.manifest.with_name("expanded.toml")
    assert main(words(made, out, *more)) == 2
    assert what in capsys.readouterr().err
    assert not out.exists()
