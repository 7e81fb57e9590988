"""Microseconds of each family of features of texts, on one thread, of the sentences of a file.

python benchmarks/texts/feature_costs.py SENTENCES.gz
"""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from premodel.domains.base import Domain
from premodel.domains.registry import domain_of
from premodel.errors import MissingExtraError

PASSES = 5


def cost_us(domain: Domain, names: Sequence[str], sentences: list[str]) -> float:
    """Mean of the fastest of several passes, processor time."""
    extractor = domain.extractor(names)
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
    plain = domain = domain_of("translation")
    try:
        domain = plain.with_embedding()
    except MissingExtraError as error:
        print(f"without the embedding: {error}", file=sys.stderr)
    print(f"| all {len(plain.feature_names)} | {cost_us(domain, plain.feature_names, sentences):.1f} |")
    for group in domain.feature_groups:
        print(f"| {group.key.partition(':')[0]} | {cost_us(domain, group.names, sentences):.1f} |")


if __name__ == "__main__":
    main(sys.argv[1])
