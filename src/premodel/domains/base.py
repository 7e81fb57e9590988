"""The contract of a domain: what an input is, how it is read, and how it becomes the tensor of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from premodel.backends.base import Tensor, TensorSpec
from premodel.errors import OptionError, SampleError
from premodel.fields import Fields
from premodel.files import read_regular
from premodel.records import Criterion, Prediction, split_criterion

IMAGE_TASK = "image-classification"
"""The task of a candidate that states none."""
TEXT_TASK = "text-classification"
TRANSLATION_TASK = "translation"
MEASURED_TASK = "measured-elsewhere"
"""The task of answers that a table brought (`premodel store import`)."""

MAX_FILE_BYTES = 1 << 30
"""Of one input."""
MAX_PIXELS = 200_000_000
"""Of an image, whatever a server's own limit is: phones make 108 and 200 megapixels."""


@dataclass(frozen=True)
class FeatureGroup:
    """Features that are computed, stored and versioned together.

    Attributes
    ----------
    key:
        NAME:VERSION, at most 64 characters: a store computes anew the group whose version was raised.
    names:
        Of its features, in order.
    needs:
        Cost items of each feature by name; what several features need is paid once.
    """

    key: str
    names: tuple[str, ...]
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)


class FeatureExtractor(Protocol):
    """Computes the chosen features of one decoded input; may be shared between threads."""

    def extract(self, sample: Any) -> NDArray[np.float32]:
        """float32 (F,), always finite, in the order in which the features were named."""
        ...

    def cost_items(self) -> tuple[str, ...]:
        """Names of the cost items."""
        ...

    def time_cost_items(self, sample: Any) -> dict[str, float]:
        """Milliseconds of each cost item on one input."""
        ...


class Domain(ABC):
    """What an input is. One object for each task; it keeps nothing of the inputs it has seen.

    A decoded input, a spec (the `input` table of a manifest entry) and a view are the domain's own types: whoever is
    not the domain hands them on and reads nothing in them, but that a spec is a frozen dataclass with `shape` and
    `dtype`, and a view a frozen dataclass with `name`.

    Attributes
    ----------
    task:
        What a zoo's manifest states to choose this domain.
    version:
        Raised whenever `decode` or `prepare` may give another tensor than before; it must be part of `answer_key`.
    noun, plural:
        What messages call an input, one and several.
    suffixes:
        Suffixes of its files, lower case with the dot: what a folder is searched for.
    inline:
        Usual names of the column of a table that holds the inputs themselves, as texts; none where tables hold names of
        files. Inputs of such a domain are also read from files of one input a line.
    truth_columns:
        Usual names of the column of a table that holds the truths; none for those of labels.
    takes_pixels:
        Does it decode uint8 RGB arrays (height, width, 3) beside encoded inputs.
    answers_labels:
        Is an answer one of a zoo's labels, with probabilities of all; else it is a text that `outcome` makes, a zoo has
        no labels, and a sample's truth is a text.
    graded:
        Names of the criteria, at most 64 characters each, by which `score` states how good an answer is. A name stands
        for one definition: another definition has another name.
    latency_varies:
        Does the time of a candidate depend on the input: then tables have a latency for each sample.
    lengths:
        Names of features that state how long an input is, in measures that `length` gives at once: where a latency
        depends on the input, it is learned as a function of one of them.
    """

    task: ClassVar[str]
    version: ClassVar[int] = 1
    noun: ClassVar[str] = "input"
    plural: ClassVar[str] = "inputs"
    suffixes: ClassVar[frozenset[str]] = frozenset()
    inline: ClassVar[tuple[str, ...]] = ()
    truth_columns: ClassVar[tuple[str, ...]] = ()
    takes_pixels: ClassVar[bool] = False
    answers_labels: ClassVar[bool] = True
    graded: ClassVar[tuple[str, ...]] = ()
    latency_varies: ClassVar[bool] = False
    lengths: ClassVar[tuple[str, ...]] = ()

    def read_file(self, path: Path) -> bytes:
        """The bytes of an input's file; SampleError naming it if it cannot be read."""
        try:
            return read_regular(path, MAX_FILE_BYTES)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SampleError(f"{self.noun} cannot be read ({reason})", where=path) from error

    @abstractmethod
    def decode(self, source: Any) -> Any:
        """Decode an input from a path (str or Path), bytes, or what else it accepts; SampleError if it cannot be."""

    def detail(self, specs: Iterable[Any]) -> int:
        """How much of an input models with these specs need, in the domain's own measure; 0 for all of it.

        What is kept of an input under this number must not depend on anything but the number and the input.
        """
        del specs
        return 0

    def at(self, detail: int) -> Domain:
        """The domain as it decodes where so much detail is enough: its keys differ where its answers may."""
        del detail
        return self

    @abstractmethod
    def size(self, sample: Any) -> Mapping[str, int]:
        """How large a decoded input is, such as its width and height."""

    def length(self, sample: Any, measure: str) -> float:
        """How long a decoded input is, in a measure of `lengths`: the feature of that name."""
        raise NotImplementedError

    def check_encoded(self, data: bytes, max_size: int, where: str) -> None:
        """Refuse an encoded input that a server may not decode, as its header states; SampleError if it is too large.

        Parameters
        ----------
        max_size:
            In the domain's own measure, such as pixels.
        """
        del data, max_size, where

    def encode(self, source: Any) -> bytes:
        """Bytes that `decode` to the same as a decoded input that it accepts; SampleError if there are none."""
        raise SampleError(f"{self.noun} cannot be encoded", given=type(source).__name__, allowed="encoded bytes")

    def preview(self, data: bytes) -> str | None:
        """A small copy of an encoded input as a data URI, for reports; None if there is none to show."""
        del data
        return None

    def shared(self, sample: Any) -> Any:
        """What candidates share while they prepare this very input; None for nothing."""
        del sample

    def plain(self, sample: Any) -> Any:
        """A decoded input as a Python callable is given it; not to be written to."""
        return sample

    @abstractmethod
    def prepare(
        self, sample: Any, spec: Any, view: Any, shared: Any = None, quantisation: TensorSpec | None = None
    ) -> Tensor:
        """Make a model's input tensor, of the shape and type of the spec; not to be written to.

        Parameters
        ----------
        sample:
            The decoded input.
        spec, view:
            Of the candidate; the spec is that of `view_spec`.
        shared:
            What `shared` gave for this very input, or None.
        quantisation:
            Input of the model file.
        """

    def preparer(self, spec: Any, view: Any, quantisation: TensorSpec | None = None) -> Callable[[Any, Any], Tensor]:
        """`prepare` for one opened candidate, (sample, shared) -> tensor: what no input changes can be done once."""
        prepare = self.prepare

        def prepared(sample: Any, shared: Any = None) -> Tensor:
            return prepare(sample, spec, view, shared, quantisation)

        return prepared

    @abstractmethod
    def read_spec(self, fields: Fields) -> Any:
        """Read the `input` table of a manifest entry; the error class of `fields` if a field is wrong."""

    def spec_files(self, spec: Any) -> tuple[str, ...]:
        """Names of the files beside a model's own that its input is made with, such as a tokenizer."""
        del spec
        return ()

    def opened_spec(self, spec: Any, file: Path) -> Any:
        """The spec as `prepare` is given it, with what it needs read from the files beside the model's own.

        Raises
        ------
        ModelError
            One of them cannot be read.
        MissingExtraError
            What reads it is not installed.
        """
        del file
        return spec

    @abstractmethod
    def plain_view(self, name: str = "") -> Any:
        """The view that changes nothing."""

    @abstractmethod
    def read_view(self, fields: Fields, name: str) -> Any:
        """Read an item of `views`; the error class of `fields` if a field is wrong."""

    def normal_view(self, view: Any, spec: Any) -> Any:
        """The view without what the spec states anyway."""
        del spec
        return view

    def view_spec(self, spec: Any, view: Any) -> Any:
        """The spec of a candidate: the model's with what the view changes."""
        del view
        return spec

    def input_key(self, spec: Any) -> Mapping[str, Any]:
        """What of a spec decides the answer, in plain types."""
        return asdict(spec)

    @abstractmethod
    def answer_key(self, view: Any) -> Mapping[str, Any]:
        """What of the view and of the domain decides an answer, JSON: its version, and the view where it matters."""

    def network_key(self, view: Any) -> Mapping[str, Any]:
        """What of the view needs an opened network of its own, JSON; empty for nothing."""
        del view
        return {}

    def describe(self, spec: Any) -> str:
        """The tensor in words, for messages."""
        return str(spec.shape)

    def summary(self, spec: Any) -> str:
        """The input in short, for a table."""
        return f"{spec.dtype} {'x'.join(str(side) for side in spec.shape)}"

    def quantises(self, spec: Any) -> bool:
        """Must the model file state the scale of its integer input, since values are quantised by it."""
        del spec
        return False

    def outcome(self, raw: Tensor, output: TensorSpec, spec: Any) -> Prediction:
        """The answer in a model's raw output, where it is no label; RunError if there is none.

        Returns
        -------
        Label 0, the probability of the outcome (1 where the model gives none), minus its logarithm as the entropy, and
        the outcome as a text.
        """
        raise NotImplementedError

    def check_outcome(self, outcome: str) -> None:
        """Refuse a text that a callable answered and that is no answer in this domain: RunError."""
        del outcome

    def score(self, prediction: Prediction, truth: int | str, criterion: str) -> float:
        """How good an answer is by a criterion of `graded`, in [0, 1]; the truth is a label, or a text."""
        raise NotImplementedError

    def grades(self, criterion: Criterion) -> bool:
        """Is it a criterion of `graded`, with a threshold or without."""
        return split_criterion(criterion)[0] in self.graded

    def judge(self, prediction: Prediction, truth: int | str, criterion: Criterion) -> float:
        """`score`, or where the criterion has a threshold 1 for what reaches it, else 0."""
        name, threshold = split_criterion(criterion)
        score = self.score(prediction, truth, name)
        return score if threshold is None else float(score >= threshold)

    def corpus_scores(self, pairs: Sequence[tuple[str, str]]) -> Mapping[str, float]:
        """Figures of all (outcome, truth) together that are no means of `score`; none if the domain has none."""
        del pairs
        return {}

    @property
    def feature_groups(self) -> tuple[FeatureGroup, ...]:
        """All features by group, in the order of a full vector; none if the domain has none."""
        return ()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of all features, in the order of a full vector."""
        return tuple(name for group in self.feature_groups for name in group.names)

    @property
    def features_version(self) -> str:
        """Of all features together: a bundle of another version is refused."""
        return "0"

    def with_embedding(self) -> Domain:
        """The domain with an embedding of its inputs among the features.

        Raises
        ------
        OptionError
            It has none.
        MissingExtraError
            What computes it is not installed.
        """
        raise OptionError(f"{self.task} has no embedding", allowed="texts", do="leave --embedding out")

    def with_features(self, version: str) -> Domain:
        """The domain as its `features_version` was there, as far as the features are chosen; itself if they are not."""
        del version
        return self

    def extractor(self, names: Sequence[str] | None = None) -> FeatureExtractor:
        """What computes the features named, None for all.

        Raises
        ------
        OptionError
            One is unknown, or there are none.
        MissingExtraError, ModelError
            What one of them is computed with is not installed, or is not what the features' version states.
        """
        given = ", ".join(names) if names else None
        raise OptionError(f"{self.task} has no features", given=given, do="use a policy that reads none")

    @abstractmethod
    def synthetic(self, seed: int = 0) -> Any:
        """A made-up input that `decode` accepts, to warm a model with."""

    def set_threads(self, threads: int) -> None:
        """Set the threads of the domain's own code, for the whole process."""
        del threads

    def threads(self) -> int:
        """Threads of the domain's own code, to be set again."""
        return 1
