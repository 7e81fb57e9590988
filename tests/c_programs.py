"""Exported C, built with every warning an error and under sanitizers, and its example driven with recorded answers.

`from c_programs import export, build_example, serve_example` in any test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from premodel.domains.image.spec import InputSpec
from premodel.domains.image.views import View
from premodel.domains.text.spec import TextSpec, TextView
from premodel.runtime.bundle import Bundle, write_bundle
from premodel.runtime.policies.base import CallOptions, Policy
from premodel.serving.c_export import CFiles, export_c
from premodel.training.tables import Tables
from premodel.zoo.candidate import Candidate, Model

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wconversion", "-Wshadow")
SANITIZED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True)
class Line:
    """One answer of the example; None for none."""

    label: int
    confidence: float
    source: int
    ran: tuple[int, ...]
    listed: dict[int, float]
    name: str


def compiler() -> str:
    """A C compiler; skips where there is none."""
    found = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        pytest.skip("no C compiler (cc, gcc or clang) is installed")
    return found


def compile_c(sources: list[Path], goal: Path, *options: str) -> Path:
    """An executable of these sources, every warning an error."""
    words = [compiler(), *STRICT, *options, *map(str, sources), "-lm", "-o", str(goal)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=goal.parent, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return goal


def write_policy(path: Path, policy: Policy, tables: Tables, task: str = "image-classification") -> Path:
    """A bundle of a policy on tables that no network was run for."""
    image = InputSpec((8, 8), "NHWC", "uint8", "RGB", "center-crop", 0.875, "bilinear")
    view: Any = TextView() if task.startswith("text") else View()
    spec = TextSpec("bytes", "int64", 256) if task.startswith("text") else image
    names = tables.label_names
    files = [path.parent / f"{name}.npz" for name in policy.candidates]
    models = [Model(file.stem, file, "replay", spec, "softmax", sha256="0" * 64, task=task) for file in files]
    candidates = tuple(Candidate(model, view, len(names)) for model in models)
    version = candidates[0].domain.features_version if policy.features else None
    write_bundle(path, Bundle(policy, candidates, names, "top1", version), folder=path.parent)
    return path


def export(folder: Path, policy: Policy, tables: Tables) -> CFiles:
    """The C of a policy."""
    folder.mkdir(parents=True, exist_ok=True)
    return export_c(write_policy(folder / "edge.premodel", policy, tables), folder / "c")


def build_example(written: CFiles) -> Path:
    """The example, under sanitizers."""
    sources = [written.folder / name for name in written.files if name.endswith(".c")]
    return compile_c(sources, written.folder / "example", *SANITIZED)


def recorded(policy: Policy, tables: Tables) -> str:
    """What every candidate answered to every sample, as the example reads it."""
    columns = [tables.candidates.index(name) for name in policy.candidates]
    lines = []
    for row in range(len(tables)):
        for column in columns:
            said = tables.prediction(row, column)
            if said is None:
                lines.append("failed")
                continue
            pairs = zip(said.labels.tolist(), said.probabilities.tolist(), strict=True)
            lines.append(" ".join(f"{label}:{probability:.9g}" for label, probability in pairs))
    return "\n".join(lines) + "\n"


def serve_example(program: Path, answers: str, options: CallOptions) -> list[Line | None]:
    """What the example serves of recorded answers."""
    words = [str(program), str(options.max_latency_ms or 0)]
    words += [] if options.cost_weight is None else [repr(options.cost_weight)]
    done = subprocess.run(words, input=answers, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [_line(text) for text in done.stdout.splitlines()]


def _line(text: str) -> Line | None:
    if text == "no answer":
        return None
    label, confidence, source, ran, *rest = text.split(" ")
    pairs = [word.partition(":")[::2] for word in rest if ":" in word and word[0].isdigit()]
    return Line(
        int(label), float(confidence), int(source), tuple(map(int, ran.split(","))),
        {int(one): float(np.float32(probability)) for one, probability in pairs}, " ".join(rest[len(pairs) :]),
    )  # fmt: skip
