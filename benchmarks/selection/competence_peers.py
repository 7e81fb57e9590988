"""DESlib and deskit on recorded answers. DESlib needs scikit-learn < 1.7: run in an environment of its own.

    python competence_peers.py IN.npz OUT.npz

IN: `features` (n, F), `truth` (n,), `labels` and `probabilities` (n, m, k) by falling probability, `n_labels`, `fold`
(n,), and `pools`, bool (p, m): which candidates each pool holds. OUT: for each method and pool `METHOD/POOL/labels`
(n, 5), the five most probable labels of the answer, out of fold, and `METHOD/POOL/ran` (n, m), the candidates that its
selection names. Every candidate of the pool takes part in DESlib's own `predict`, whatever is selected.
"""

from __future__ import annotations

import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from deskit.des.knorae import KNORAE as DeskitKnoraE  # noqa: N811
from deskit.des.knorau import KNORAU as DeskitKnoraU  # noqa: N811
from deskit.des.ola import OLA as DeskitOla  # noqa: N811
from deslib.dcs.ola import OLA
from deslib.des.knora_e import KNORAE
from deslib.des.knora_u import KNORAU
from deslib.des.meta_des import METADES
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import MinMaxScaler

KEPT = 5


class Recorded:
    """A base classifier that looks its answers up; the last column of its input is the sample's number."""

    def __init__(self, distribution, n_labels):
        self.distribution = distribution
        self.classes_ = np.arange(n_labels)

    def fit(self, numbered, y):  # noqa: ARG002
        """Nothing: scikit-learn takes what has no fit for no estimator."""
        return self

    def predict(self, numbered):
        """Most probable labels."""
        return self.predict_proba(numbered).argmax(axis=1)

    def predict_proba(self, numbered):
        """Recorded distributions."""
        return self.distribution[numbered[:, -1].astype(int)]


class Neighbours(KNeighborsClassifier):
    """The neighbour search of DESlib, blind to the sample's number in the last column."""

    def fit(self, numbered, y):
        """Fit on the features."""
        return super().fit(numbered[:, :-1], y)

    def kneighbors(self, numbered=None, n_neighbors=None, return_distance=True):
        """Neighbours by the features."""
        features = None if numbered is None else numbered[:, :-1]
        return super().kneighbors(features, n_neighbors, return_distance)


def knowing_all_labels(method, n_labels):
    """DESlib learns its labels from the training rows; candidates may say labels that do not occur there."""

    class Knowing(method):  # type: ignore[misc, valid-type]
        def _setup_label_encoder(self, y):  # noqa: ARG002
            super()._setup_label_encoder(np.arange(n_labels))

    Knowing.__name__ = method.__name__
    return Knowing


def top(distribution):
    return np.argsort(-distribution, axis=1, kind="stable")[:, :KEPT]


def deslib(method, numbered, truth, dense, train, test, members, n_labels):
    """Labels of the answers on test rows, and the candidates that the selection names."""
    pool = [Recorded(dense[:, member], n_labels) for member in members]
    made = knowing_all_labels(method, n_labels)(pool, knn_classifier=partial(Neighbours, n_jobs=1), random_state=0)
    made.fit(numbered[train], truth[train])
    answer = made.predict_proba(numbered[test])
    if method is METADES:  # its competence is estimated from what every candidate said
        return top(answer), np.ones((len(test), len(members)), dtype=bool)
    distances, region = made.get_competence_region(numbered[test])
    chosen = made.select(made.estimate_competence(region, distances))
    ran = np.asarray(chosen)
    if ran.ndim == 1:
        ran = ran[:, None] == np.arange(len(members))
    return top(answer), ran.astype(bool)


def deskit(method, numbered, truth, dense, train, test, members, n_labels):  # noqa: ARG001
    """As above; deskit names the weights of the candidates before any runs, so only those above 0 have to."""
    made = method(task="classification", metric="accuracy", mode="max", k=10, preset="exact")
    made.fit(numbered[train][:, :-1], truth[train], {str(j): dense[train][:, j].argmax(axis=1) for j in members})
    weights = made.predict_weights(numbered[test][:, :-1])
    weights = np.array(
        [[row[str(j)] for j in members] for row in ([weights] if isinstance(weights, dict) else weights)]
    )
    answer = np.einsum("bm,bml->bl", weights, dense[test][:, members])
    return top(answer), weights > 0


METHODS = {
    "DESlib OLA": partial(deslib, OLA),
    "DESlib KNORA-E": partial(deslib, KNORAE),
    "DESlib KNORA-U": partial(deslib, KNORAU),
    "DESlib META-DES": partial(deslib, METADES),
    "deskit OLA": partial(deskit, DeskitOla),
    "deskit KNORA-E": partial(deskit, DeskitKnoraE),
    "deskit KNORA-U": partial(deskit, DeskitKnoraU),
}


def main(source, out):
    warnings.filterwarnings("ignore")
    data = np.load(source)
    labels, probabilities, n_labels = data["labels"], data["probabilities"], int(data["n_labels"])
    n, m, _ = labels.shape
    dense = np.zeros((n, m, n_labels))
    np.put_along_axis(dense, labels.astype(int), probabilities, axis=2)
    found = {}
    for name, method in METHODS.items():
        for number, pool in enumerate(data["pools"]):
            members = np.flatnonzero(pool)
            answers = np.zeros((n, min(KEPT, n_labels)), dtype=np.int32)
            ran = np.zeros((n, m), dtype=bool)
            for fold in range(data["fold"].max() + 1):
                train, test = np.flatnonzero(data["fold"] != fold), np.flatnonzero(data["fold"] == fold)
                scaler = MinMaxScaler().fit(data["features"][train])
                numbered = np.c_[scaler.transform(data["features"]), np.arange(n)]
                answers[test], ran[np.ix_(test, members)] = method(
                    numbered, data["truth"], dense, train, test, members, n_labels
                )
            found[f"{name}/{number}/labels"], found[f"{name}/{number}/ran"] = answers, ran
        print(name, "done", file=sys.stderr, flush=True)
    unfinished = Path(out + ".part.npz")
    np.savez_compressed(unfinished, allow_pickle=False, **found)
    unfinished.replace(out)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
