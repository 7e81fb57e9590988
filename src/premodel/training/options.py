"""What the user decides about training, and what training gives back."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field

from premodel.errors import OptionError
from premodel.records import MAX_SEED, Criterion
from premodel.training.class_floor import ClassFloor
from premodel.training.feature_selection import SUBSAMPLE
from premodel.training.greedy_removal import TARGET
from premodel.training.labels import LABEL_SCHEMES, LabelScheme
from premodel.training.model_selection import THETA
from premodel.training.objective import Objective

GUARANTEE_FORM = "loss<=1pt@95%"
_GUARANTEE = re.compile(r"loss\s*<=\s*(\d+(?:\.\d+)?)\s*pt\s*@\s*(\d+(?:\.\d+)?)\s*%")
DEFAULT_POLICY = "auto"
"""Trained where the user names none."""
ABSTAIN = "abstain"
"""As a fallback: no answer at all. No candidate can have this name here."""


@dataclass(frozen=True)
class Guarantee:
    """What `--guarantee` asks for: a loss of accuracy kept with some confidence.

    Attributes
    ----------
    epsilon:
        Most loss against the best single candidate, a share above 0 and below 1.
    delta:
        Chance that the promise is broken, above 0 and below 0.5.
    text:
        As the user wrote it.
    """

    epsilon: float
    delta: float
    text: str

    @classmethod
    def parse(cls, text: str) -> Guarantee:
        """Read the form `loss<=1pt@95%`.

        Raises
        ------
        OptionError
            It is of another form, or promises nothing or the impossible.

        Examples
        --------
        >>> promise = Guarantee.parse("loss<=1pt@95%")
        >>> promise.epsilon, promise.delta
        (0.01, 0.05)
        """
        match = _GUARANTEE.fullmatch(text.strip())
        if match is None:
            raise OptionError("guarantee is of no known form", given=text, allowed=f"the form {GUARANTEE_FORM}")
        points, confidence = float(match[1]), float(match[2])
        if not 0 < points < 100:
            raise OptionError("guarantee of no such loss", given=text, allowed="more than 0 and less than 100 points")
        if not 50 < confidence < 100:
            raise OptionError("guarantee of no such confidence", given=text, allowed="above 50 and below 100 %")
        return cls(points / 100, round(1 - confidence / 100, 12), text.strip())


@dataclass(frozen=True)
class TrainOptions:
    """Choices of training; None leaves a choice to the policy.

    Attributes
    ----------
    policy:
        Name of the policy to train.
    criterion:
        What "right" means.
    objective:
        What is optimised; each policy states in its docstring what it makes of it.
    theta:
        Least gain of Algorithm 1, in points.
    technique:
        Of the selector: a name, or names joined by dots for the levels of a chain.
    labels:
        What the selector is taught: "optimum" or "right".
    fallback:
        Candidate that answers when no candidate is predicted right, or "abstain".
    features:
        Most features to keep.
    seed:
        Of everything random; equal tables, options and seed give an equal policy.
    guarantee:
        A loss of accuracy to be kept with some confidence; None for no promise.
    feature_samples:
        Most samples that features are scored on in their selection; `auto` takes fewer while it compares.
    class_floors:
        Least recall or precision of single classes, to be shown on samples kept apart.
    """

    policy: str = DEFAULT_POLICY
    criterion: Criterion = "top1"
    objective: Objective = field(default_factory=Objective)
    theta: float = THETA
    technique: str | None = None
    labels: LabelScheme | None = None
    fallback: str | None = None
    features: int = TARGET
    seed: int = 0
    guarantee: Guarantee | None = None
    feature_samples: int = SUBSAMPLE
    class_floors: tuple[ClassFloor, ...] = ()

    def __post_init__(self) -> None:
        if self.labels is not None and self.labels not in LABEL_SCHEMES:
            raise OptionError("unknown label scheme", given=self.labels, allowed=", ".join(LABEL_SCHEMES))
        if not 0 <= self.seed <= MAX_SEED:
            raise OptionError("wrong seed", given=self.seed, allowed=f"whole numbers from 0 to {MAX_SEED}")
        if self.class_floors and self.objective.deadline_ms is not None:
            raise OptionError(
                "deadline-ms and floors on classes exclude each other", given=f"{self.objective.deadline_ms:g} ms",
                do="leave one of them out: both choose the operating point",
            )  # fmt: skip
        if self.features < 1:
            raise OptionError("wrong number of features to keep", given=self.features, allowed="1 or more")

    def with_features(self, count: int) -> TrainOptions:
        """The same choices with another number of features."""
        return dataclasses.replace(self, features=count)

    def refuse(self, **reasons: str) -> None:
        """Raise OptionError for each option named that is set, although the policy has no use for it."""
        for name, reason in reasons.items():
            value = getattr(self.objective if name in ("cost_weight", "max_latency_ms") else self, name)
            if value is not None:
                raise OptionError(f"policy {self.policy} has no {name.replace('_', '-')}", given=value, do=reason)
