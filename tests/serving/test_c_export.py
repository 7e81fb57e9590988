"""The exported C decides as Python does, on every sample, and is what its header states."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from c_programs import SANITIZED, build_example, compile_c, export, recorded, serve_example, write_policy
from policy_makers import make_select, make_single, make_stopping
from premodel.errors import OptionError
from premodel.records import TOP_K
from premodel.runtime.policies.base import CallOptions, Policy
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.latency_curve import LatencyCurves
from premodel.runtime.policies.single import Single
from premodel.runtime.policies.stopping_components import NOT_ALLOWED
from premodel.serving.c_export import STACK_BYTES, c_string, export_c
from premodel.training.objective import Floor, Objective
from premodel.training.options import TrainOptions
from premodel.training.simulate import simulate
from premodel.training.tables import Tables
from premodel.training.train import train
from profiles import make_tables, predictable_tables

OPTIONS = (
    CallOptions(),
    *(CallOptions(max_latency_ms=budget) for budget in (2.3, 3.3, 7.3)),
    *(CallOptions(cost_weight=weight) for weight in (0.0, 0.02)),
    CallOptions(max_latency_ms=4.4, cost_weight=0.01),
)


def few_labels() -> Tables:
    """Four candidates, every one of 8 labels listed."""
    return predictable_tables(n=90, m=3)


def many_labels() -> Tables:
    """Three candidates of 60 labels, of which each lists 20; some fail, and half the answers are of two digits."""
    rng = np.random.default_rng(3)
    hardness = rng.random(90)
    correct = hardness[:, None] + rng.normal(0, 0.1, (90, 3)) < np.linspace(0.4, 0.95, 3)
    failed = [(row, row % 3) for row in range(0, 90, 9)] + [(7, column) for column in range(3)]
    tables = make_tables(correct, n_labels=60, failed=failed, seed=3)
    labels, probabilities = tables.top_labels[:, :, :TOP_K], tables.top_probabilities[:, :, :TOP_K].copy()
    probabilities[::2] = np.where(labels[::2] >= 0, np.maximum(np.round(probabilities[::2], 2), np.float32(0.01)), 0)
    order = np.lexsort((labels, -probabilities), axis=2)  # equal ones by rising label, as every answer is
    labels, probabilities = (np.take_along_axis(one, order, axis=2) for one in (labels, probabilities))
    return replace(tables, top_labels=labels, top_probabilities=probabilities)


def changed(policy: Policy, **learned: Any) -> Policy:
    """The policy with other arrays."""
    return type(policy).from_components(policy.settings(), {**policy.arrays(), **learned})


def always_fused(tables: Tables, criterion: str) -> Policy:
    """A cascade in which every set serves its fused answer."""
    options = TrainOptions("cascade", objective=Objective(Floor.parse("best+20pt")), criterion=criterion)
    policy = train(tables, options).policy
    learned = policy.arrays()
    onwards = learned["continuation"].copy()
    onwards[..., 0] += np.where(onwards[..., 0] > NOT_ALLOWED / 2, np.float32(0.05), np.float32(0))  # runs more
    start = learned["start"].copy()
    start[..., 0] = 10  # from the first of its order, so that others can follow
    return changed(policy, member=np.full_like(learned["member"], -1), continuation=onwards, start=start)


def heavy(tables: Tables) -> Policy:
    """Weights whose scores no float32 could raise, and pairs that serve one member's answer."""
    policy = make_stopping(tables, "cascade-routing", "best+20pt")
    pairs = [number for number in range(2 ** len(policy.candidates)) if number.bit_count() == 2]
    member = policy.arrays()["member"].copy()
    member[pairs] = [number.bit_length() - 1 for number in pairs]
    return changed(policy, member=member, weights=policy.arrays()["weights"] * np.float32(40))


CASES: dict[str, tuple[Callable[[], Tables], Callable[[Tables], Policy]]] = {
    "single": (few_labels, make_single),
    "cascade, fused": (many_labels, lambda t: always_fused(t, "top1")),
    "cascade, fused, top 5": (few_labels, lambda t: always_fused(t, "top5")),
    "cascade-routing": (few_labels, lambda t: make_stopping(t, "cascade-routing", "best+20pt")),
    "cascade-routing, heavy": (many_labels, heavy),
}


@pytest.mark.parametrize("case", CASES)
def test_decides_and_answers_as_python_on_every_sample(tmp_path: Path, case: str) -> None:
    make, maker = CASES[case]
    tables = make()
    policy = maker(tables)
    program = build_example(export(tmp_path, policy, tables))
    answers = recorded(policy, tables)
    fused = several = 0
    for options in OPTIONS:
        lines = serve_example(program, answers, options)
        served = simulate(policy, tables, options)
        assert len(lines) == len(tables)
        for row, line in enumerate(lines):
            if served.abstained[row]:
                assert line is None
                continue
            assert line is not None
            order = [int(one) for one in served.order[row] if one >= 0 and served.ran[row, one]]
            assert (line.source, list(line.ran)) == (int(served.source[row]), order), (row, options)
            expected = {
                int(label): float(p)
                for label, p in zip(served.labels[row], served.probabilities[row], strict=True)
                if label >= 0
            }
            assert line.label == served.labels[row, 0]
            assert line.name == tables.label_names[line.label]
            assert line.confidence == pytest.approx(served.confidence[row], abs=1e-5)
            assert line.listed == pytest.approx(expected, rel=1e-5, abs=1e-9), (row, options)
            fused += line.source < 0
            several += len(line.ran) > 1
    assert several > 50 or case == "single"
    assert fused > 20 or "fused" not in case


def test_the_header_states_size_and_stack(tmp_path: Path) -> None:
    tables = few_labels()
    written = export(tmp_path, make_stopping(tables, "cascade-routing", "best+20pt"), tables)
    program = tmp_path / "size.c"
    program.write_text(
        '#include "c/premodel_edge.h"\n#include <stdio.h>\n'
        'int main(void) { printf("%zu", sizeof(premodel_edge_state)); return 0; }\n'
    )
    source = written.folder / "premodel_edge.c"
    goal = compile_c([program, source], tmp_path / "size", "-O2", "-fstack-usage")
    size = int(subprocess.run([str(goal)], capture_output=True, text=True, check=True).stdout)
    header = (written.folder / "premodel_edge.h").read_text()
    assert size == written.state_bytes
    assert f"state: {size} bytes" in header
    assert f"stack: below {STACK_BYTES} bytes" in header
    frames = [line.split("\t") for file in tmp_path.glob("*.su") for line in file.read_text().splitlines()]
    own = {place.rpartition(":")[2]: int(count) for place, count, *_ in frames if "premodel_edge.c" in place}
    assert {"premodel_edge_start", "premodel_edge_answered"} <= set(own)
    assert sum(own.values()) < STACK_BYTES, "all functions together, of which no call needs more than a chain"


def test_lists_wrong_answers_and_misuse(tmp_path: Path) -> None:
    """What is no answer counts as a failure; a call that is not due changes nothing."""
    tables = few_labels()
    policy = Single(("a", "b"), (0.9, 0.8), Costs((1.0, 2.0), 0.25))
    written = export(tmp_path, policy, tables)
    program = tmp_path / "calls.c"
    program.write_text(
        r"""
#include "c/premodel_edge.h"
#include <math.h>
#include <stdio.h>
#define CHECK(true_) do { if (!(true_)) { printf("line %d: %s\n", __LINE__, #true_); return 1; } } while (0)
int main(void)
{
    premodel_edge_state state;
    const float even[8] = {0.125f, 0.125f, 0.125f, 0.125f, 0.125f, 0.125f, 0.125f, 0.125f};
    const float said[8] = {0.1f, 0.2f, 0.2f, 0.5f, 0.0f, 0.0f, 0.0f, 0.0f};
    float broken[8] = {0.1f, 0.2f, 0.2f, 0.5f, 0.0f, 0.0f, 0.0f, 0.0f};
    const int32_t labels[2] = {6, 1}, beyond[1] = {8};
    const float listed[2] = {0.7f, 0.3f};
    CHECK(premodel_edge_start(&state, NAN, PREMODEL_EDGE_TRAINED) == PREMODEL_EDGE_MISUSE);
    CHECK(premodel_edge_start(&state, -1.0, PREMODEL_EDGE_TRAINED) == PREMODEL_EDGE_MISUSE);
    CHECK(premodel_edge_start(&state, 0.0, -2.0) == PREMODEL_EDGE_MISUSE);
    CHECK(premodel_edge_start(&state, 1.2, PREMODEL_EDGE_TRAINED) == PREMODEL_EDGE_BUDGET_TOO_SMALL);
    CHECK(premodel_edge_answered(&state, said) == PREMODEL_EDGE_MISUSE);
    CHECK(premodel_edge_least_ms == 1.25);

    CHECK(premodel_edge_start(&state, 1.25, PREMODEL_EDGE_TRAINED) == PREMODEL_EDGE_RUN && state.candidate == 0);
    CHECK(premodel_edge_answered(&state, said) == PREMODEL_EDGE_ANSWER);
    CHECK(state.label == 3 && state.candidate == 0 && state.confidence == 0.9 && state.n_listed == 8);
    CHECK(state.labels[1] == 1 && state.labels[2] == 2 && state.labels[4] == 4 && state.labels[7] == 7);
    CHECK(premodel_edge_answered(&state, said) == PREMODEL_EDGE_MISUSE && state.label == 3);
    CHECK(premodel_edge_failed(&state) == PREMODEL_EDGE_MISUSE);

    CHECK(premodel_edge_start(&state, 0.0, PREMODEL_EDGE_TRAINED) == PREMODEL_EDGE_RUN);
    CHECK(premodel_edge_listed(&state, labels, listed, 0) == PREMODEL_EDGE_MISUSE);
    CHECK(premodel_edge_listed(&state, labels, listed, 2) == PREMODEL_EDGE_ANSWER);
    CHECK(state.label == 6 && state.n_listed == 2 && state.probabilities[1] == 0.3f);

    CHECK(premodel_edge_start(&state, 0.0, PREMODEL_EDGE_TRAINED) == PREMODEL_EDGE_RUN);
    CHECK(premodel_edge_answered(&state, even) == PREMODEL_EDGE_RUN && state.candidate == 1 && state.failed[0]);
    broken[5] = NAN;
    CHECK(premodel_edge_answered(&state, broken) == PREMODEL_EDGE_NO_ANSWER);
    CHECK(premodel_edge_start(&state, 0.0, PREMODEL_EDGE_TRAINED) == PREMODEL_EDGE_RUN && !state.failed[0]);
    CHECK(premodel_edge_listed(&state, beyond, listed, 1) == PREMODEL_EDGE_RUN && state.candidate == 1);
    CHECK(premodel_edge_listed(&state, labels, listed, 2) == PREMODEL_EDGE_ANSWER && state.confidence == 0.8);
    return 0;
}
"""
    )
    goal = compile_c([program, written.folder / "premodel_edge.c"], tmp_path / "calls", *SANITIZED)
    done = subprocess.run([str(goal)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_names_are_data_whatever_they_are(tmp_path: Path) -> None:
    names = (
        'say "hi"',
        "back\\slash",
        "*/ int x;",
        "??/",
        "%s%n",
        "@names@ prefix_state PREFIX_LABELS",
        "Größe 猫",
        "tab\tend",
    )
    tables = replace(few_labels(), label_names=names)
    policy = make_single(tables)
    program = build_example(export(tmp_path, policy, tables))
    lines = serve_example(program, recorded(policy, tables), CallOptions())
    truth = {line.label: line.name for line in lines if line is not None}
    assert truth == {label: names[label] for label in truth}
    assert len(truth) == len(names)


def test_a_bundle_of_any_name_has_names_that_c_takes(tmp_path: Path) -> None:
    tables = few_labels()
    written = export_c(write_policy(tmp_path / "2nd-try int.premodel", make_single(tables), tables), tmp_path / "c")
    assert written.prefix == "premodel_2nd_try_int"
    assert sorted(written.files) == sorted(file.name for file in written.folder.iterdir())
    build_example(written)


def test_a_policy_that_reads_the_input_is_refused_in_one_sentence(tmp_path: Path) -> None:
    tables = replace(few_labels(), feature_names=("contrast", "n_keypoints", "aspect_ratio"))
    policy = make_select(tables, "first-yes", "knn", "right", None)
    path = write_policy(tmp_path / "edge.premodel", policy, tables)
    with pytest.raises(OptionError) as caught:
        export_c(path, tmp_path / "c")
    assert "policy select reads the input before it decides, and has no form in C" in str(caught.value)
    assert "allowed: single, cascade, cascade-routing; train one of these" in str(caught.value)
    assert not (tmp_path / "c").exists()


def test_latencies_by_length_are_refused(tmp_path: Path) -> None:
    tables = few_labels()
    by_length = LatencyCurves("n_words", (1.0, 9.0), ((1.0, 2.0), (2.0, 4.0)))
    policy = Single(("a", "b"), (0.9, 0.8), Costs((1.0, 2.0), 0.25, by_length=by_length))
    path = write_policy(tmp_path / "edge.premodel", policy, tables, task="text-classification")
    with pytest.raises(OptionError, match="latencies by the length of the input have no form in C; given: n_words"):
        export_c(path, tmp_path / "c")


def test_files_of_others_stay(tmp_path: Path) -> None:
    tables = few_labels()
    path = write_policy(tmp_path / "edge.premodel", make_single(tables), tables)
    written = export_c(path, tmp_path / "c")
    (written.folder / "notes.txt").write_text("mine")
    assert export_c(path, tmp_path / "c") == written
    (written.folder / "premodel_edge.c").write_text("int mine;\n")
    with pytest.raises(OptionError, match="a file that premodel did not export stands there"):
        export_c(path, tmp_path / "c")
    assert (written.folder / "premodel_edge.c").read_text() == "int mine;\n"
    with pytest.raises(OptionError, match="C files cannot be written"):
        export_c(path, written.folder / "notes.txt")


def test_every_number_is_exact(tmp_path: Path) -> None:
    tables = few_labels()
    policy = Single(("a", "b"), (1 / 3, 0.1 + 0.2), Costs((1e-7, 123456.789012345), 1 / 7))
    written = export(tmp_path, policy, tables)
    source = (written.folder / "premodel_edge.c").read_text()
    (accuracy,) = re.findall(r"ACCURACY\[2\] = \{\s*(.*?)\s*\}", source, re.DOTALL)
    assert [float(text) for text in accuracy.split(",")] == [1 / 3, 0.1 + 0.2]
    (latency,) = re.findall(r"LATENCY_MS\[2\] = \{\s*(.*?)\s*\}", source, re.DOTALL)
    assert [float(text) for text in latency.split(",")] == [1e-7, 123456.789012345]


def test_strings_of_c() -> None:
    assert c_string("a?b\n") == '"a\\?b\\012"'
