"""A premodel updated from a server's records: what of it to change, and whether the result is no worse on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError, PremodelError
from premodel.evaluation.recorded import Recorded
from premodel.evaluation.update import Update
from premodel.runtime.bundle import Bundle
from premodel.runtime.policies.base import Policy
from premodel.runtime.policies.stopping import StoppingPolicy
from premodel.training.options import TrainOptions
from premodel.training.recalibrate import LEVELS, Recalibrated, Records, folds_of, recalibrate, resample
from premodel.training.record import Trained, TrainingRecord, plain
from premodel.training.simulate import Simulation, served_score, simulate
from premodel.training.tables import Tables
from premodel.training.train import train
from premodel.verdict import MIN_SAMPLES, Verdict

FOLDS = 5
Z_95 = 1.96
RECALIBRATED, TRAINED_ANEW = "recalibrated", "trained anew"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RecordsRecord(TrainingRecord):
    """How a policy came from records.

    Attributes
    ----------
    way:
        RECALIBRATED or TRAINED_ANEW.
    labels, records:
        Behind it.
    level, losses:
        What the labels set, and the cross-validated log loss of each level; empty for a training.
    before:
        The training record of what was recalibrated, or of the training.
    changed:
        What of that is another now.
    decides:
        How the policy decides, in words.
    """

    way: str
    labels: int
    records: int
    level: str
    losses: tuple[float, ...]
    before: Mapping[str, Any]
    changed: Mapping[str, Any]
    decides: tuple[str, ...]

    def lines(self) -> list[str]:
        """See `TrainingRecord.lines`."""
        found = [f"{self.way}, from {self.labels} labelled records; thresholds from {self.records} records"]
        if self.level:
            found.append(f"what the labels set, by cross-validation: {self.level}")
        return [*found, *self.decides]

    def to_json(self) -> dict[str, Any]:
        """See `TrainingRecord.to_json`."""
        about = {"way": self.way, "labels": self.labels, "records": self.records, "level": self.level}
        return {**self.before, **plain(dict(self.changed)), "update": {**about, "losses": list(self.losses)}}


def reward_of(bundle: Bundle) -> tuple[float, float]:
    """Intercept and slope that a cascade's training calibrated with; 0 and 1 where it does not state them."""

    def search(node: Any) -> tuple[float, float] | None:
        if not isinstance(node, Mapping):
            return None
        own = node.get("reward")
        if isinstance(own, Mapping) and {"intercept", "slope"} <= own.keys():
            return float(own["intercept"]), float(own["slope"])
        return next((found for child in node.values() if (found := search(child)) is not None), None)

    return search(bundle.training_record.get("training")) or (0.0, 1.0)


def update_from_records(
    old: Bundle,
    recorded: Recorded,
    options: TrainOptions,
    *,
    margin: float | None = None,
    tell: Callable[[str], None] | None = None,
) -> Update:
    """Adapt a premodel to records, and compare it with what it was.

    Parameters
    ----------
    old:
        As it serves.
    recorded:
        Its candidates' answers.
    options:
        Of its training.
    margin:
        Points that the accuracy may be lower at most, by the 95 % interval.
    tell:
        Called with what is being done.

    Raises
    ------
    OptionError
        There are too few labels, or the policy can neither be recalibrated nor trained on them.

    Notes
    -----
    Two ways are tried where there are two: the old cascade recalibrated, and one trained anew on the labels, its
    thresholds from all records. Both answer every label in five folds, fitted without it; the training is taken where
    its accuracy, less the price of latency at the old operating point, is higher by more than a standard error.

    The comparison with the old one is made on the same held-out labels. Where answers differ without a label, the
    calibrated probabilities stand for right and wrong, corrected by what the labels show them to be off: that is
    prediction-powered inference (Angelopoulos et al., 2023), here with importance weights.
    """
    count = len(recorded.rows)
    if count < MIN_SAMPLES:
        raise OptionError(
            "too few labelled records for an update", given=count, allowed=f"{MIN_SAMPLES} or more",
            do="premodel label STORE --next 50 --out FOLDER",
        )  # fmt: skip
    ways = _Ways(old, recorded, options)
    if tell is not None:
        tell(f"fitting on {count} labels, in {FOLDS} folds: {' and '.join(ways.names)}")
    held = {name: ways.held_out(name) for name in ways.names}
    way = ways.better(held)
    trained = ways.fit(way, recorded)
    before, after = simulate(old.policy, recorded.tables), simulate(trained.policy, recorded.tables)
    return _compared(ways, held[way], before, after, trained, margin)


class _Ways:
    """The ways to an updated policy."""

    def __init__(self, old: Bundle, recorded: Recorded, options: TrainOptions) -> None:
        self.old, self.recorded, self.options = old, recorded, options
        policy = old.policy
        self.cascade = policy if isinstance(policy, StoppingPolicy) and hasattr(policy, "components") else None
        if self.cascade is not None and options.policy not in ("cascade", "cascade-routing"):
            self.options = replace(options, policy=self.cascade.kind)
        self.names = (RECALIBRATED, TRAINED_ANEW) if self.cascade is not None else (TRAINED_ANEW,)
        self.folds = folds_of(recorded.labelled, FOLDS, options.seed)

    def fit(self, way: str, recorded: Recorded) -> Trained:
        """The policy of one way, from all labels of these records."""
        if way == RECALIBRATED and self.cascade is not None:
            return self._recalibrated(self.cascade, recorded, None, dict(self.old.training_record), reward_of(self.old))
        rows = recorded.rows[resample(recorded.label_weight[recorded.rows], len(recorded.rows))]
        distinct = np.unique(rows)
        tables = recorded.tables.take(distinct if len(distinct) == len(rows) else rows)
        trained = train(
            replace(tables, samples=tuple(f"{n}-{one}" for n, one in enumerate(tables.samples))), self.options
        )
        policy = trained.policy
        if not (isinstance(policy, StoppingPolicy) and hasattr(policy, "components")):
            return trained
        record = {"training": plain(trained.record.to_json()), "summary": list(trained.summary)}
        reward = record["training"].get("reward", {})
        start = float(reward.get("intercept", 0.0)), float(reward.get("slope", 1.0))
        return self._recalibrated(policy, recorded, 0, record, start)

    def _recalibrated(
        self,
        policy: StoppingPolicy,
        recorded: Recorded,
        level: int | None,
        record: Mapping[str, Any],
        reward: tuple[float, float],
    ) -> Trained:
        records = self.records(policy, recorded)
        chosen = None if level is None else LEVELS[level]
        found = recalibrate(policy, records, self.options.objective, reward, seed=self.options.seed, level=chosen)
        first = policy.candidates[int(found.policy.components.start[-1, found.point.index].argmax())]
        names = ", ".join(policy.candidates)
        decides = f"decides: runs {first}, then stops or runs another of {names}, whichever is worth most"
        about = RecordsRecord(
            RECALIBRATED if level is None else TRAINED_ANEW,
            int(recorded.labelled.sum()),
            len(recorded.tables),
            found.level.name if level is None else "",
            tuple(round(loss, 6) for loss in found.losses),
            record.get("training") if isinstance(record.get("training"), Mapping) else {},  # type: ignore[arg-type]
            _changes(found),
            (decides,),
        )
        return Trained(found.policy, about)

    def records(self, policy: StoppingPolicy, recorded: Recorded) -> Records:
        """As recalibration takes them."""
        return Records.of(
            policy, recorded.tables, self.options.criterion, recorded.labelled, recorded.weight, recorded.label_weight
        )

    def held_out(self, way: str) -> tuple[Floats, Floats] | None:
        """Score and latency of each labelled record, by policies fitted without it; None if that cannot be trained."""
        n = len(self.recorded.tables)
        score, latency_ms = np.zeros(n), np.zeros(n)
        for held in self.folds:
            labelled, weight = self.recorded.labelled.copy(), self.recorded.label_weight.copy()
            labelled[held], weight[held] = False, 0.0
            try:
                trained = self.fit(way, replace(self.recorded, labelled=labelled, label_weight=weight))
            except PremodelError:
                if way == RECALIBRATED or len(self.names) == 1:
                    raise
                return None
            part = self.recorded.tables.take(held)
            served = simulate(trained.policy, part)
            score[held], latency_ms[held] = served_score(part, self.options.criterion, served), served.latency_ms
        return score, latency_ms

    def better(self, held: Mapping[str, tuple[Floats, Floats] | None]) -> str:
        """The way to take, by the labels."""
        first, other = held.get(RECALIBRATED), held.get(TRAINED_ANEW)
        if self.cascade is None or first is None:
            return TRAINED_ANEW
        if other is None:
            return RECALIBRATED
        price = float(self.cascade.components.cost_weight[self.cascade.point])
        rows, weight = self.recorded.rows, _shares(self.recorded.label_weight[self.recorded.rows])
        gain = (other[0] - first[0])[rows] - price * (other[1] - first[1])[rows]
        mean = float(weight @ gain)
        error = float(np.sqrt((weight**2) @ (gain - mean) ** 2))
        return TRAINED_ANEW if mean > error else RECALIBRATED


def _changes(found: Recalibrated) -> dict[str, Any]:
    intercept, slope = found.reward
    return {"reward": {"intercept": intercept, "slope": slope}, "operating_point": plain(found.point)}


def _compared(
    ways: _Ways,
    held: tuple[Floats, Floats] | None,
    before: Simulation,
    after: Simulation,
    trained: Trained,
    margin: float | None,
) -> Update:
    """The new policy against the old one: labels held out, and what all records are expected to be."""
    recorded, criterion = ways.recorded, ways.options.criterion
    if held is None:
        raise TypeError("a way that cannot be trained was taken")
    rows = recorded.rows
    old_score = served_score(recorded.tables, criterion, before)
    seen = (held[0] - old_score)[rows]
    expected = _expected(trained.policy, before, after)
    weight, label_weight = _shares(recorded.weight), _shares(recorded.label_weight[rows])
    off = seen - expected[rows]
    gain = float(weight @ expected) + float(label_weight @ off)
    spread = float((weight**2) @ (expected - weight @ expected) ** 2)
    spread += float((label_weight**2) @ (off - label_weight @ off) ** 2) * len(rows) / (len(rows) - 1)
    half = Z_95 * float(np.sqrt(spread))
    old_ms, new_ms = float(weight @ before.latency_ms), float(weight @ after.latency_ms)
    verdict = Verdict(len(rows), old_ms / new_ms, 100 * gain, (100 * (gain - half), 100 * (gain + half)))
    accuracy = float(label_weight @ old_score[rows])
    return Update(trained, accuracy, accuracy + gain, old_ms, new_ms, verdict, margin, from_records=True)


def _expected(policy: Policy, before: Simulation, after: Simulation) -> Floats:
    """(n,): expected difference of right and wrong of two policies' answers; 0 where they answer alike.

    It need not be right: what it is off by is measured on the labels.
    """
    differ = before.labels[:, 0] != after.labels[:, 0]
    if not differ.any() or not isinstance(policy, StoppingPolicy):
        return np.zeros(len(differ))
    return np.where(differ, _stated(after) - _stated(before), 0.0)


def _stated(served: Simulation) -> Floats:
    """The confidence that goes with each answer; 0 for an abstention."""
    sure = np.where(np.isnan(served.confidence), served.probabilities[:, 0], served.confidence)
    return np.where(served.abstained, 0.0, sure).astype(np.float64)


def _shares(weight: Floats) -> Floats:
    return np.asarray(weight / weight.sum())


def labelled_tables(recorded: Recorded) -> Tables:
    """The labelled records alone."""
    return recorded.tables.take(recorded.rows)
