"""Training of policy `cascade`: the pool of `cascade-routing`, in one learned order."""

from __future__ import annotations

from premodel.training.fit.cascade_routing import train_stopping
from premodel.training.options import Trained, TrainOptions
from premodel.training.tables import Tables


def train(tables: Tables, options: TrainOptions) -> Trained:
    """Train policy `cascade`: order, thresholds and skips, for the objective.

    The order is the one of the highest value among all orders of the pool; otherwise as `cascade-routing`.

    Raises
    ------
    OptionError
        An option is given that has no meaning here, or there are too few samples.
    """
    return train_stopping(tables, options, ordered=True)
