"""Learns src/premodel/domains/text/features/pieces.txt by byte pair encoding from the project's own documentation.

python benchmarks/texts/learn_pieces.py
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
MERGES = 2000
MAX_PIECE = 12
TARGET = ROOT / "src" / "premodel" / "domains" / "text" / "features" / "pieces.txt"


def words() -> Counter[str]:
    """The words of README.md and docs, in small letters, by their number."""
    found: Counter[str] = Counter()
    for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = re.sub(r"```.*?```|`[^`]*`|\([^)]*\)", " ", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        found.update(re.findall(r"[a-z]+", text.lower()))
    return found


def learn(counts: Counter[str]) -> list[str]:
    """Pieces of two characters and more, in the order in which they were joined."""
    split = {word: list(word) for word in counts}
    learned = []
    for _ in range(MERGES):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in split.items():
            for left, right in pairwise(parts):
                if len(left) + len(right) <= MAX_PIECE:
                    pairs[left, right] += counts[word]
        if not pairs:
            break
        (left, right), number = max(pairs.items(), key=lambda item: (item[1], item[0]))
        if number < 2:
            break
        learned.append(left + right)
        for parts in split.values():
            at = 0
            while at < len(parts) - 1:
                if (parts[at], parts[at + 1]) == (left, right):
                    parts[at : at + 2] = [left + right]
                at += 1
    return list(dict.fromkeys(learned))


if __name__ == "__main__":
    TARGET.write_text("\n".join(learn(words())) + "\n", encoding="utf-8")
