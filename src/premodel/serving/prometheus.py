"""What a server counts, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from premodel.runtime.answer import Answer
from premodel.runtime.engine import Premodel
from premodel.serving.deadline import OUTCOMES as DEADLINE_OUTCOMES
from premodel.serving.drift import Drift
from premodel.serving.recorder import OUTCOMES as RECORD_OUTCOMES
from premodel.serving.refusals import BAD_KINDS
from premodel.serving.served import Served
from premodel.serving.shadow import OUTCOMES
from premodel.serving.signature import STAGES

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
REASONS = ("overload", "timeout", "input")
RELOADS = ("done", "failed")


class _ServedCollector(Collector):
    """State of the premodel that is served now, read when it is asked for."""

    def __init__(self, served: Callable[[], Served]) -> None:
        self._served = served

    def collect(self) -> Iterable[Metric]:
        served = self._served()
        yield from _models(served.premodel)
        if served.drift is not None:
            yield from _drift(served.drift)


def _models(premodel: Premodel) -> Iterable[Metric]:
    unavailable, losses = premodel.unavailable, premodel.losses
    there = GaugeMetricFamily(
        "premodel_candidate_available", "1 if a candidate can be run, else 0", labels=["candidate"]
    )
    lost = CounterMetricFamily(
        "premodel_model_losses", "Times that a model could not be opened, or its file changed", labels=["candidate"]
    )
    for name in premodel.candidates:
        there.add_metric([name], float(name not in unavailable))
        lost.add_metric([name], losses[name])
    yield there
    yield lost


def _drift(drift: Drift) -> Iterable[Metric]:
    index = GaugeMetricFamily(
        "premodel_drift_psi", "Population stability index of the newest answers against training", labels=["of"]
    )
    for name, value in drift.values().items():
        index.add_metric([name], value)
    yield index
    yield GaugeMetricFamily("premodel_drift_answers", "Answers in the window of the drift", drift.answers)


class Metrics:
    """Counters of one server, in a registry of its own.

    Parameters
    ----------
    candidates:
        Names that may answer; each starts at 0, so that a rate can be taken from the first answer on.
    """

    def __init__(self, candidates: Sequence[str]) -> None:
        self._registry = CollectorRegistry()
        self._stages = Histogram(
            "premodel_stage_seconds", "Time per answer and stage", ["stage"], buckets=BUCKETS_S, registry=self._registry
        )
        self._requests = Histogram(
            "premodel_request_seconds", "Time of an infer request, from arrival to response, by status code", ["code"],
            buckets=BUCKETS_S, registry=self._registry,
        )  # fmt: skip
        self._answers = Counter(
            "premodel_answers", "Answers by the candidate that was served", ["candidate"], registry=self._registry
        )
        self._runs = Counter("premodel_runs", "Runs of each candidate", ["candidate"], registry=self._registry)
        self._failures = Counter(
            "premodel_candidate_failures", "Runs that failed; the next best candidate answered", ["candidate"],
            registry=self._registry,
        )  # fmt: skip
        self._abstentions = Counter("premodel_abstentions", "Inputs left without an answer", registry=self._registry)
        self._unanswered = Counter(
            "premodel_unanswered", "Inputs on which every candidate failed", registry=self._registry
        )
        self._rejected = Counter("premodel_rejected", "Refused requests", ["reason"], registry=self._registry)
        bad = Counter(
            "premodel_bad_requests", "Requests refused for their HTTP, by what was wrong", ["kind"],
            registry=self._registry,
        )  # fmt: skip
        self._bad = {kind: bad.labels(kind) for kind in BAD_KINDS}
        shadow = Counter(
            "premodel_shadow", "Images drawn for the shadow check, by outcome", ["outcome"], registry=self._registry
        )
        records = Counter(
            "premodel_records", "Inputs drawn to be recorded, by outcome", ["outcome"], registry=self._registry
        )
        self._records = {outcome: records.labels(outcome) for outcome in RECORD_OUTCOMES}
        deadlines = Counter(
            "premodel_deadline", "Requests under a deadline, by outcome", ["outcome"], registry=self._registry
        )
        self._deadlines = {outcome: deadlines.labels(outcome) for outcome in DEADLINE_OUTCOMES}
        self._hurried = Counter(
            "premodel_hurried", "Inputs answered at a higher cost weight than trained, as others waited behind them",
            registry=self._registry,
        )  # fmt: skip
        self._price = Gauge(
            "premodel_queue_cost_weight", "What a millisecond costs those who wait, in accuracy, when last asked",
            registry=self._registry,
        )  # fmt: skip
        self._by_stage = {stage: self._stages.labels(stage) for stage in STAGES}
        for reason in REASONS:
            self._rejected.labels(reason)
        self.start_at_0(candidates)
        reloads = Counter(
            "premodel_reloads", "Attempts to load the premodel again, by outcome", ["outcome"], registry=self._registry
        )
        self._reloads = {outcome: reloads.labels(outcome) for outcome in RELOADS}
        self._loaded = Gauge(
            "premodel_loaded_timestamp_seconds", "When the premodel that answers was loaded", registry=self._registry
        )
        self._loaded.set_to_current_time()
        self._shadow = {outcome: shadow.labels(outcome) for outcome in OUTCOMES}

    def watch(self, waiting: Callable[[], int], running: Callable[[], int]) -> None:
        """Read the queue whenever the metrics are asked for."""
        depth = Gauge("premodel_queue_depth", "Accepted requests that wait for a worker", registry=self._registry)
        depth.set_function(waiting)
        busy = Gauge("premodel_running", "Requests that a worker answers", registry=self._registry)
        busy.set_function(running)

    def watch_records(self, disk_bytes: Callable[[], int]) -> None:
        """Read the size of the record store whenever the metrics are asked for."""
        size = Gauge("premodel_record_store_bytes", "Size of the record store on disk", registry=self._registry)
        size.set_function(disk_bytes)

    def watch_served(self, served: Callable[[], Served]) -> None:
        """Read which candidates can be run, and the drift, whenever the metrics are asked for."""
        self._registry.register(_ServedCollector(served))

    def start_at_0(self, candidates: Sequence[str]) -> None:
        """Show these candidates from now on, so that a rate can be taken from the first answer."""
        for name in candidates:
            for counter in (self._answers, self._runs, self._failures):
                counter.labels(name)

    def reloaded(self, outcome: str) -> None:
        """Count an attempt to load the premodel again; `outcome` is one of RELOADS."""
        self._reloads[outcome].inc()
        if outcome == "done":
            self._loaded.set_to_current_time()

    def answered(self, answer: Answer) -> None:
        """Count one answer or abstention."""
        for stage, histogram in self._by_stage.items():
            histogram.observe(answer.latency_ms[stage] / 1e3)
        for name in answer.ran:
            self._runs.labels(name).inc()
        for name in answer.failed:
            self._failures.labels(name).inc()
        if answer.candidate is None:
            self._abstentions.inc()
        else:
            self._answers.labels(answer.candidate).inc()

    def shadowed(self, outcome: str) -> None:
        """Count an image of the shadow check; `outcome` is one of OUTCOMES."""
        self._shadow[outcome].inc()

    def recorded(self, outcome: str) -> None:
        """Count an input drawn to be recorded; `outcome` is one of the recorder's OUTCOMES."""
        self._records[outcome].inc()

    def met_deadline(self, outcome: str) -> None:
        """Count a request under a deadline; `outcome` is one of deadline.OUTCOMES."""
        self._deadlines[outcome].inc()

    def priced(self, cost_weight: float, *, raised: bool) -> None:
        """Show what time costs those who wait, and count an input for which that raised the cost weight."""
        self._price.set(cost_weight)
        if raised:
            self._hurried.inc()

    def unanswered(self) -> None:
        """Count an input on which every candidate failed."""
        self._unanswered.inc()

    def rejected(self, reason: str) -> None:
        """Count a refused request; `reason` is one of REASONS."""
        self._rejected.labels(reason).inc()

    def bad_request(self, kind: str) -> None:
        """Count a request that was no good HTTP; `kind` is one of BAD_KINDS."""
        self._bad[kind].inc()

    def responded(self, code: int, latency_ms: float) -> None:
        """Count an infer request with its status code."""
        self._requests.labels(str(code)).observe(latency_ms / 1e3)

    def text(self) -> bytes:
        """All of it, as CONTENT_TYPE."""
        return generate_latest(self._registry)
