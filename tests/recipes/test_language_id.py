"""The recipe for language identification: its manifest, its catalogues, and which messages it keeps."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from premodel.zoo.manifest import read_zoo

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "language_id"


def test_every_candidate_is_a_class_of_the_file_beside_the_manifest() -> None:
    zoo = read_zoo(RECIPE / "zoo.toml", require_files=True)
    tree = ast.parse((RECIPE / "identify.py").read_text())
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    targets = {candidate.model.call.target for candidate in zoo.candidates if candidate.model.call is not None}
    assert targets == {f"identify.py:{name}" for name in classes}
    assert len(zoo.candidates) == 6
    assert len({candidate.prediction_key for candidate in zoo.candidates}) == 6


def test_sets_share_no_catalogue_and_labels_are_those_of_the_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RECIPE.parents[1]))
    from recipes.language_id.data import LANGUAGES, SETS

    catalogues = [name for names in SETS.values() for name in names]
    assert len(catalogues) == len(set(catalogues))
    assert {*LANGUAGES.values(), "en"} == set(read_zoo(RECIPE / "zoo.toml").labels)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Datei öffnen", True),
        ("ファイルを開く", True),
        ("--help", False),
        ("%s: nicht gefunden", False),
        ("OK", False),
        ("Eine Meldung, die länger ist als dreißig Zeichen", False),
    ],
)
def test_short_messages_of_letters_are_kept(text: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RECIPE.parents[1]))
    from recipes.language_id.data import usable

    assert usable(text) is expected
