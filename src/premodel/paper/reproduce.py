"""The whole study: every experiment on one profile, and its verdict in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from premodel.evaluation.rows import Row
from premodel.paper.experiments import EXPERIMENTS
from premodel.paper.results import Result
from premodel.paper.study import MAIN, Study
from premodel.records import Criterion
from premodel.training.feature_selection import TARGET
from premodel.training.options import plain
from premodel.training.penultimate import Penultimate
from premodel.training.tables import Tables

Progress = Callable[[str, str], None]
"""Called with the experiment's id and a word after each fit; the word is empty when the experiment begins."""


@dataclass(frozen=True, eq=False)
class Reproduction:
    """All results.

    Attributes
    ----------
    verdict:
        The result in one sentence.
    criterion, samples, folds, seed:
        Of the cross-validation.
    results:
        In the order of the page.
    conditions:
        Of the profile.
    """

    verdict: str
    criterion: Criterion
    samples: int
    folds: int
    seed: int
    results: Sequence[Result]
    conditions: Mapping[str, object]

    def to_json(self) -> dict[str, Any]:
        """All values; what is not measured is null. Figures repeat the tables and are left out."""
        experiments = []
        for result in self.results:
            one = {key: value for key, value in asdict(result).items() if key not in ("figures", "samples")}
            experiments.append(plain(one))
        return {
            "verdict": self.verdict,
            "criterion": self.criterion,
            "samples": self.samples,
            "folds": self.folds,
            "seed": self.seed,
            "experiments": experiments,
            "conditions": plain(dict(self.conditions)),
        }


def verdict(main: Row, best: str, best_accuracy: float, best_ms: float) -> str:
    """What the paper's premodel is worth on this data; a word of winning or losing needs a whole interval.

    Parameters
    ----------
    main:
        Row of the paper's premodel.
    best, best_accuracy, best_ms:
        The best single candidate, in [0, 1] and ms.
    """
    mix, (low, high) = main.extra["gain_points_vs_mix"], main.extra["mix_ci"]
    word = "LOSES to" if high < 0 else "beats" if low > 0 else "cannot be told apart from"
    pace = main.speedup_vs_best
    against = f"{pace:.2f} times as fast as" if pace >= 1 else f"{1 / pace:.2f} times as slow as"
    return (
        f"On this data the paper's premodel {word} a random mix of single candidates of the same latency "
        f"({mix:+.1f} points [{low:+.1f}, {high:+.1f}]): {100 * main.accuracy:.1f} % right in "
        f"{main.latency_ms:.2f} ms, "
        f"{main.gain_points_vs_best:+.1f} points [{main.gain_ci[0]:+.1f}, {main.gain_ci[1]:+.1f}] and {against} the "
        f"best single candidate {best} ({100 * best_accuracy:.1f} %, {best_ms:.2f} ms)."
    )


def reproduce(
    tables: Tables,
    *,
    criterion: Criterion = "top1",
    folds: int = 10,
    seed: int = 0,
    features: int = TARGET,
    penultimate: Penultimate | None = None,
    progress: Progress | None = None,
) -> Reproduction:
    """Run every experiment of the paper on a profile; no network runs.

    Parameters
    ----------
    tables:
        The profile.
    criterion, folds, seed:
        Of the cross-validation.
    features:
        Features that the paper's premodel keeps.
    penultimate:
        What its CNN premodel reads; None leaves that one out.

    Raises
    ------
    OptionError
        Fewer samples than folds, too few to fit on, or a criterion that the labels do not allow.

    Notes
    -----
    What a fold's training rows decide (candidates, features, selectors) is fitted once and shared by the experiments
    that do not vary it.
    """
    current = [""]

    def tell(word: str) -> None:
        if progress is not None:
            progress(current[0], word)

    study = Study(
        tables,
        criterion=criterion,
        folds=folds,
        seed=seed,
        features=features,
        penultimate=penultimate,
        progress=tell,
    )
    results = []
    for name, run in EXPERIMENTS.items():
        current[0] = name
        tell("")
        results.append(run(study))
    singles, best = study.singles, study.singles.best
    said = verdict(
        study.served(MAIN).row, singles.names[best], float(singles.accuracy[best]), float(singles.latency_ms[best])
    )
    return Reproduction(said, criterion, len(tables), folds, seed, tuple(results), tables.conditions)
