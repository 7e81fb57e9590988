"""What a run of profiling found and did."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from premodel.profiling.passes.energy import EnergyResult
from premodel.profiling.passes.features import FeatureResult
from premodel.profiling.passes.predictions import PredictionResult
from premodel.profiling.passes.scores import ScoreResult
from premodel.profiling.passes.timings import TimingResult
from premodel.profiling.samples import Inventory
from premodel.profiling.sustained import Sustained


@dataclass
class ProfileReport:
    """What a run found and did.

    Attributes
    ----------
    run:
        Its number in the store.
    device:
        Name under which timings are kept.
    rows:
        Rows of the data set that were looked at.
    inventory:
        The distinct samples among them.
    relabelled:
        Samples whose label is not the one stored before; their predictions were made anew.
    calibration:
        Samples left out because models were calibrated on them.
    predictions, timings, features, energy, penultimate:
        What each pass did; None if it was not asked for.
    compared:
        By prediction key: samples answered otherwise where the candidates are timed than in the store, and samples
        compared.
    scores:
        Graded scores of the answers; None where the domain has no graded criteria.
    soak:
        What the latencies over time come to.
    seconds:
        Spent in each pass.
    """

    run: int
    device: str
    rows: int
    inventory: Inventory
    relabelled: int = 0
    calibration: int = 0
    predictions: PredictionResult | None = None
    timings: TimingResult | None = None
    features: FeatureResult | None = None
    energy: EnergyResult | None = None
    penultimate: FeatureResult | None = None
    scores: ScoreResult | None = None
    soak: Sustained | None = None
    compared: dict[str, tuple[int, int]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def unreadable(self) -> dict[str, str]:
        """Reason by name, over all passes."""
        found = dict(self.inventory.unreadable)
        for result in (self.predictions, self.features, self.penultimate):
            found.update(result.unreadable if result else ())
        return found

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "run": self.run,
            "device": self.device,
            "rows": self.rows,
            "samples": len(self.inventory.entries),
            "duplicates": [asdict(duplicate) for duplicate in self.inventory.duplicates],
            "unreadable": [{"name": name, "reason": reason} for name, reason in self.unreadable.items()],
            "relabelled": self.relabelled,
            "calibration": self.calibration,
            "predictions": self.predictions
            and {
                "new": self.predictions.predictions,
                "kept": self.predictions.kept,
                "failed": self.predictions.failed,
                "repeated": self.predictions.repeated,
            },
            "timings": self.timings and asdict(self.timings),
            **({"compared": self.compared} if self.compared else {}),
            "features": self.features and {"new": self.features.vectors, "kept": self.features.kept},
            "energy": self.energy and asdict(self.energy),
            "penultimate": self.penultimate and {"new": self.penultimate.vectors, "kept": self.penultimate.kept},
            **({} if self.scores is None else {"scores": asdict(self.scores)}),
            **({} if self.soak is None else {"soak": self.soak.to_json()}),
            "seconds": {name: round(seconds, 3) for name, seconds in self.seconds.items()},
        }
