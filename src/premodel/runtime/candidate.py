"""Opened candidates: input -> prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from premodel.backends.base import Backend, Tensor, TensorSpec, fixed_batch, shown_shape
from premodel.backends.registry import backend_class
from premodel.domains.base import Domain
from premodel.errors import ModelError, RunError, ZooError
from premodel.records import Prediction
from premodel.runtime.prediction import BINARY_LABELS, Distribution, to_distribution, to_outcome, to_prediction
from premodel.zoo.call import Call
from premodel.zoo.candidate import Candidate, Model
from premodel.zoo.trust import require_trust
from premodel.zoo.verify import verify


@dataclass(frozen=True, eq=False)
class Network:
    """One opened model file that agrees with its manifest entry.

    Attributes
    ----------
    model:
        The manifest entry.
    backend:
        The opened file.
    n_labels:
        Labels of the zoo.
    """

    model: Model
    backend: Backend
    n_labels: int

    def close(self) -> None:
        """Give back the memory; closing twice is allowed."""
        self.backend.close()


def open_network(candidate: Candidate, *, verified: bool = False) -> Network:
    """Verify and open a candidate's model file and check what it states against the manifest.

    Parameters
    ----------
    verified:
        The digests of its files were compared before, and the files were not written to since.

    Raises
    ------
    ModelError
        The file is missing, damaged or has the wrong digest, or does not take the size of the view.
    ZooError
        File and manifest contradict each other; the message names both.
    MissingExtraError
        The runtime is not installed.
    OptionError
        The runtime has no such provider or setting, or the candidate is Python code that is not trusted.
    RemoteError
        The model is on a server that cannot be reached.
    RunError
        There is not enough memory for it.
    """
    model = candidate.model
    require_trust([candidate], None)
    if not verified:
        verify(model)
    try:
        backend = open_backend(candidate)
    except MemoryError as error:
        raise RunError(
            f"not enough memory to open {model.name}", where=model.file,
            do="free some, or leave this model out of the manifest",
        ) from error  # fmt: skip
    try:
        check_against_manifest(candidate, backend.input, backend.output)
    except ZooError:
        backend.close()
        raise
    return Network(model, backend, candidate.n_labels)


def open_backend(candidate: Candidate) -> Backend:
    """The candidate's file under its runtime, unverified; for a remote one what its entry states of the server.

    Raises
    ------
    ModelError, MissingExtraError, OptionError, RemoteError
        As `Backend.open`; ModelError also if the file does not take the size of the view.
    """
    model, settings = candidate.model, candidate.model.settings
    if model.is_remote:
        settings = {**settings, "url": model.url, "name": model.name, "sha256": model.digest}
    if model.call is not None:
        require_trust([candidate], None)
        settings = _call_settings(candidate, model.call)
    backend = backend_class(model.runtime).open(
        model.file, threads=model.threads, providers=model.providers, settings=settings
    )
    if candidate.domain.network_key(candidate.view):
        try:
            backend.resize(candidate.input.shape)
        except RunError as error:
            backend.close()
            raise ModelError(
                f"{model.name} cannot be run at the size of its view {candidate.view.name} ({error})", where=model.file,
                given="{}x{} pixels".format(*candidate.view.size),
                do="leave the view out, try another size, or export the model with free height and width",
            ) from error  # fmt: skip
    return backend


def _call_settings(candidate: Candidate, call: Call) -> dict[str, Any]:
    """What the backend of Python callables is given."""
    model, spec = candidate.model, candidate.input
    settings = {
        "callable": call.target,
        "arguments": model.settings,
        "factory": call.factory,
        "batch": call.batch,
        "label_map": call.label_map,
        "labels": call.labels,
        "packages": call.packages,
        "activation": model.activation,
        "name": model.name,
    }
    return settings if model.takes_whole else {**settings, "input": {"shape": spec.shape, "dtype": spec.dtype}}


def check_against_manifest(candidate: Candidate, input_spec: TensorSpec, output_spec: TensorSpec) -> None:
    """Raise ZooError where the model file contradicts its manifest entry."""
    model, n_labels = candidate.model, candidate.n_labels

    def contradiction(field: str, manifest: object, file: object) -> ZooError:
        return ZooError(
            f"{field} of {model.name} contradicts the model file",
            where=model.file,
            given=f"manifest states {manifest}",
            allowed=f"file states {file}",
        )

    if model.takes_whole:
        return
    expected = candidate.input.shape
    if not input_spec.takes(expected):
        wrong = fixed_batch(input_spec)
        if wrong is not None and replace(input_spec, shape=(1, *input_spec.shape[1:])).takes(expected):
            raise ZooError(f"{model.name} takes no input alone", where=model.file, do=wrong)
        states = candidate.domain.describe(candidate.input)
        raise contradiction("input size, layout or channels", states, shown_shape(input_spec.shape))
    if model.input.dtype != input_spec.dtype:
        raise contradiction("input dtype", model.input.dtype, input_spec.dtype)
    if candidate.domain.quantises(model.input) and not input_spec.scale:
        raise contradiction(
            "input mean and std", "to quantise them", "no quantisation; without them, pixels are fed as is"
        )
    if candidate.domain.answers_labels and None not in output_spec.shape:
        outputs = 1
        for side in output_spec.shape:
            outputs *= side or 1
        wanted = n_labels + model.label_offset + model.dropped_last
        # One output answers for two labels: the probability of the second.
        if outputs != wanted and not (outputs == 1 and wanted == n_labels == BINARY_LABELS):
            states = f"{n_labels} labels + label_offset {model.label_offset}"
            states += f" + dropped_last {model.dropped_last}" if model.dropped_last else ""
            raise contradiction("number of outputs", states, f"{outputs} outputs {shown_shape(output_spec.shape)}")


def _plainly(domain: Domain) -> Callable[[Any, Any], Tensor]:
    """The input itself, for a callable that takes it."""

    def plainly(sample: Any, shared: Any = None) -> Tensor:
        del shared
        plain: Tensor = domain.plain(sample)
        return plain

    return plainly


class OpenedCandidate:
    """A candidate ready to predict; views of one model share its opened network."""

    def __init__(self, candidate: Candidate, network: Network) -> None:
        self.candidate = candidate
        self.network = network
        domain, model = candidate.domain, candidate.model
        spec = domain.opened_spec(candidate.input, model.file)
        self._prepare = (
            _plainly(domain) if model.takes_whole else domain.preparer(spec, candidate.view, network.backend.input)
        )
        self._answers_labels = domain.answers_labels
        self._reading = (
            network.backend.output, model.activation, model.label_offset, candidate.n_labels, model.dropped_last
        )  # fmt: skip

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.candidate.name

    def prepare(self, sample: Any, shared: Any = None) -> Tensor:
        """The tensor of a decoded input, or the input itself for a callable that takes it; not to be written to.

        `shared` is what the domain gave for this input.
        """
        return self._prepare(sample, shared)

    def distribution(self, tensor: Tensor) -> Distribution:
        """float32 (labels,): run the network and give the probability of every label.

        Raises
        ------
        RunError
            The runtime failed, or the output is NaN, constant or no probability.
        """
        return self.read(self.network.backend.predict(tensor))

    def read(self, raw: Tensor) -> Distribution:
        """float32 (labels,): what the network's raw output states; raises RunError as `distribution` does."""
        return to_distribution(raw, *self._reading)

    def run(self, tensor: Tensor) -> Prediction:
        """Run the network on a prepared tensor; raises RunError as `distribution` does."""
        return self.answer(self.network.backend.predict(tensor))

    def answer(self, raw: Tensor) -> Prediction:
        """What the network's raw output states; raises RunError as `distribution` does."""
        if self._answers_labels:
            return to_prediction(self.read(raw))
        if raw.dtype == object:  # what a callable answers
            self.candidate.domain.check_outcome(raw[0])
            return to_outcome(*raw)
        return self.candidate.domain.outcome(raw, self.network.backend.output, self.candidate.input)

    def predict(self, sample: Any, shared: Any = None) -> Prediction:
        """Prepare and run."""
        return self.run(self.prepare(sample, shared))

    def close(self) -> None:
        """Close the network, for all candidates that share it."""
        self.network.close()


class NetworkPool:
    """Opens each network once and hands it to every candidate that can share it."""

    def __init__(self) -> None:
        self._networks: dict[str, Network] = {}

    def open(self, candidate: Candidate, *, verified: bool = False) -> OpenedCandidate:
        """Open a candidate; `verified` and what it raises are those of `open_network`."""
        key = f"{candidate.network_key}/{candidate.n_labels}"
        network = self._networks.get(key)
        if network is None:
            network = open_network(candidate, verified=verified)
            self._networks[key] = network
        elif candidate.model != network.model:  # another entry of the same file
            verify(candidate.model)
            check_against_manifest(candidate, network.backend.input, network.backend.output)
        return OpenedCandidate(candidate, network)

    def adopt(self, candidate: Candidate, network: Network) -> OpenedCandidate:
        """Take in a network that was opened elsewhere for this candidate, of which none is open here."""
        self._networks[f"{candidate.network_key}/{candidate.n_labels}"] = network
        return OpenedCandidate(candidate, network)

    def drop(self, network: Network) -> None:
        """Close one network; a candidate of it that is opened afterwards opens it anew."""
        self._networks = {key: one for key, one in self._networks.items() if one is not network}
        network.close()

    def close(self) -> None:
        """Close every network."""
        while self._networks:
            self._networks.popitem()[1].close()


def open_candidates(candidates: Iterable[Candidate], threads: int | None = None) -> list[OpenedCandidate]:
    """Open candidates in order, each network once.

    Parameters
    ----------
    candidates:
        What to open.
    threads:
        Threads of every runtime; None for what each manifest entry states.

    Raises
    ------
    ModelError, ZooError, MissingExtraError, OptionError
        As `open_network`; what was opened before is closed.
    """
    pool = NetworkPool()
    opened = []
    try:
        for candidate in candidates:
            opened.append(pool.open(candidate if threads is None else candidate.with_threads(threads)))
    except BaseException:
        pool.close()
        raise
    return opened
