"""Python callables as models: how they are found, made, called, and what is said of those that go wrong."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from premodel.backends.python import PythonBackend
from premodel.errors import ModelError, OptionError, PremodelError, RunError

IMAGE = np.zeros((2, 3, 3), np.uint8)
LABELS = ["cat", "dog"]


def opened(folder: Path, source: str, target: str = "own_code.py:f", **settings: Any) -> PythonBackend:
    file = folder / "own_code.py"
    file.write_text(textwrap.dedent(source))
    given = {"callable": target, "labels": LABELS, **settings}
    return PythonBackend.open(file, threads=1, settings=given)


def answer(folder: Path, source: str, **settings: Any) -> list[float]:
    return [round(float(value), 3) for value in opened(folder, source, **settings).predict(IMAGE)[0]]


def test_a_function_is_given_the_input_itself_and_its_settings(tmp_path: Path) -> None:
    source = """
    def f(image, bias):
        assert image.shape == (2, 3, 3) and image.dtype == "uint8"
        return [0.5 + bias, 0.5 - bias]
    """
    assert answer(tmp_path, source, arguments={"bias": 0.25}) == [0.75, 0.25]
    assert answer(tmp_path, source, arguments={"bias": -0.5}) == [0.0, 1.0]


def test_a_class_is_made_once_with_its_settings(tmp_path: Path) -> None:
    source = """
    class f:
        made = 0
        def __init__(self, bias=0.0):
            f.made += 1
            self.bias = bias
        def __call__(self, image):
            assert f.made == 1
            return ("dog", 0.5 + self.bias)
    """
    backend = opened(tmp_path, source, arguments={"bias": 0.25})
    assert [backend.predict(IMAGE)[0].tolist() for _ in range(3)] == [[0.0, 0.75]] * 3


def test_what_a_factory_makes_is_called(tmp_path: Path) -> None:
    source = """
    def f(bias):
        return lambda image: [bias, 1 - bias]
    """
    assert answer(tmp_path, source, arguments={"bias": 0.25}, factory=True) == [0.25, 0.75]


def test_a_method_of_a_module_object_is_found(tmp_path: Path) -> None:
    source = """
    class Model:
        def answer(self, image):
            return [0.25, 0.75]
    model = Model()
    """
    assert answer(tmp_path, source, target="own_code.py:model.answer") == [0.25, 0.75]


def test_a_batch_is_a_list_of_one(tmp_path: Path) -> None:
    source = """
    def f(images):
        assert isinstance(images, list) and len(images) == 1
        return [[0.25, 0.75] for _ in images]
    """
    assert answer(tmp_path, source, batch=True) == [0.25, 0.75]


def test_a_module_beside_the_file_can_be_imported_late(tmp_path: Path) -> None:
    (tmp_path / "own_helper_late.py").write_text("BIAS = 0.25\n")
    source = """
    def f(image):
        from own_helper_late import BIAS
        return [BIAS, 1 - BIAS]
    """
    assert answer(tmp_path, source) == [0.25, 0.75]
    assert str(tmp_path) not in sys.path


def test_two_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    backends = []
    for number in (0.25, 0.75):
        folder = tmp_path / str(number)
        folder.mkdir()
        backends.append(opened(folder, f"def f(image):\n    return [{number}, 1 - {number}]\n"))
    assert [backend.predict(IMAGE)[0, 0] for backend in backends] == [0.25, 0.75]


def test_changed_source_of_the_same_time_and_size_is_what_runs(tmp_path: Path) -> None:
    import os

    for number in (0.25, 0.75):
        backend = opened(tmp_path, f"def f(image):\n    return [{number}, 1 - {number}]\n")
        os.utime(tmp_path / "own_code.py", (1, 1))
        assert backend.predict(IMAGE)[0, 0] == number


def test_a_module_of_a_package_is_imported_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "own_package_a"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("def f(image):\n    return [0.25, 0.75]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = {"callable": "own_package_a.inner:f", "labels": LABELS}
    backend = PythonBackend.open(package / "inner.py", threads=1, settings=settings)
    assert backend.predict(IMAGE)[0].tolist() == [0.25, 0.75]
    (package / "inner.py").write_text("def f(image):\n    return [0.5, 0.5]\n")
    with pytest.raises(ModelError, match=r"own_package_a\.inner has changed since it was imported; start this"):
        PythonBackend.open(package / "inner.py", threads=1, settings=settings)
    (tmp_path / "other.py").write_text("def f(image):\n    return [0.25, 0.75]\n")
    with pytest.raises(ModelError, match=r"own_package_a\.inner here is not the one that was profiled"):
        PythonBackend.open(tmp_path / "other.py", threads=1, settings=settings)


def test_what_it_prints_does_not_go_to_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = """
    print("while it is imported")
    def f(image):
        print("while it answers")
        return [0.25, 0.75]
    """
    backend = opened(tmp_path, source)
    backend.predict(IMAGE)
    print("our own")
    said = capsys.readouterr()
    assert said.out == "our own\n"
    assert said.err == "while it is imported\nwhile it answers\n"
    assert backend.notes() == ("prints to stdout; what it prints is shown on stderr",)


def test_answers_that_are_no_labels_are_noted_with_their_number(tmp_path: Path) -> None:
    source = """
    said = iter(["cow", "emu", "cow", "dog"])
    def f(image):
        return next(said), 0.5
    """
    backend = opened(tmp_path, source)
    for _ in range(3):
        with pytest.raises(RunError, match="what is no label"):
            backend.predict(IMAGE)
    backend.predict(IMAGE)
    (note,) = backend.notes()
    assert note == (
        "answers what is no label: 'cow' (2), 'emu' (1); there it fails, and another candidate answers in its place; "
        "name in label_map only what is another name of a label"
    )


WRONG_AT_ONCE: dict[str, tuple[str, dict[str, Any], str]] = {
    "syntax": ("def f(:\n", {}, "it is not Python; given: line 1"),
    "absent name": ("def g(image):\n    return None\n", {}, "nothing is called f; allowed: g"),
    "no function": ("f = 3\n", {}, "is not callable; given: int"),
    "raises": (
        "raise ValueError('no\\nluck')\n",
        {},
        r"f raised ValueError at own_code\.py:1 while it was imported: no luck$",
    ),
    "exits": ("raise SystemExit(3)\n", {}, r"raised SystemExit at own_code\.py:1 while it was imported: 3$"),
    "package": ("import no_such_package.inner\n", {}, "module no_such_package is not installed; .*no_such_package"),
    "import of a name": ("from json import no_such_name\n", {}, "cannot be imported; given: cannot import name"),
    "async": ("async def f(image):\n    return None\n", {}, "is async; allowed: a plain function"),
    "async object": ("class f:\n    async def __call__(self, image):\n        return None\n", {}, "is async"),
    "constructor": (
        "class f:\n    def __init__(self):\n        1 / 0\n",
        {},
        r"f raised ZeroDivisionError at own_code\.py:3 while it was made: division by zero$",
    ),
    "object": ("class f:\n    pass\n", {}, "own_code.py: what f makes is not callable; given: f"),
    "unknown setting": (
        "def f(image, k=1):\n    pass\n",
        {"arguments": {"size": 1}},
        r"size.*allowed: f\(image, k=1\)",
    ),
    "missing setting": (
        "def f(image, k):\n    pass\n",
        {},
        r"missing a required argument: 'k'.*allowed: f\(image, k\)",
    ),
    "no argument": ("def f():\n    pass\n", {}, r"too many positional arguments.*allowed: f\(\)"),
    "setting of a class": ("class f:\n    def __call__(self, x):\n        pass\n", {"arguments": {"size": 1}}, "size"),
    "version": ("def f(image):\n    pass\n", {"packages": {"pytest": "0.1"}}, "was profiled with pytest 0.1"),
    "setting": ("def f(image):\n    pass\n", {"polish": 1}, "unknown setting for python; given: polish"),
}


@pytest.mark.parametrize("case", WRONG_AT_ONCE)
def test_what_cannot_be_opened_is_named_in_one_line(case: str, tmp_path: Path) -> None:
    source, settings, message = WRONG_AT_ONCE[case]
    with pytest.raises((ModelError, OptionError), match=message) as caught:
        opened(tmp_path, source, **settings)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("own_code.py") == 1 + message.count("at own_code")


def test_only_what_a_module_defines_is_offered_in_place_of_an_absent_name(tmp_path: Path) -> None:
    source = """
    import json, pickle as stored
    from pathlib import Path
    from functools import partial as part
    class Model:
        def first(self): ...
    def answer(image): ...
    """
    with pytest.raises(ModelError, match=r"nothing is called f; allowed: Model, answer$"):
        opened(tmp_path, source)
    with pytest.raises(ModelError, match=r"nothing is called second; allowed: first$"):
        opened(tmp_path, source, callable="own_code.py:Model.second")


def test_what_a_package_gathers_from_its_own_modules_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "own_package_b"
    package.mkdir()
    (package / "inner.py").write_text("def answer(image):\n    return [0.25, 0.75]\n")
    (package / "__init__.py").write_text("from pathlib import Path\nfrom own_package_b.inner import answer\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = {"callable": "own_package_b:answers", "labels": LABELS}
    with pytest.raises(ModelError, match=r"nothing is called answers; allowed: answer$"):
        PythonBackend.open(package / "__init__.py", threads=1, settings=settings)


WRONG_IN_A_CALL: dict[str, tuple[str, str]] = {
    "raises": ("raise KeyError('a\\nb')", r"the callable raised KeyError at own_code\.py:2: 'a.*b'$"),
    "exits": ("raise SystemExit(1)", r"raised SystemExit at own_code\.py:2: 1$"),
    "writes": ("image[:] = 1", "writes to its input, which it shares with other candidates; have it work on a copy"),
    "none": ("return None", "answered None"),
    "awaitable": ("import asyncio; return asyncio.sleep(0)", "is async"),
    "nan": ("return [float('nan'), 1.0]", "NaN or infinite"),
    "number that raises": (
        "return 'cat', type('N', (), {'__float__': lambda self: 1 / 0})()",
        r"the callable's answer raised ZeroDivisionError at own_code\.py:2 while it was read: division by zero$",
    ),
    "length": ("return [1.0]", "wrong number of probabilities; given: 1; allowed: 2"),
}


@pytest.mark.parametrize("case", WRONG_IN_A_CALL)
def test_what_goes_wrong_in_a_call_is_named_in_one_line(case: str, tmp_path: Path) -> None:
    body, message = WRONG_IN_A_CALL[case]
    backend = opened(tmp_path, f"def f(image):\n    {body}\n")
    with pytest.raises(RunError, match=message) as caught:
        backend.predict(IMAGE.copy())
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("own_code.py:f: ")


def test_the_line_that_is_named_is_the_innermost_of_the_users_own_code(tmp_path: Path) -> None:
    (tmp_path / "own_helper.py").write_text("import json\n\n\ndef read(text):\n    return json.loads(text)\n")
    backend = opened(tmp_path, "import own_helper\n\n\ndef f(image):\n    return own_helper.read('{')\n")
    with pytest.raises(
        RunError, match=r"^own_code\.py:f: the callable raised JSONDecodeError at own_helper\.py:5: Exp"
    ):
        backend.predict(IMAGE)
    backend = opened(tmp_path, "def f(image):\n    raise RuntimeError\n")
    with pytest.raises(RunError, match=r"the callable raised RuntimeError at own_code\.py:2$"):
        backend.predict(IMAGE)
    (tmp_path / "own_wrong.py").write_text("\ndef read(:\n")
    with pytest.raises(ModelError, match=r"it is not Python; given: own_wrong\.py, line 2: "):
        opened(tmp_path, "import own_wrong\ndef f(image):\n    pass\n")


def test_the_line_is_named_where_the_manifest_is_named_from_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    backend = opened(Path(), "def f(image):\n    raise KeyError('boom')\n")
    with pytest.raises(RunError, match=r"the callable raised KeyError at own_code\.py:2: 'boom'$"):
        backend.predict(IMAGE)


def test_a_batch_with_another_number_of_answers_is_refused(tmp_path: Path) -> None:
    backend = opened(tmp_path, "def f(images):\n    return [[1.0, 0.0]] * 2\n", batch=True)
    with pytest.raises(RunError, match="a batch of one with one answer; given: 2; allowed: 1"):
        backend.predict(IMAGE)


def test_an_answer_without_labels_is_a_text_with_its_score(tmp_path: Path) -> None:
    backend = opened(tmp_path, "def f(image):\n    return 'ein Hund', 0.5\n", labels=[])
    assert backend.predict(IMAGE).tolist() == ["ein Hund", 0.5]


def test_interrupting_is_not_taken_for_a_failure(tmp_path: Path) -> None:
    backend = opened(tmp_path, "def f(image):\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        backend.predict(IMAGE)


def test_errors_are_the_projects_own(tmp_path: Path) -> None:
    with pytest.raises(PremodelError, match="callable is missing"):
        PythonBackend.open(tmp_path / "own_code.py", threads=1, settings={})
