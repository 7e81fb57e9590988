"""Python callables as candidates, from the manifest to a bundle's answer: images, rows of numbers, and trust."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import premodel
from numbers_domain import NumbersDomain, TotalsDomain
from premodel.cli.main import main
from premodel.domains.registry import register
from premodel.errors import ModelError, OptionError, ZooError
from premodel.runtime.candidate import open_candidates
from premodel.serving.triton_export import export_repository
from premodel.zoo.candidate_json import candidate_from_json, candidate_to_json
from premodel.zoo.manifest import read_zoo

CODE = '''
import os, pathlib, time
pathlib.Path(os.environ["PREMODEL_TEST_MARK"]).write_text("imported")
import own_shades

class Careful:
    """Looks at every pixel."""
    def __init__(self, wait=0.002):
        self.wait = wait
    def __call__(self, image):
        time.sleep(self.wait)
        print("careful")
        red = own_shades.share(image)
        return {"rot": red, "blau": (1 - red) / 2, "navy": (1 - red) / 2}

def hasty(image):
    """Looks at one corner, and cannot name what is violet there."""
    red = own_shades.share(image[:2, :2])
    return ("violet", 0.6) if 0.3 < red < 0.7 else ("red" if red > 0.5 else "blue", max(red, 1 - red))
'''
SHADES = """
def share(image):
    red, _, blue = (float(image[..., channel].mean()) for channel in range(3))
    return red / (red + blue + 1e-9)
"""
ZOO = """
name = "colours"
task = "image-classification"
labels = ["blue", "red"]

[[models]]
name = "hasty"
runtime = "python"
callable = "own_colours.py:hasty"

[[models]]
name = "careful"
runtime = "python"
callable = "own_colours.py:Careful"
settings = { wait = 0.001 }
label_map = { rot = "red", blau = "blue", navy = "blue" }
"""
REFUSED = "runs the Python code own_colours.py:.*, which is not trusted; .*--trust-python"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plain images, a quarter of them with a violet corner."""
    made = tmp_path_factory.mktemp("colours")
    (made / "own_colours.py").write_text(CODE)
    (made / "own_shades.py").write_text(SHADES)
    (made / "zoo.toml").write_text(ZOO)
    rng = np.random.default_rng(3)
    for number in range(64):
        label = ("blue", "red")[number % 2]
        image = rng.integers(0, 40, (16, 16, 3)).astype(np.uint8)  # BGR
        image[..., 2 if label == "red" else 0] += 200
        if number % 4 == 0:
            image[:2, :2] = 120
        (made / "images" / label).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(made / "images" / label / f"{number}.png"), image)
    return made


@pytest.fixture(autouse=True)
def mark(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the code writes as soon as it is imported."""
    file = folder / "mark"
    file.unlink(missing_ok=True)
    monkeypatch.setenv("PREMODEL_TEST_MARK", str(file))
    return file


@dataclass(frozen=True)
class Done:
    code: int
    stdout: str
    stderr: str


def command(folder: Path, *words: str, fails: bool = False) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(words))
    assert (code != 0) == fails, out.getvalue() + err.getvalue()
    return Done(code, out.getvalue(), err.getvalue())


PROFILE = ("profile", "zoo.toml", "images", "--store", "s.db", "--max-timing-seconds", "1", "--energy", "off", "--json")


@pytest.fixture(scope="module")
def profiled(folder: Path) -> dict[str, Any]:
    os.environ["PREMODEL_TEST_MARK"] = str(folder / "mark")
    report: dict[str, Any] = json.loads(command(folder, *PROFILE, "--workers", "2", "--trust-python").stdout)
    return report


@pytest.fixture(scope="module")
def bundle(folder: Path, profiled: dict[str, Any]) -> Path:
    command(folder, "train", "s.db", "--out", "colours.premodel", "--policy", "cascade", "--json")
    return folder / "colours.premodel"


def test_the_store_holds_their_answers_and_those_that_are_no_labels_as_wrong(
    folder: Path, profiled: dict[str, Any]
) -> None:
    from premodel.training.load import load_tables

    assert profiled["predictions"].items() >= {"new": 128, "failed": {"hasty": 16}}.items()
    tables = load_tables(folder / "s.db")
    assert dict(zip(tables.candidates, tables.correct("top1").mean(axis=0), strict=True)) == {
        "hasty": 0.75,
        "careful": 1.0,
    }


def test_nothing_is_run_again_until_its_code_changes(folder: Path, profiled: dict[str, Any]) -> None:
    words = [*PROFILE, "--only", "predictions", "--trust-python"]
    words[words.index("s.db")] = "again.db"
    (folder / "again.db").write_bytes((folder / "s.db").read_bytes())
    assert json.loads(command(folder, *words).stdout)["predictions"]["new"] == 16  # those that failed
    (folder / "own_shades.py").write_text(SHADES + "# another comment\n")
    try:
        assert json.loads(command(folder, *words).stdout)["predictions"]["new"] == 128
    finally:
        (folder / "own_shades.py").write_text(SHADES)


def test_a_profile_needs_no_trust_where_nothing_runs(folder: Path, bundle: Path, mark: Path) -> None:
    found = json.loads(
        command(folder, "evaluate", "s.db", "--folds", "2", "--policy", "single", "--workers", "1", "--json").stdout
    )
    assert {row["name"] for row in found["rows"]} >= {"hasty", "careful"}
    command(folder, "doctor", "s.db")
    command(folder, "store", "info", "s.db")
    assert not mark.exists()


def test_a_bundle_answers_where_it_is_trusted(folder: Path, bundle: Path) -> None:
    image = str(folder / "images" / "red" / "1.png")
    said = command(folder, "predict", str(bundle), image, "--trust-python", "--json")
    (answer,) = json.loads(said.stdout)["answers"]
    assert answer["class"] == "red"
    with premodel.load(bundle, trust_python=True) as loaded:
        assert loaded.predict(image).class_name == "red"
        violet = loaded.predict(folder / "images" / "blue" / "0.png")
    assert violet.class_name == "blue"


@pytest.mark.parametrize(
    "words",
    [
        ("zoo", "check", "zoo.toml"),
        ("zoo", "check", "zoo.toml", "images"),
        ("profile", "zoo.toml", "images", "--store", "other.db"),
        ("agent", "zoo.toml", "--port", "0"),
        ("predict", "colours.premodel", "images/red/1.png"),
        ("bench", "colours.premodel", "images"),
        ("serve", "colours.premodel", "--port", "0"),
    ],
    ids=lambda words: "-".join(words[:2]),
)
def test_every_command_that_would_run_it_refuses_in_one_line(
    words: tuple[str, ...], folder: Path, bundle: Path, mark: Path
) -> None:
    mark.unlink(missing_ok=True)
    found = command(folder, *words, fails=True)
    assert found.code == 2
    (line,) = found.stderr.splitlines()
    assert "which is not trusted" in line
    assert "--trust-python" in line
    assert not mark.exists()
    assert not (folder / "other.db").exists()


def test_loading_and_opening_refuse_before_anything_is_imported(folder: Path, bundle: Path, mark: Path) -> None:
    mark.unlink(missing_ok=True)
    with pytest.raises(OptionError, match=REFUSED):
        premodel.load(bundle)
    zoo = read_zoo(folder / "zoo.toml", require_files=True)
    with pytest.raises(OptionError, match=REFUSED):
        open_candidates(zoo.candidates)
    assert not mark.exists()


def test_trust_in_one_does_not_reach_another(folder: Path, bundle: Path) -> None:
    premodel.load(bundle, trust_python=True).close()
    with pytest.raises(OptionError, match=REFUSED):
        premodel.load(bundle)


def test_trust_is_written_nowhere(folder: Path) -> None:
    for candidate in read_zoo(folder / "zoo.toml", trust_python=True).candidates:
        data = json.loads(json.dumps(candidate_to_json(candidate, folder)))
        again = candidate_from_json(data, folder)
        assert again.model.call == candidate.model.call
        assert again.prediction_key == candidate.prediction_key
        assert again.timing_key == candidate.timing_key
        assert candidate.model.trusted
        assert not again.model.trusted
        with pytest.raises(ZooError, match="trusted"):
            candidate_from_json({**data, "trusted": True}, folder)


def test_check_names_what_is_no_label_and_counts_it_as_wrong(folder: Path) -> None:
    words = ("zoo", "check", "zoo.toml", "images", "--trust-python", "--json")
    hasty, careful = json.loads(command(folder, *words).stdout)["candidates"]
    assert (hasty["samples"], hasty["top1"], careful["top1"]) == (64, 0.75, 1.0)
    assert any(one.startswith("answers what is no label: 'violet' (16); there it fails") for one in hasty["warnings"])
    assert any("prints to stdout" in warning for warning in careful["warnings"])
    assert careful["input"] == "the decoded input"


def test_check_refuses_a_callable_none_of_whose_answers_is_a_label_as_profile_does(folder: Path) -> None:
    (folder / "lost.py").write_text("def lost(image):\n    return 'nowhere', 0.9\n")
    entry = '[[models]]\nname = "lost"\nruntime = "python"\ncallable = "lost.py:lost"\n'
    (folder / "lost.toml").write_text(ZOO + entry)
    checked = command(folder, "zoo", "check", "lost.toml", "images", "--trust-python", "--json", fails=True)
    lost = json.loads(checked.stdout)["candidates"][-1]
    assert lost["errors"] == [
        "no answer is a label, on any of 64 images, first: lost.py:lost: the callable answered what is no label; "
        "given: 'nowhere'; name it in label_map if it is another name of a label"
    ]
    words = ("profile", "lost.toml", "images", "--store", "lost.db", "--trust-python")
    assert "lost fails on every image" in command(folder, *words, fails=True).stderr


def test_an_embedded_file_travels_with_what_it_imports(folder: Path, bundle: Path, tmp_path: Path) -> None:
    command(folder, "train", "s.db", "--out", str(tmp_path / "own.premodel"), "--policy", "single", "--embed")
    hidden = [folder / "own_colours.py", folder / "own_shades.py"]
    for file in hidden:
        file.rename(file.with_suffix(".away"))
    try:
        image = str(folder / "images" / "red" / "1.png")
        words = ("predict", str(tmp_path / "own.premodel"), image, "--trust-python", "--json")
        (answer,) = json.loads(command(tmp_path, *words).stdout)["answers"]
        assert answer["class"] == "red"
    finally:
        for file in hidden:
            file.with_suffix(".away").rename(file)


def test_changed_code_does_not_answer_under_the_old_profile(folder: Path, bundle: Path) -> None:
    (folder / "own_colours.py").write_text(CODE + "# changed\n")
    try:
        with pytest.raises(ModelError, match=r"own_colours\.py of hasty is not the one that was profiled"):
            premodel.load(bundle, trust_python=True)
        (folder / "own_colours.py").write_text(CODE.replace("0.3", "0.4"))
        with (
            premodel.load(bundle, trust_python=True) as loaded,
            pytest.raises(premodel.RunError, match="wrong sha256"),
        ):
            loaded.predict(folder / "images" / "red" / "1.png")
    finally:
        (folder / "own_colours.py").write_text(CODE)


def test_export_to_triton_is_refused_in_one_line(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="Python code is not exported to Triton; given: candidate"):
        export_repository(bundle, tmp_path / "repository")
    assert not (tmp_path / "repository").exists()


def manifest(folder: Path, entry: str) -> Path:
    (folder / "wrong.toml").write_text(
        f'name = "z"\ntask = "image-classification"\nlabels = ["blue", "red"]\n[[models]]\nname = "m"\n'
        f'runtime = "python"\n{entry}\n'
    )
    return folder / "wrong.toml"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("", "callable is missing"),
        ('callable = "own_colours.hasty"', r"wrong callable; .*allowed: package.module:function, or file.py:function"),
        ('callable = "../own_colours.py:hasty"', "wrong callable; .*allowed: a file beneath"),
        ('callable = "own_colours.py:hasty"\nlabel_map = { rot = "rouge" }', "maps 'rot' to what is no label"),
        ('callable = "own_colours.py:hasty"\nlabel_map = { rot = 1 }', "wrong label_map; .*a table of strings"),
        ('callable = "own_colours.py:hasty"\nbatch = 2', "wrong batch"),
        ('callable = "own_colours.py:hasty"\nfactor = true', "unknown field factor"),
        ('callable = "own_colours.py:hasty"\nviews = [{ name = "m", mirror = true }]', "wrong views; .*none: the"),
        ('callable = "own_colours.py:hasty"\noutput = { activation = "max" }', "wrong output.activation"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_named_in_one_line(entry: str, message: str, folder: Path) -> None:
    with pytest.raises(ZooError, match=message) as caught:
        read_zoo(manifest(folder, entry))
    assert "\n" not in str(caught.value)


def test_a_module_that_is_not_installed_is_named_with_what_to_install(folder: Path) -> None:
    path = manifest(folder, 'callable = "no_such_package.inner:f"')
    with pytest.raises(ModelError, match=r"module no_such_package\.inner of m is not installed; .*pip install no_such"):
        read_zoo(path, require_files=True)


def test_settings_order_of_labels_and_callable_tell_candidates_apart(folder: Path) -> None:
    entries = {
        "plain": 'callable = "own_colours.py:hasty"',
        "other": 'callable = "own_colours.py:Careful"',
        "setting": 'callable = "own_colours.py:Careful"\nsettings = { wait = 0.5 }',
        "map": 'callable = "own_colours.py:hasty"\nlabel_map = { violet = "red" }',
        "tensor": 'callable = "own_colours.py:hasty"\ninput = { size = [8, 8], layout = "NHWC", dtype = "float32", '
        'channels = "RGB", resize = "squash", crop_fraction = 1.0, interpolation = "bilinear" }',
    }
    keys = {name: read_zoo(manifest(folder, entry)).candidates[0] for name, entry in entries.items()}
    path = manifest(folder, entries["plain"])
    path.write_text(path.read_text().replace('["blue", "red"]', '["red", "blue"]'))
    keys["labels"] = read_zoo(path).candidates[0]
    assert len({one.prediction_key for one in keys.values()}) == len(keys)
    assert len({one.timing_key for one in keys.values()}) == len(keys)


def test_a_tensor_is_given_where_the_manifest_has_an_input(folder: Path) -> None:
    (folder / "own_tensor.py").write_text(
        "def f(tensor):\n    assert tensor.shape == (1, 8, 8, 3) and tensor.dtype == 'float32'\n"
        "    return [1 - float(tensor[..., 0].mean()), float(tensor[..., 0].mean())]\n"
    )
    entry = (
        'callable = "own_tensor.py:f"\ninput = { size = [8, 8], layout = "NHWC", dtype = "float32", channels = "RGB", '
        'resize = "squash", crop_fraction = 1.0, interpolation = "bilinear" }'
    )
    (candidate,) = read_zoo(manifest(folder, entry), trust_python=True).candidates
    (opened,) = open_candidates([candidate])
    domain = candidate.domain
    found = opened.predict(domain.decode(folder / "images" / "red" / "1.png"))
    assert found.labels.tolist() == [1, 0]


TOTALS = """
def rough(row):
    return f"{row[0] * len(row):g}", 0.5

class Exact:
    def __call__(self, row):
        return f"{sum(map(float, row)):g}", 0.75

def sign(row):
    return {"minus": float(row.mean() < 0), "plus": float(row.mean() >= 0)}
"""


def test_other_domains_have_them_too(tmp_path: Path) -> None:
    (tmp_path / "own_totals.py").write_text(TOTALS)
    lines, signs = ["path,label"], ["path,label"]
    for number in range(30):
        row = np.round(np.random.default_rng(number).normal(0, 5, 1 + number % 4), 2)
        (tmp_path / f"{number}.row").write_text(" ".join(f"{value:g}" for value in row))
        lines.append(f"{number}.row,{row.sum():g}")
        signs.append(f"{number}.row,{'plus' if row.mean() >= 0 else 'minus'}")
    (tmp_path / "totals.csv").write_text("\n".join(lines))
    (tmp_path / "signs.csv").write_text("\n".join(signs))
    entry = '[[models]]\nname = "{0}"\nruntime = "python"\ncallable = "own_totals.py:{1}"\n'
    (tmp_path / "totals.toml").write_text(
        'name = "t"\ntask = "number-totals"\n' + entry.format("rough", "rough") + entry.format("exact", "Exact")
    )
    (tmp_path / "signs.toml").write_text(
        'name = "s"\ntask = "number-rows"\nlabels = ["minus", "plus"]\n' + entry.format("sign", "sign")
    )

    def run(*words: str) -> Any:
        return json.loads(command(tmp_path, *words).stdout)

    register(NumbersDomain())
    register(TotalsDomain())

    options = ("--max-timing-seconds", "0.5", "--energy", "off", "--trust-python", "--json")
    report = run("profile", "totals.toml", "totals.csv", "--store", "t.db", *options)
    assert report["predictions"].items() >= {"new": 60, "failed": {}}.items()
    run("train", "t.db", "--out", "t.premodel", "--policy", "single", "--json")
    (answer,) = run("predict", "t.premodel", "3.row", "--trust-python", "--json")["answers"]
    row = [float(value) for value in (tmp_path / "3.row").read_text().split()]
    assert (float(answer["outcome"]), answer["probability"]) == (pytest.approx(sum(row), abs=1e-3), 0.75)
    (check,) = run("zoo", "check", "signs.toml", "signs.csv", "--trust-python", "--json")["candidates"]
    assert (check["samples"], check["top1"]) == (30, 1.0)


def test_the_example_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    page = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
    blocks = dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", page, re.DOTALL))
    assert list(blocks) == ["fit.py", "classify.py", "zoo.toml"]
    for name, block in blocks.items():
        (tmp_path / name).write_text(block)
    rows = [
        (f"{word}, number {n}", label)
        for n in range(8)
        for word, label in (("fine acting", "positive"), ("what a waste", "negative"))
    ]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *(f'"{text}",{label}' for text, label in rows)]))
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks["fit.py"], "fit.py", "exec"), {})
    words = ("zoo", "check", "zoo.toml", "texts.csv", "--trust-python", "--json")
    checks = json.loads(command(tmp_path, *words).stdout)["candidates"]
    assert [(check["candidate"], check["samples"], check["errors"]) for check in checks] == [
        ("small", 16, []),
        ("large", 16, []),
    ]
    assert min(check["top1"] for check in checks) > 0.9
    said = command(tmp_path, *words[:-1]).stdout
    assert "next: premodel profile zoo.toml texts.csv --store profile.db --trust-python" in said


def test_a_translator_answers_with_a_text(tmp_path: Path) -> None:
    (tmp_path / "own_translator.py").write_text(
        "def f(text, words):\n    return ' '.join(words.get(word, word) for word in text.split()), 0.5\n"
    )
    (tmp_path / "zoo.toml").write_text(
        'name = "t"\ntask = "translation"\n[[models]]\nname = "words"\nruntime = "python"\n'
        'callable = "own_translator.py:f"\nsettings = { words = { a = "ein", dog = "Hund" } }\n'
    )
    (candidate,) = read_zoo(tmp_path / "zoo.toml", trust_python=True).candidates
    (opened,) = open_candidates([candidate])
    said = opened.predict(candidate.domain.decode("a dog"))
    assert (said.outcome, said.probabilities.tolist()) == ("ein Hund", [0.5])
    assert candidate.domain.score(said, "ein Hund", "chrf") == pytest.approx(1.0)
