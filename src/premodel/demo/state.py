"""A demo under way: what was asked for, and what each step has made so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from premodel.demo.folder import BENCH, BUNDLE, REPORT, SCENES, STORE, TEXT_BUNDLE, TEXTS, Folder
from premodel.errors import OptionError
from premodel.evaluation.bench import Bench
from premodel.evaluation.evaluate import Evaluation
from premodel.evaluation.final_test_record import FinalTest
from premodel.evaluation.rows import Row, describe
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.profile import ProfileReport
from premodel.profiling.progress import Progress
from premodel.training.record import Trained
from premodel.training.tables import Tables
from premodel.zoo.manifest import Zoo

DEFAULT_OUT = "premodel-demo"
DEFAULT_IMAGES = 1_000
MIN_IMAGES = 50
DOMAINS = ("image", "text")
FOLDS = 10
TIMING_SECONDS = 20.0
BENCH_SECONDS = 6.0
FEATURE_SAMPLES = 500
"""Most scenes that features are scored on, as where `auto` compares policies: the time grows with their square."""
T = TypeVar("T")


@dataclass(frozen=True)
class DemoOptions:
    """What is asked for.

    Attributes
    ----------
    out:
        Folder for everything the demo makes.
    domain:
        What inputs are: "image" or "text".
    images:
        Scenes, or texts, to profile.
    seed:
        Of the scenes and of everything random.
    bench_images:
        Further scenes, not in the profile, for the real runs; None for BENCH_IMAGES, fewer if there are few scenes.
    zoo:
        Manifest of the networks; None for the embedded ones.
    policies:
        Names of those to compare; None for the paper's and the best there is.
    folds:
        Of the cross-validation.
    workers:
        For predictions, features and cross-validation; more than one needs a main module that can be imported.
    timing_seconds, bench_seconds:
        Caps on measuring.
    """

    out: Path = Path(DEFAULT_OUT)
    images: int = DEFAULT_IMAGES
    seed: int = 0
    bench_images: int | None = None
    zoo: Path | None = None
    policies: tuple[str, ...] | None = None
    folds: int = FOLDS
    workers: int = 1
    timing_seconds: float = TIMING_SECONDS
    bench_seconds: float = BENCH_SECONDS
    domain: str = DOMAINS[0]

    def __post_init__(self) -> None:
        if self.images < MIN_IMAGES:
            raise OptionError("too few images", given=self.images, allowed=f"{MIN_IMAGES} or more")
        if self.domain not in DOMAINS:
            raise OptionError("domain must be one of the demo's", given=self.domain, allowed=", ".join(DOMAINS))
        if self.seed < 0:
            raise OptionError("wrong seed", given=self.seed, allowed="0 or more")


@dataclass(eq=False)
class Demo:
    """A demo under way; each step adds what it made, and states what the next ones need.

    Attributes
    ----------
    options, folder, progress:
        What was asked for, where it goes, who is notified.
    policies:
        Names of those that are compared.
    seconds:
        Spent in each step.
    doctor:
        What was said before training, line by line.
    training_summaries, trained, tested:
        How each policy came about, the policy, and what the final test said of it where training had one.
    files, difficulty:
        File of each sample, and difficulty of each scene by the name of its file.
    made_*:
        None until their step has made them; read through the property of the rest of the name.
    """

    options: DemoOptions
    folder: Folder
    progress: Progress
    zoo: Zoo
    policies: tuple[str, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    doctor: tuple[str, ...] = ()
    training_summaries: dict[str, tuple[str, ...]] = field(default_factory=dict)
    trained: dict[str, Trained] = field(default_factory=dict)
    tested: dict[str, FinalTest | None] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    difficulty: dict[str, float] = field(default_factory=dict)
    made_dataset: Dataset | None = None
    made_bench_dataset: Dataset | None = None
    made_profile: ProfileReport | None = None
    made_tables: Tables | None = None
    made_evaluation: Evaluation | None = None
    made_chosen: Row | None = None
    bench: Bench | None = None

    @property
    def of_texts(self) -> bool:
        """Are inputs texts."""
        return self.options.domain == "text"

    @property
    def noun(self) -> str:
        """What its inputs are called."""
        return "texts" if self.of_texts else "scenes"

    @property
    def data(self) -> str:
        """Name of the folder of what is profiled."""
        return TEXTS if self.of_texts else SCENES

    @property
    def bundle(self) -> str:
        """Name of the bundle."""
        return TEXT_BUNDLE if self.of_texts else BUNDLE

    @property
    def dataset(self) -> Dataset:
        """The scenes that are profiled."""
        return _made(self.made_dataset)

    @property
    def bench_dataset(self) -> Dataset:
        """The scenes of the real runs."""
        return _made(self.made_bench_dataset)

    @property
    def profile(self) -> ProfileReport:
        """What profiling did."""
        return _made(self.made_profile)

    @property
    def tables(self) -> Tables:
        """The profile of this demo's scenes."""
        return _made(self.made_tables)

    @property
    def evaluation(self) -> Evaluation:
        """The cross-validated comparison."""
        return _made(self.made_evaluation)

    @property
    def chosen(self) -> Row:
        """The premodel that was bundled."""
        return _made(self.made_chosen)

    @property
    def verdict(self) -> str:
        """What it comes to, by cross-validation."""
        return describe(self.chosen, self.evaluation.rows)

    def to_json(self) -> dict[str, Any]:
        """The object that `demo --json` prints."""
        comparison = self.chosen.comparison
        return {
            "out": str(self.folder.path),
            "images": len(self.tables),
            "seed": self.options.seed,
            "headline": self.verdict,
            "verdict": self.verdict,
            "comparison": None if comparison is None else comparison.to_json(),
            "outcome": None if comparison is None else comparison.outcome,
            "premodel": self.chosen.name,
            "rows": [row.to_json() for row in self.evaluation.rows],
            "bench": None if self.bench is None else self.bench.to_json(),
            "profile": self.profile.to_json(),
            "files": {name: str(self.folder / name) for name in (self.bundle, REPORT, STORE, self.data, BENCH)},
            "seconds": {name: round(seconds, 3) for name, seconds in self.seconds.items()},
        }


def _made(value: T | None) -> T:
    if value is None:
        raise RuntimeError("a step of the demo came before the one it needs")
    return value
