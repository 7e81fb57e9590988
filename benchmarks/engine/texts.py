"""What the engine costs beyond the work it arranges, for texts: as `bench.py`, which does it for images.

Three premodels answer 64 sentences of 13 words: `select`, which reads five features and asks a logistic selector who
answers, `by-length`, the same where latencies are curves over the number of words and a cost weight makes them count,
as profiles of texts have them, and `single`, which reads nothing. Their candidates answer at once, with recorded
answers. By hand, the same steps are: decode, features, scores, prepare, run; the highest score by hand, and no curves.
Both take turns on every text, in random order.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench import overhead

from premodel.backends.replay import record
from premodel.domains.registry import domain_of
from premodel.domains.text.spec import TextSpec
from premodel.files import file_sha256
from premodel.runtime.bundle import Bundle, write_bundle
from premodel.runtime.engine import Premodel
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.latency_curve import LatencyCurves
from premodel.runtime.policies.select import Select
from premodel.runtime.policies.single import Single
from premodel.runtime.selectors.logistic import LogisticSelector
from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.zoo.candidate import Candidate, Model

WANTED_MS, AIM_MS = 0.03, 0.02
TASK = "text-classification"
FEATURES = ("n_words", "avg_word_length", "n_tokens", "avg_punc", "n_chars")
LABELS = ("de", "en", "fr", "nl")
CANDIDATES = 3
KNOTS = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 30.0, 40.0, 60.0)
WORDS = ("two", "dogs", "run", "over", "a", "wide", "green", "field", "while", "the", "old", "man", "walks", "home")


def generated_texts(count: int) -> list[bytes]:
    """Sentences of 13 words, each unlike the others."""
    rng = np.random.default_rng(0)
    return [f"{' '.join(rng.choice(WORDS, 12))} {number}.".encode() for number in range(count)]


def make_candidates(folder: Path, texts: list[bytes]) -> tuple[Candidate, ...]:
    """Recorded answers to these texts."""
    rng, domain, spec = np.random.default_rng(1), domain_of(TASK), TextSpec("bytes", "float32", 64)
    view = domain.plain_view()
    tensors = [domain.prepare(domain.decode(text), spec, view) for text in texts]
    found = []
    for index in range(CANDIDATES):
        file = folder / f"m{index}.npz"
        record(file, tensors, rng.dirichlet(np.ones(len(LABELS)), len(texts)).astype(np.float32))
        model = Model(f"m{index}", file, "replay", spec, "softmax", sha256=file_sha256(file), task=TASK)
        found.append(Candidate(model, view, len(LABELS)))
    return tuple(found)


def make_bundles(folder: Path, texts: list[bytes]) -> dict[str, Path]:
    """Both premodels, by policy."""
    rng, domain, candidates = np.random.default_rng(2), domain_of(TASK), make_candidates(folder, texts)
    names = tuple(one.name for one in candidates)
    extractor = domain.extractor(FEATURES)
    scaler = MinMaxScaler.of(np.stack([extractor.extract(domain.decode(text)) for text in texts]))
    weights = rng.normal(size=(CANDIDATES, len(FEATURES)))
    selector = LogisticSelector(FEATURES, scaler, weights, np.zeros(CANDIDATES))
    curves = LatencyCurves("n_words", KNOTS, tuple(tuple(cost * knot for knot in KNOTS) for cost in (0.1, 0.2, 0.4)))
    by_length = Costs((1.0, 2.0, 4.0), 0.01, by_length=curves)
    policies = {
        "select": Select(
            names, selector, rule="utility", costs=Costs((1.0, 2.0, 4.0), 0.01), fallback=names[-1], threshold=-1.0
        ),
        "by-length": Select(
            names, selector, rule="utility", costs=by_length, fallback=names[-1], threshold=-1.0, cost_weight=1e-6
        ),
        "single": Single(names[:1], (0.5,), Costs((1.0,), 0.01)),
    }
    paths = {}
    for kind, policy in policies.items():
        own = candidates if policy.features else candidates[:1]
        version = domain.features_version if policy.features else None
        paths[kind] = folder / f"{kind}.premodel"
        write_bundle(paths[kind], Bundle(policy, own, LABELS, "top1", version), folder=folder)
    return paths


def by_hand(clf: Premodel) -> Callable[[bytes], None]:
    """The steps of one answer without the engine."""
    domain, policy = clf.bundle.domain, clf.policy
    extractor = domain.extractor(policy.features) if policy.features else None
    opened = [clf.open_candidate(name) for name in clf.candidates]

    def answer(data: bytes) -> None:
        text = domain.decode(data)
        chosen = 0
        if extractor is not None and isinstance(policy, Select):
            chosen = int(policy.selector.score(extractor.extract(text)).argmax())
        opened[chosen].predict(text, domain.shared(text))

    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="over 64 texts (default: 200)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    texts = generated_texts(64)
    report: dict[str, Any] = {"cpu": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as name:
        for kind, path in make_bundles(Path(name), texts).items():
            report[kind] = overhead(path, texts, args.rounds, by_hand)
    if args.json:
        print(json.dumps(report))
        return
    print(f"1-minute load before: {report['load']:.1f} on {report['cores']} cores")
    for kind in ("select", "by-length", "single"):
        cost = report[kind]
        state = "aim met" if cost["overhead_ms"] <= AIM_MS else "met" if cost["overhead_ms"] <= WANTED_MS else "NOT met"
        print(
            f"{kind}: engine {cost['engine_ms']:.4f} ms, by hand {cost['by_hand_ms']:.4f} ms; overhead "
            f"{cost['overhead_ms']:.4f} ms ({cost['overhead_cpu_ms']:.4f} of CPU time) over {cost['answers']} answers; "
            f"wanted {WANTED_MS}, aim {AIM_MS}: {state}"
        )


if __name__ == "__main__":
    main()
