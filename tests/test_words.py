"""The project speaks the language of the field: words that were replaced do not come back.

The glossary is docs/words.md. Only the changelog may hold an old word, where it says what became of it.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
THIS = Path(__file__).name
TEXTS = (".py", ".md", ".toml", ".sh", ".js", ".j2", ".html", ".ipynb", ".json", "")
REPLACED = {
    r"right, %": "accuracy, %",
    r"points against best": "accuracy difference, points",
    r"times as fast as best": "speed-up",
    r"\bsureness\b": "confidence",
    r"\b(own|top)[ _]mass\b": "top probability",
    r"\bpoints? of operation\b": "operating point",
    r"\bthe account of\b|\bin the account\b|\.account\b|[\"']account[\"']": "training summary",
    r"\bcrews?\b": "worker pool",
    r"\bhire[sd]?\b": "start",
    r"\bbury|\bburied\b": "remove",
    r"\bparcels?\b": "batch",
    r"\bowed\b": "pending",
    r"\bfrom_parts\b": "from_components",
    r"\b[Ss]ays\b|\bwants\b|\b[Tt]old\b|\b[Kk]nows\b": "states, reports, requires, distinguished, supports",
    r"\bout of account\b": "not counted",
    r"\bis no (floor|budget|seed|weight|number|bundle|label\"|such (zoo|store)|truth value)\b": "must be ..., got ...",
    r"\b(LEAST|MOST|ENOUGH|CLOSE|DOUBT|HOPELESS|SWAP|OWN)\b *=": "a name that says what the number is",
    r"\bWon:|\bNothing won\b": "the verdict's own sentence",
}
"""Pattern -> what stands in its place."""


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    files = [ROOT / name for name in listed if name]
    if not files:
        pytest.skip("not a checkout of git")
    left_out = {"CHANGELOG.md", THIS}
    return [file for file in files if file.suffix in TEXTS and file.name not in left_out and file.is_file()]


@pytest.mark.parametrize("pattern", REPLACED)
def test_a_replaced_word_is_in_no_file_but_the_changelog(pattern: str) -> None:
    search = re.compile(pattern)
    found = []
    for file in tracked():
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [
            f"{file.relative_to(ROOT)}:{n}: {line.strip()[:80]}"
            for n, line in enumerate(lines, 1)
            if search.search(line)
        ]
    assert not found, f"say: {REPLACED[pattern]}\n" + "\n".join(found[:20])


def test_every_term_of_the_glossary_is_one_that_the_project_uses() -> None:
    terms = [
        term.strip()
        for line in (ROOT / "docs" / "words.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("| word |", "|---"))
        for term in line.split("|")[1].split(",")
    ]
    assert len(terms) > 30
    assert len(set(terms)) == len(terms), "a term is explained once"
    texts = "\n".join(
        file.read_text(encoding="utf-8").lower()
        for file in tracked()
        if file.suffix in (".py", ".md") and file.name != "words.md" and not file.is_relative_to(ROOT / "tests")
    ).replace("_", " ")
    texts = re.sub(r"\s+", " ", texts)
    unused = [term for term in terms if term.lower().rstrip("s") not in texts]
    assert not unused
