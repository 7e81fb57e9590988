"""Microseconds of each family of features of texts, on one thread, of the sentences of a file.

python benchmarks/texts/feature_costs.py SENTENCES.gz
"""

from __future__ import annotations

import gzip
import sys
import time
from pathlib import Path

from premodel.domains.text.features.extractor import Extractor
from premodel.domains.text.features.families import FAMILIES

PASSES = 5


def cost_us(names: list[str] | None, sentences: list[str]) -> float:
    """Mean of the fastest of several passes, processor time."""
    extractor = Extractor(names)
    passes = []
    for _ in range(PASSES):
        start = time.process_time()
        for sentence in sentences:
            extractor.extract(sentence)
        passes.append(time.process_time() - start)
    return 1e6 * min(passes) / len(sentences)


def main(path: str) -> None:
    """Print a table."""
    data = Path(path).read_bytes()
    sentences = (gzip.decompress(data) if path.endswith(".gz") else data).decode().splitlines()
    print(f"{len(sentences)} sentences\n\n| features | microseconds a sentence |\n|---|---|")
    print(f"| all | {cost_us(None, sentences):.1f} |")
    for family in FAMILIES:
        print(f"| {family.name} | {cost_us([feature.name for feature in family.features], sentences):.1f} |")


if __name__ == "__main__":
    main(sys.argv[1])
