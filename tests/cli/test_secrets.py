"""A secret in a URL reaches no screen, log, store or bundle, whatever command is given it."""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from bundles import make_bundle
from policy_makers import MAKERS
from premodel.cli.main import main
from premodel.zoo.candidate_json import candidate_to_json
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo, write_zoo

SECRET = "Zq7hunter2xK9"
FORMS = (
    "https://me:{0}@127.0.0.1:9/{1}", "https://{0}@127.0.0.1:9/{1}", "http://127.0.0.1:9/{1}?token={0}&a=1",
    "http://127.0.0.1:9/{1}?{0}", "http://127.0.0.1:9/{1}#{0}", "http://me:%5Aq7hunter2xK9@127.0.0.1:9/{1}",
)  # fmt: skip
DATABASES = (
    "postgresql://me:{0}@127.0.0.1:9/profiles", "mysql://me:{0}@127.0.0.1:9/profiles",
    "postgresql://127.0.0.1:9/profiles?password={0}", "nonsense://me:{0}@127.0.0.1/profiles",
    "postgresql://me:{0}@127.0.0.1:port/profiles", "postgresql://me:{0}/@127.0.0.1:9/profiles",
)  # fmt: skip


def with_urls(small: SmallZoo) -> None:
    """Give each model a URL with a secret in it."""
    forms = iter(FORMS * 3)
    text = small.zoo.read_text()
    text = re.sub(
        r'^(file = "([^"]*)")$', lambda m: f'{m[1]}\nurl = "{next(forms).format(SECRET, m[2])}"', text, flags=re.M
    )
    assert text.count(SECRET) + text.count("%5Aq7hunter2xK9") == len(small.names)
    small.zoo.write_text(text)


@pytest.fixture
def small(tmp_path: Path) -> SmallZoo:
    small = write_zoo(tmp_path / "zoo", correct=np.random.default_rng(0).random((60, len(FORMS))) < 0.7)
    with_urls(small)
    return small


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    return out + err


def test_stores_exports_and_bundles_hold_none(
    small: SmallZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "s.db"
    words = ["profile", str(small.zoo), str(small.data), "--labels", str(small.labels), "--store", str(store)]
    words += ["--only", "predictions"]
    monkeypatch.setattr(sys, "argv", ["premodel", *words, f"https://me:{SECRET}@board"])
    assert main(words) == 0
    assert main(["store", "info", str(store), "--json"]) == 0
    assert main(["store", "export", str(store), "--to", str(tmp_path / "rows.csv")]) == 0
    entries = [candidate_to_json(candidate) for candidate in read_zoo(small.zoo).candidates]
    assert all("127.0.0.1:9" in entry["url"] for entry in entries)
    texts = [shown(capsys).encode(), json.dumps(entries).encode()]  # the second is what a bundle holds
    for seen in (*texts, *(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())):
        assert b"hunter2" not in seen


@pytest.mark.parametrize("json_too", [True, False])
def test_pulling_shows_none(
    small: SmallZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str], json_too: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("requests", reason="the lab extra is not installed")
    monkeypatch.setenv("no_proxy", "*")
    for model in (small.zoo.parent / "models").iterdir():
        model.unlink()
    assert main(["zoo", "pull", str(small.zoo), "--dest", str(tmp_path / "to"), *(["--json"] if json_too else [])]) != 0
    said = shown(capsys)
    assert "hunter2" not in said
    assert "127.0.0.1:9" in said, "where it could not be fetched from"


@pytest.mark.parametrize("url", DATABASES)
def test_a_store_that_cannot_be_reached_shows_none(capsys: pytest.CaptureFixture[str], url: str) -> None:
    where = url.format(SECRET)
    for words in (
        ["store", "info", where],
        ["report", where, "--out", "r.html"],
        ["train", where, "--out", "b.premodel"],
        ["doctor", where, "--json"],
    ):
        assert main(words) != 0
        said = shown(capsys)
        assert "hunter2" not in said
        assert said.strip()


def test_what_a_command_cannot_read_shows_none(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"https://me:{SECRET}@host/b?key={SECRET}"
    for words in (["predict", url, url], ["serve", url], ["bench", url, url], ["zoo", "check", url], ["store", url]):
        with suppress(SystemExit):
            assert main(words) != 0
        assert "hunter2" not in shown(capsys)


def test_answers_are_left_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path of an image, or an answer, may hold what looks like a secret: it is data."""
    made = make_bundle(tmp_path, MAKERS["single"], n=20)
    image = tmp_path / "token=abcdefgh.png"
    image.write_bytes(made.small.images[0].read_bytes())
    assert main(["predict", str(made.path), str(image), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answers"][0]["path"] == str(image)
