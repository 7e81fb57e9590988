"""The files of Python candidates: which are looked for where, and what is said of those that are missing or changed."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import premodel
from premodel.errors import ModelError, OptionError
from premodel.files import file_sha256
from premodel.runtime.bundle import Bundle, write_bundle
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.zoo.candidate import Candidate
from premodel.zoo.manifest import read_zoo

CODE = '''
from pathlib import Path


class Fitted:
    """Answers what stands in a file beside it."""

    def __init__(self):
        self.label = (Path(__file__).parent / "fitted.txt").read_text().strip()

    def __call__(self, text):
        return self.label, 0.9


def plain(text):
    return "no", 0.6
'''
ZOO = """
name = "words"
task = "text-classification"
labels = ["no", "yes"]

[[models]]
name = "fitted"
runtime = "python"
callable = "own_words.py:Fitted"
files = { "fitted.txt" = "SHA256" }

[[models]]
name = "plain"
runtime = "python"
callable = "PLAIN.py:plain"
"""


def package(folder: Path, to: Path | None = None, *, plain: str = "own_plain", embed: bool = False) -> Path:
    """A bundle that runs `fitted`, and `plain` where that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "own_words.py").write_text(CODE)
    (folder / "own_plain.py").write_text(CODE)
    (folder / "fitted.txt").write_text("yes\n")
    text = ZOO.replace("SHA256", file_sha256(folder / "fitted.txt")).replace("PLAIN", plain)
    (folder / "zoo.toml").write_text(text)
    candidates: tuple[Candidate, ...] = read_zoo(folder / "zoo.toml", require_files=True).candidates
    sizes = {digest: file.stat().st_size for one in candidates for file, digest in one.model.all_files().items()}
    policy = Single(("fitted", "plain"), (0.9, 0.6), Costs((2.0, 1.0), 0.0))
    path = (to or folder) / "words.premodel"
    path.parent.mkdir(parents=True, exist_ok=True)
    bundle = Bundle(policy, candidates, ("no", "yes"), "top1", None, sizes=sizes)
    write_bundle(path, bundle, folder=folder, embed=embed)
    return path


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("yes, and more\n", "{path}: fitted.txt of fitted is not the one that was profiled; given: {file}, of another "
         "size; allowed: 4 bytes; "),
        ("yep\n", "{file}: a further file of fitted has the wrong sha256; given: {sha256}; allowed: "),
    ],
)  # fmt: skip
def test_a_refit_in_place_is_named_and_another_candidate_answers(tmp_path: Path, content: str, reason: str) -> None:
    path, file = package(tmp_path), tmp_path / "fitted.txt"
    with premodel.load(path, trust_python=True) as clf:
        assert clf.predict("a").class_name == "yes"
    file.write_text(content)
    with premodel.load(path, trust_python=True) as clf:
        answer = clf.predict("a")
        assert (answer.candidate, answer.class_name) == ("plain", "no")
        said = clf.unavailable["fitted"]
    assert said == answer.failed["fitted"]
    assert said.startswith(reason.format(path=path, file=file, sha256=file_sha256(file)))
    assert said.endswith(
        "put the old one back; after a change on purpose, such as a refit, put its new sha256 where the manifest "
        "states the old one, profile and train again"
    )
    with pytest.raises(ModelError, match=r"wrong sha256; given: .*; put the old one back; after a change on purpose"):
        premodel.runtime.candidate.verify(read_zoo(tmp_path / "zoo.toml").candidates[0].model)


def test_changed_code_of_all_candidates_is_refused_by_its_name(tmp_path: Path) -> None:
    path = package(tmp_path, plain="own_words")
    (tmp_path / "own_words.py").write_text(CODE + "# changed\n")
    with pytest.raises(ModelError, match=r"own_words\.py of fitted is not the one that was profiled; .*train again"):
        premodel.load(path, trust_python=True)


def test_a_further_file_that_is_missing_is_named_itself(tmp_path: Path) -> None:
    path = package(tmp_path)
    (tmp_path / "fitted.txt").unlink()
    with premodel.load(path, trust_python=True) as clf:
        assert "model file is missing; given: fitted.txt; allowed: in " in clf.unavailable["fitted"]


@pytest.mark.parametrize("named", [True, False], ids=["by the option", "the bundle's own folder"])
def test_python_files_are_not_looked_for_in_folders_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    path = package(tmp_path / "zoo")
    copies = tmp_path / "zoo" / "copies"
    copies.mkdir()
    (tmp_path / "zoo" / "zoo").mkdir()
    for name in ("own_words.py", "own_plain.py", "fitted.txt"):
        content = (tmp_path / "zoo" / name).read_text()
        (tmp_path / "zoo" / "zoo" / name).write_text(content)  # as its recorded path ends
        (tmp_path / "zoo" / name).rename(copies / name)
    with pytest.raises(ModelError, match=r"model file is missing; given: own_plain\.py, own_words\.py"):
        premodel.load(path, zoo=tmp_path / "zoo" if named else None, trust_python=True)
    with premodel.load(path, zoo=copies, trust_python=True) as clf:
        assert clf.predict("a").class_name == "yes"


def test_the_message_on_trust_names_the_file_that_would_run(tmp_path: Path) -> None:
    path = package(tmp_path / "zoo", tmp_path / "out")
    moved = tmp_path / "moved"

    def refusal(zoo: Path | None = None) -> str:
        with pytest.raises(OptionError, match="which is not trusted") as caught:
            premodel.load(path, zoo=zoo)
        return str(caught.value)

    assert f"given: {tmp_path / 'out' / '..' / 'zoo' / 'own_words.py'}; read that code" in refusal()
    (tmp_path / "zoo").rename(moved)
    assert f"{'own_words.py'}, which is missing or changed; read that code" in refusal()
    assert f"given: {moved / 'own_words.py'}; read that code" in refusal(moved)
    path = package(tmp_path / "zoo", tmp_path / "out", embed=True)
    assert f"given: own_words.py, embedded in {path}; read that code" in refusal()


def test_code_that_runs_beside_the_bundle_and_not_where_it_was_is_said_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = package(tmp_path / "zoo", tmp_path / "out", plain="own_words")
    premodel.load(path, trust_python=True).close()
    assert caplog.records == []
    for file in (tmp_path / "zoo").iterdir():
        file.rename(tmp_path / "out" / file.name)
    with caplog.at_level(logging.WARNING), premodel.load(path, trust_python=True) as clf:
        assert clf.predict("a").class_name == "yes"
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"fitted runs the code in {tmp_path / 'out' / 'own_words.py'}; that of the profile, ")
    caplog.clear()
    premodel.load(path, zoo=tmp_path / "out", trust_python=True).close()
    assert caplog.records == []
