"""What was published on translation, as data: the follow-up's claim, and the figures of its public replication.

Sources: V. S. Marco, B. Taylor, Z. Wang, Y. Elkhatib, "Optimizing Deep Learning Inference on Embedded Systems Through
Adaptive Model Selection", ACM TECS 19(1), 2020, of which the abstract and what others quote were at hand; and its
replication, github.com/HitkoDev/energy-efficient-ml, report and code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from premodel.paper.paper import Published
from premodel.stats import mix_at

FOLLOW_UP, REPLICATION = "Marco et al. 2020", "its replication"


@dataclass(frozen=True)
class Printed:
    """One line of the replication's table: means over the sentences of WMT 2015 and 2016, scores times 100.

    Attributes
    ----------
    name:
        As it is called there.
    bleu, rouge:
        Means of sentence scores.
    f1:
        Harmonic mean of those two means.
    latency_ms:
        Mean time of a sentence; of each model the average of one large batch, so the same for all sentences.
    """

    name: str
    bleu: float
    rouge: float
    f1: float
    latency_ms: float

    @property
    def text(self) -> str:
        """BLEU, ROUGE, F1 and time as one text."""
        return f"BLEU {self.bleu:.2f}, ROUGE-L {self.rouge:.2f}, F1 {self.f1:.2f} at {self.latency_ms:.2f} ms"


POOL = (
    Printed("3_layer", 20.78, 47.80, 28.97, 4.20),
    Printed("gnmt_2", 21.80, 48.78, 30.13, 6.53),
    Printed("gnmt_8", 22.69, 49.49, 31.11, 8.86),
)
ORACLE = Printed("oracle", 26.38, 52.83, 35.19, 7.15)
PREMODELS = (
    Printed("naive Bayes", 20.83, 47.87, 29.03, 4.77),
    Printed("KNN", 21.41, 48.39, 29.68, 5.59),
    Printed("decision tree", 21.29, 48.32, 29.55, 5.36),
    Printed("SVM, linear", 21.07, 48.07, 29.30, 5.11),
    Printed("SVM, Gaussian kernel", 20.80, 47.82, 28.99, 4.26),
    Printed("random forest", 20.92, 47.95, 29.13, 4.55),
    Printed("neural network", 21.37, 48.38, 29.65, 5.69),
    Printed("AdaBoost", 21.51, 48.51, 29.80, 5.85),
    Printed("QDA", 20.84, 47.85, 29.04, 4.73),
)
"""Its premodels, each one multi-class model. Another version of its table has the KNN at 29.07 and 4.26 ms and the
decision tree at 29.47 and 5.25 ms; in neither is one more than 0.11 above the random mix."""
WHERE = "its code, plot of the premodels"


def premodel_of(name: str) -> Printed:
    """A line of PREMODELS by its name."""
    return next(one for one in PREMODELS if one.name == name)


def above_mix(pool: Sequence[tuple[float, float]], f1: float, latency_ms: float) -> float:
    """F1 less that of the random mix of a pool of (F1, ms) at equal mean time, in points.

    Examples
    --------
    Half way in time between two models the mix has half of both.

    >>> above_mix([(20.0, 1.0), (30.0, 3.0)], 26.0, 2.0)
    1.0
    """
    scores, took = np.array(pool).T
    first, second, share = mix_at(took, scores, latency_ms)
    return float(f1 - (1 - share) * scores[first] - share * scores[second])


def replicated_above_mix(one: Printed) -> float:
    """Of a premodel of the replication, worked out from its printed figures."""
    return above_mix([(model.f1, model.latency_ms) for model in POOL], one.f1, one.latency_ms)


SPEEDUP = Published(
    1.34, "1.34 times", "times", "time of the most capable model over the premodel's", "abstract", FOLLOW_UP
)
LITTLE_IMPACT = Published(
    None, "\"little impact\"", "", "loss of quality; no number is at hand", "abstract", FOLLOW_UP
)  # fmt: skip
CHOSEN = Published(
    None, "naive Bayes, one multi-class model", "", "the premodel they chose for translation, of KNN, decision tree, "
    "naive Bayes and SVM as one model or as a chain", "as quoted by its replication", FOLLOW_UP,
)  # fmt: skip
MODELS = Published(
    15, "4 named of 15", "", "TensorFlow-NMT models English-German; named: 3_layer, gnmt_2, gnmt_4, gnmt_8",
    "as quoted by its replication", FOLLOW_UP,
)  # fmt: skip
FEATURES = Published(
    11, "11 and a bag of words", "", "features of a sentence; 1,500 words by chi-square in the replication",
    "as quoted by its replication", FOLLOW_UP,
)  # fmt: skip
DROPPED = Published(
    2, "n_bpe_chars, n_tokens", "", "features dropped at a correlation above 0.9, both for n_words", "report, features",
    REPLICATION,
)  # fmt: skip


def replication(one: Printed, definition: str, where: str = WHERE) -> Published:
    """A line of the replication, for the column of what was published."""
    return Published(one.f1, one.text, "", definition, where, REPLICATION)


def replication_points(value: float, definition: str) -> Published:
    """A difference that follows from the replication's printed figures."""
    return Published(value, f"{value:+.2f} points", "points", definition, WHERE, REPLICATION)
