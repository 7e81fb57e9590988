"""What the doctor found, as records and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from premodel.evaluation.complementarity import BetterView, Dominated, Pair, Points
from premodel.evaluation.memory import MemoryStep, memory_lines
from premodel.evaluation.reachable import PLAIN, Reachable, Reached
from premodel.evaluation.signal import LEVEL, Signal
from premodel.evaluation.stand_ins import StoodIn
from premodel.records import Criterion
from premodel.runtime.conditions import WHEN_IDLE, busy_note, crowded
from premodel.store.runs import SOAK
from premodel.training.record import plain

WIDTH_POINTS = 1.0
"""Width of the interval of the accuracy difference that is aimed at."""
SHOWN_PAIRS = 5


@dataclass(frozen=True)
class CandidateFinding:
    """One candidate.

    Attributes
    ----------
    accuracy, accuracy_ci:
        By the criterion, with the 95 % Wilson interval.
    latency_ms:
        End to end.
    valid, reason:
        Verdict of its timing.
    confidence, features:
        What shows whether it is right; `features` is None where the profile holds none.
    """

    name: str
    accuracy: float
    accuracy_ci: Points
    latency_ms: float
    valid: bool
    reason: str
    confidence: Signal
    features: Signal | None


@dataclass(frozen=True)
class OracleGap:
    """The most that selection could win: the cheapest right candidate for every sample, chosen with the truth in hand.

    Attributes
    ----------
    union, union_ci:
        Share of samples on which some candidate is right.
    gain, gain_ci:
        Union minus accuracy of the best single candidate, in points.
    latency_ms:
        Mean of the oracle, end to end; it runs the cheapest candidate where none is right.
    speedup, speedup_ci:
        Against the best single candidate.
    """

    union: float
    union_ci: Points
    gain: float
    gain_ci: Points
    latency_ms: float
    speedup: float
    speedup_ci: Points


@dataclass(frozen=True)
class SampleSize:
    """Do the samples suffice to know the accuracy difference.

    Attributes
    ----------
    width:
        Of the 95 % interval of the gain at no loss, in points.
    samples:
        Behind it: all, or the subsample that policies were looked at on.
    needed:
        Samples at which it would be 1 point wide, the width falling with their square root.
    suffice:
        Does the profile hold as many.
    """

    width: float
    samples: int
    needed: int
    suffice: bool


@dataclass(frozen=True)
class Diagnosis:
    """Everything the doctor found.

    Attributes
    ----------
    advice:
        What to do, in one sentence.
    policy:
        The policy advised; "single" to use one candidate alone.
    use:
        With "single", that candidate; else None.
    best:
        The most accurate single candidate.
    used:
        Samples that confidence and features were looked at on.
    reachable:
        By policy; empty with one candidate.
    sample_size:
        None with one candidate.
    warnings:
        What makes the profile unfit for a comparison; said first.
    memory:
        Accuracy over memory; empty where memory was not measured.
    noun:
        What a sample is called.
    doubts:
        Why a premodel may not be worth it, and what to do instead.
    originals:
        Where the zoo holds siblings: the best of them alone and every policy against the best original, in words.
    stood_in:
        What the best single candidate serves with its stand-ins, where it fails on some samples; else None.
    """

    advice: str
    policy: str
    use: str | None
    criterion: Criterion
    samples: int
    used: int
    best: str
    candidates: tuple[CandidateFinding, ...]
    oracle: OracleGap
    pairs: tuple[Pair, ...]
    dominated: tuple[Dominated, ...]
    better_views: tuple[BetterView, ...]
    reachable: tuple[Reachable, ...]
    sample_size: SampleSize | None
    invalid: tuple[str, ...]
    conditions: Mapping[str, object]
    warnings: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    originals: tuple[str, ...] = ()
    memory: tuple[MemoryStep, ...] = ()
    noun: str = "image"
    stood_in: StoodIn | None = None

    def to_json(self) -> dict[str, Any]:
        """The object that `doctor --json` prints."""
        data: dict[str, Any] = plain(self)
        del data["noun"]
        for one, written in zip(self.reachable, data["reachable"], strict=True):
            for name in ("no_loss", "equal_time", "most_accurate"):
                reached: Reached | None = getattr(one, name)
                if reached is not None:
                    written[name]["verdict"] = reached.verdict.short
                    written[name]["comparison"] = plain(reached.verdict.to_json())
                    written[name]["beside"] = {
                        other: plain(verdict.to_json()) for other, verdict in reached.beside.items()
                    }
                    if reached.stood_in is not None and reached.stood_in.verdict is not None:
                        written[name]["stood_in"]["verdict"] = plain(reached.stood_in.verdict.to_json())
        return data


def format_diagnosis(diagnosis: Diagnosis) -> list[str]:
    """The diagnosis as lines of text: warnings, why a premodel may not be worth it, the advice, what it rests on."""
    d = diagnosis
    busy = _busy(d.conditions)
    again = f": measure them again with premodel profile --retime all {WHEN_IDLE}"
    again = "" if d.invalid else again  # else the advice states it
    counted = "1 candidate" if len(d.candidates) == 1 else f"{len(d.candidates)} candidates"
    lines = [
        *(f"warning: {warning}" for warning in d.warnings),
        *d.doubts,
        d.advice,
        *soak_lines(d.conditions),
        *([f"{busy} while timing; latencies may be too high{again}"] if busy else []),
        *([crowd] if (crowd := _crowded(d.conditions)) else []),
        "",
        f"{d.samples} samples, {counted}, {d.criterion}",
    ]
    if d.used < d.samples:
        lines.append(f"confidence and features: on a stratified subsample of {d.used}")
    lines += [f"INVALID timing of {one}" for one in d.invalid]
    if len(d.candidates) > 1:
        lines += ["", *_oracle_lines(d), "", *_reachable_lines(d)]
    return [*lines, "", *_signal_lines(d), *_pair_lines(d), *_dominated_lines(d), *_view_lines(d), *_memory_lines(d)]


def soak_lines(conditions: Mapping[str, object]) -> list[str]:
    """What the profile's latencies over time come to, in the words of their verdict; empty where there are none."""
    found = conditions.get(SOAK)
    stated = (
        [one.get("lines") for one in found.values() if isinstance(one, Mapping)] if isinstance(found, Mapping) else []
    )
    return [str(line) for lines in stated if isinstance(lines, list) for line in lines]


def _busy(conditions: Mapping[str, object]) -> str:
    """The words on a machine that was not idle while the profile was timed."""
    cores, processes = conditions.get("other_cores"), conditions.get("other_processes")
    named = {str(name): float(busy) for name, busy in processes.items()} if isinstance(processes, Mapping) else {}
    return busy_note(float(cores), named) if isinstance(cores, int | float) else ""


def _crowded(conditions: Mapping[str, object]) -> str:
    """The words on more threads than there were cores, or than the quota allowed, in the profile."""
    threads, cores, quota = (conditions.get(name) for name in ("threads", "cores", "quota"))
    if not isinstance(threads, int) or not isinstance(cores, int):
        return ""
    return crowded({"every candidate": threads}, cores, float(quota) if isinstance(quota, int | float) else None)


def _reachable_lines(d: Diagnosis) -> list[str]:
    lines = [f"by cross-validation, against the best single candidate {d.best}"]
    for one in d.reachable:
        name = f"baseline {one.policy}, fitted" if one.policy == PLAIN else f"{one.policy}, trained"
        lines.append(f"  {name} for no loss: {one.no_loss}")
        if one.equal_time is not None:
            lines.append(f"  {name} for equal time: {one.equal_time}")
        if one.most_accurate is not None:
            lines.append(f"  {name} for accuracy at any latency: {one.most_accurate}")
    if d.originals:
        lines += ["for no loss, against the best original", *(f"  {line}" for line in d.originals)]
    return lines if d.sample_size is None else [*lines, _sample_size_line(d.sample_size)]


def _signal_lines(d: Diagnosis) -> list[str]:
    held = "it lies" if len(d.candidates) == 1 else "all candidates lie at once"
    permuted = f"where {held} in {100 * LEVEL:g} % of {d.candidates[0].confidence.permutations} permutations"
    lines = [f"AUC for 'this candidate is right' (permuted: {permuted})"]
    for candidate in d.candidates:
        own = f"{candidate.name}: own confidence {candidate.confidence}"
        lines.append(f"  {own}" + (f"; {d.noun} features {candidate.features}" if candidate.features else ""))
    return lines


def _oracle_lines(d: Diagnosis) -> list[str]:
    o = d.oracle
    best = next(one for one in d.candidates if one.name == d.best)
    more = "" if d.stood_in is None else f"; with the others where it fails {d.stood_in.figures}"
    return [
        f"best single candidate {d.best}: {100 * best.accuracy:.1f} % at {best.latency_ms:.2f} ms, end to end{more}",
        f"oracle: {100 * o.union:.1f} % [{100 * o.union_ci[0]:.1f}, {100 * o.union_ci[1]:.1f}], {o.gain:+.1f} points "
        f"[{o.gain_ci[0]:+.1f}, {o.gain_ci[1]:+.1f}], {o.speedup:.2f}x [{o.speedup_ci[0]:.2f}, {o.speedup_ci[1]:.2f}] "
        f"the speed ({o.latency_ms:.2f} ms); nobody reaches it",
    ]


def _sample_size_line(found: SampleSize) -> str:
    said = f"the interval of the accuracy difference is {found.width:.1f} points wide on {found.samples} samples"
    would = f"about {found.needed:,} make it {WIDTH_POINTS:g} point"
    if found.suffice:
        return f"samples suffice: {said}" + ("" if found.needed <= found.samples else f"; {would}")
    return f"samples do NOT suffice to know the accuracy difference within {WIDTH_POINTS:g} point: {said}; {would}"


def _pair_lines(d: Diagnosis) -> list[str]:
    if not d.pairs:
        return []
    lines = ["", "pairs that complement each other most (only one of the two right)"]
    for pair in d.pairs[:SHOWN_PAIRS]:
        lines.append(
            f"  {pair.names[0]} {100 * pair.only_first:.1f} %, {pair.names[1]} {100 * pair.only_second:.1f} %; "
            f"both wrong {100 * pair.double_fault:.1f} %; a perfect choice gains {pair.union_gain:.1f} points "
            f"[{pair.union_gain_ci[0]:.1f}, {pair.union_gain_ci[1]:.1f}]"
        )
    return lines


def _dominated_lines(d: Diagnosis) -> list[str]:
    if not d.dominated:
        return []
    latency_ms = {one.name: one.latency_ms for one in d.candidates}
    lines = ["", "dominated where each is run alone, end to end; a cascade may still gain by fusing their answers"]
    for one in d.dominated:
        how = "slower and less accurate than" if one.shown else "slower and not shown to be more accurate than"
        lines.append(
            f"  {one.name} ({latency_ms[one.name]:.2f} ms): {how} {one.by} ({latency_ms[one.by]:.2f} ms, "
            f"{one.gain:+.1f} points [{one.gain_ci[0]:+.1f}, {one.gain_ci[1]:+.1f}]); "
            f"the only one right on {100 * one.alone_right:.1f} %"
        )
    return lines


def _memory_lines(d: Diagnosis) -> list[str]:
    lines = memory_lines(d.memory)
    return ["", *lines] if lines else []


def _view_lines(d: Diagnosis) -> list[str]:
    if not d.better_views:
        return []
    lines = ["", "a better view of the same network would do"]
    for view in d.better_views:
        lines.append(
            f"  {view.view} instead of {view.name}: {view.gain:+.1f} points "
            f"[{view.gain_ci[0]:+.1f}, {view.gain_ci[1]:+.1f}] at equal cost"
        )
    return lines
