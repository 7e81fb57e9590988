"""The contract of a fit: labelled features in, a selector out."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from premodel.errors import MissingExtraError, OptionError
from premodel.runtime.selectors.base import Features, Selector


class Fit(Protocol):
    """Fits a selector; every file of this package but the orchestrations has one, named `fit`."""

    def __call__(self, features: Features, labels: NDArray[Any], names: tuple[str, ...], seed: int = 0) -> Selector:
        """Fit on training rows.

        Parameters
        ----------
        features:
            float32 (n, F), raw.
        labels:
            bool (n, m), from `training.labels`; or float64, scores in [0, 1], which not every technique can learn.
        names:
            Names of the features, F.
        seed:
            Of whatever is random in it; equal arguments give an equal selector.

        Raises
        ------
        OptionError
            Too few samples, features that are not finite, or graded labels that it cannot learn.
        MissingExtraError
            scikit-learn is needed and not installed.
        """


def check_training(features: Features, labels: NDArray[Any], names: tuple[str, ...], *, graded: bool = False) -> None:
    """Refuse training rows that nothing can be fitted on; `graded` if the technique learns scores.

    Raises
    ------
    OptionError
        No samples, no features, no candidates, a value that is not finite, or scores where yes and no are needed.
    """
    if labels.dtype != np.bool_ and not graded:
        raise OptionError("this technique learns yes and no, not graded scores", do="use --technique logistic")
    if len(features) == 0:
        raise OptionError("no samples to train on", given=0, allowed="1 or more")
    if not names or labels.shape[1] == 0:
        raise OptionError("nothing to train", given=f"{len(names)} features, {labels.shape[1]} candidates")
    if not np.isfinite(features).all():
        row, column = np.argwhere(~np.isfinite(features))[0]
        raise OptionError(
            "a feature is not a finite number",
            where=f"feature {names[column]} of training row {row}",
            given=features[row, column],
            do="profile the features again",
        )


def fit_each(train: Callable[[NDArray[np.bool_]], Any], labels: NDArray[np.bool_]) -> list[Any | None]:
    """Train one two-class model per candidate; None where its labels are all alike.

    On one thread: the fits are small, and on a machine with other work the threads of linear algebra wait for each
    other many times longer than they work.
    """
    scikit_learn("base")  # refused here where it is absent; it brings threadpoolctl
    with import_module("threadpoolctl").threadpool_limits(1):
        return [train(column) if column.any() and not column.all() else None for column in labels.T]


def constant_log_odds(column: NDArray[np.bool_]) -> float:
    """Log odds of labels that are all alike: plus infinity for yes, minus infinity for no."""
    return float("inf") if column.all() else float("-inf")


def scikit_learn(module: str) -> Any:
    """A module of scikit-learn, loaded when it is first needed.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        return import_module(f"sklearn.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        raise MissingExtraError("scikit-learn", "lab") from error
