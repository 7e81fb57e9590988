"""DESlib and deskit: their environment, what they are given, and what they are charged."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from points import Points

from premodel.records import Criterion
from premodel.stats import upper_hull
from premodel.training.folds import Fold
from premodel.training.tables import Tables, top_n

PEER_PACKAGES = ("deslib==0.3.7", "scikit-learn<1.7", "deskit==1.3.2.3")
SCRIPT = Path(__file__).resolve().parent / "competence_peers.py"


def competence_peers(
    tables: Tables, criterion: Criterion, folds: Sequence[Fold], work: Path, digest: str
) -> dict[str, Points]:
    """DESlib and deskit with several pools, in their own environment; empty where that cannot be made."""
    python = peer_environment(work / "peer-environment")
    if python is None:
        return {}
    pools = pools_of(tables, criterion)
    fold = np.empty(len(tables), dtype=np.intp)
    for number, part in enumerate(folds):
        fold[part.test] = number
    # What they learn and choose is by top-1, so one run serves both criteria where their pools are the same.
    how = SCRIPT.read_bytes() + repr(PEER_PACKAGES).encode()
    key = hashlib.sha256(pools.tobytes() + fold.tobytes() + digest.encode() + how).hexdigest()[:12]
    source, out = (work / f"competence-{key}-{kind}.npz" for kind in ("in", "out"))
    if not out.exists():
        np.savez(
            source,
            features=tables.features,
            truth=tables.truth,
            labels=tables.top_labels,
            probabilities=tables.top_probabilities,
            n_labels=len(tables.label_names),
            fold=fold,
            pools=pools,
        )
        subprocess.run([str(python), str(SCRIPT), str(source), str(out)], check=True)
    with np.load(out) as data:
        return charged(data, pools, tables, criterion)


def charged(
    data: Mapping[str, NDArray], pools: NDArray[np.bool_], tables: Tables, criterion: Criterion
) -> dict[str, Points]:
    """Correctness and latency of DESlib and deskit, by method and charge: one point per pool.

    DESlib's `predict` runs every candidate of its pool before it selects, so that is what it is charged. The second
    charge, of the selected candidates alone, is what an implementation could do whose selection needs no predictions;
    META-DES needs them all. deskit gives its weights before any candidate runs and is charged those above 0. All
    image features are charged to all of them; their decisions are charged nothing.
    """
    n = top_n(criterion, len(tables.label_names))
    before_ms = tables.decode_ms + tables.feature_costs.of(tables.feature_names)
    names = [f"{int(pool.sum())} candidates" for pool in pools]
    found: dict[str, Points] = {}
    for method in dict.fromkeys(entry.partition("/")[0] for entry in data):
        labels = [data[f"{method}/{number}/labels"] for number in range(len(pools))]
        ran = [data[f"{method}/{number}/ran"] for number in range(len(pools))]
        right = np.array([(said[:, :n] == tables.truth[:, None]).any(axis=1) for said in labels], dtype=np.float64)
        selected = np.array([before_ms + (one * tables.latency_ms).sum(axis=1) for one in ran])
        whole = np.array([np.full(len(tables), before_ms + tables.latency_ms[pool].sum()) for pool in pools])
        if method.startswith("deskit"):
            found[method] = Points(right, selected, tuple(names))
            continue
        found[method] = Points(right, whole, tuple(names))
        if not method.endswith("META-DES"):
            found[f"{method}, selected alone charged"] = Points(right, selected, tuple(names))
    return found


def pools_of(tables: Tables, criterion: Criterion) -> NDArray[np.bool_]:
    """Bool (p, m): the two cheapest of the hull of single candidates, the whole hull, and in small zoos all."""
    hull = upper_hull(tables.latency_ms, tables.correct(criterion).mean(axis=0)).tolist()
    sets = [tuple(hull[: max(2, size)]) for size in (2, (len(hull) + 2) // 2, len(hull))]
    if len(tables.candidates) <= 8:
        sets.append(tuple(range(len(tables.candidates))))
    pools = np.zeros((len(dict.fromkeys(sets)), len(tables.candidates)), dtype=bool)
    for row, members in enumerate(dict.fromkeys(sets)):
        pools[row, list(members)] = True
    return pools[pools.sum(axis=1) >= 2]


def peer_environment(folder: Path) -> Path | None:
    """A Python with DESlib and deskit; None, said on stderr, if it cannot be made."""
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        print(f"making an environment for {', '.join(PEER_PACKAGES)}", file=sys.stderr)
        try:
            venv.create(folder, with_pip=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", *PEER_PACKAGES], check=True)
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"DESlib and deskit are left out: {error}", file=sys.stderr)
            return None
        ready.touch()
    return python
