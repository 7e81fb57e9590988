"""Pulling from a server that cuts, lies, refuses, changes its mind, or is not there."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flaky_server import FlakyServer, flaky_server
from premodel.cli.main import main
from premodel.errors import DownloadError, ModelError, OptionError, ZooError
from premodel.zoo.manifest import read_zoo
from premodel.zoo_tools.download import CHUNK_BYTES
from premodel.zoo_tools.known import cache_directory, find_manifest, model_states, models_of, shipped_manifests
from premodel.zoo_tools.pull import Pulled, place_manifest, pull, unreachable

SIZE = 12 * CHUNK_BYTES + 77
CONTENT = np.random.default_rng(5).bytes(SIZE)
OTHER = np.random.default_rng(6).bytes(SIZE)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[FlakyServer]:
    with flaky_server() as running:
        yield running


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def blob_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def write_manifest(folder: Path, *models: dict[str, Any], name: str = "flaky") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "names.txt").write_text("cat\ndog\n")
    text = f'name = "{name}"\ntask = "image-classification"\nlabels = "names.txt"\n'
    for number, model in enumerate(models):
        fields = {"name": f"m{number}", "file": f"models/m{number}.onnx", "runtime": "onnx", **model}
        text += "[[models]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())
        text += (
            'input = { size = [8, 8], layout = "NCHW", dtype = "float32", resize = "squash", crop_fraction = 1.0, '
            'interpolation = "bilinear" }\noutput = { activation = "none" }\n'
        )
    (folder / "zoo.toml").write_text(text)
    return folder / "zoo.toml"


def pull_all(manifest: Path, folder: Path, **options: Any) -> list[Pulled]:
    zoo = read_zoo(manifest)
    results = list(pull(zoo, folder, pause_s=0.001, **options))
    assert not list(folder.glob(".pull-*"))
    return sorted(results, key=lambda result: result.name)


def pull_one(tmp_path: Path, url: str, content: bytes = CONTENT, **options: Any) -> tuple[Pulled, Path]:
    manifest = write_manifest(tmp_path / "from", {"url": url, "sha256": sha256(content)})
    (result,) = pull_all(manifest, tmp_path / "to", **options)
    return result, tmp_path / "to" / "models" / "m0.onnx"


def leftovers(file: Path) -> list[str]:
    return sorted(path.name for path in file.parent.iterdir() if path != file)


def test_a_whole_file_and_nothing_the_second_time(server: FlakyServer, tmp_path: Path) -> None:
    url = server.add("/m", CONTENT)
    result, file = pull_one(tmp_path, url)
    assert (result.state, result.size_bytes, result.resumed_from) == ("downloaded", SIZE, 0)
    assert file.read_bytes() == CONTENT
    assert leftovers(file) == []
    again, _ = pull_one(tmp_path, url)
    assert again.state == "present"
    assert len(server.pages["/m"].requests) == 1


def test_a_cut_connection_is_gone_on_from(server: FlakyServer, tmp_path: Path) -> None:
    url = server.add("/m", CONTENT, cuts=[4 * CHUNK_BYTES, 5 * CHUNK_BYTES])
    result, file = pull_one(tmp_path, url)
    assert result.state == "downloaded"
    assert file.read_bytes() == CONTENT
    asked = [request.get("Range") for request in server.pages["/m"].requests]
    assert asked == [None, f"bytes={4 * CHUNK_BYTES}-", f"bytes={9 * CHUNK_BYTES}-"]
    assert all("If-Range" in request for request in server.pages["/m"].requests[1:])


def test_the_next_run_goes_on_where_the_last_was_cut(server: FlakyServer, tmp_path: Path) -> None:
    url = server.add("/m", CONTENT, cuts=[4 * CHUNK_BYTES, 0, 0, 0, 0])
    result, file = pull_one(tmp_path, url)
    assert result.state == "failed"
    assert isinstance(result.error, DownloadError)
    assert f"{4 * CHUNK_BYTES} bytes are kept" in str(result.error)
    assert leftovers(file) == ["m0.onnx.part", "m0.onnx.part.json"]
    assert model_states(read_zoo(tmp_path / "from" / "zoo.toml"), tmp_path / "to")[0].state == "part"
    result, file = pull_one(tmp_path, url)
    assert (result.state, result.resumed_from) == ("downloaded", 4 * CHUNK_BYTES)
    assert file.read_bytes() == CONTENT
    assert leftovers(file) == []


def test_a_server_without_ranges_starts_again(server: FlakyServer, tmp_path: Path) -> None:
    url = server.add("/m", CONTENT, cuts=[4 * CHUNK_BYTES], ranges=False)
    result, file = pull_one(tmp_path, url)
    assert (result.state, result.resumed_from) == ("downloaded", 0)
    assert file.read_bytes() == CONTENT


def test_a_server_that_sends_another_range_is_not_believed(server: FlakyServer, tmp_path: Path) -> None:
    url = server.add("/m", CONTENT, cuts=[4 * CHUNK_BYTES], wrong_range=True)
    result, file = pull_one(tmp_path, url)
    assert result.state == "downloaded"
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("etag", [True, False])
def test_a_file_that_changes_between_attempts(server: FlakyServer, tmp_path: Path, etag: bool) -> None:
    """With an ETag the part is thrown away at once; without one the digest of the glued file gives it away."""
    url = server.add("/m", OTHER, cuts=[4 * CHUNK_BYTES], changes_to=CONTENT, etag=etag)
    result, file = pull_one(tmp_path, url)
    assert (result.state, result.resumed_from) == ("downloaded", 0)
    assert file.read_bytes() == CONTENT
    assert len(server.pages["/m"].requests) == (2 if etag else 3)


def test_a_complete_part_needs_only_its_check(server: FlakyServer, tmp_path: Path) -> None:
    url = server.add("/m", CONTENT)
    file = tmp_path / "to" / "models" / "m0.onnx"
    file.parent.mkdir(parents=True)
    file.with_name("m0.onnx.part").write_bytes(CONTENT)
    file.with_name("m0.onnx.part.json").write_text(json.dumps({"url": url}))
    result, _ = pull_one(tmp_path, url)
    assert (result.state, result.resumed_from) == ("downloaded", SIZE)
    assert file.read_bytes() == CONTENT


def test_a_part_of_another_url_is_not_used(server: FlakyServer, tmp_path: Path) -> None:
    url = server.add("/m", CONTENT)
    file = tmp_path / "to" / "models" / "m0.onnx"
    file.parent.mkdir(parents=True)
    file.with_name("m0.onnx.part").write_bytes(OTHER[:1000])
    file.with_name("m0.onnx.part.json").write_text(json.dumps({"url": url + "x"}))
    assert pull_one(tmp_path, url)[0].state == "downloaded"
    assert "Range" not in server.pages["/m"].requests[0]


def test_wrong_bytes_name_both_digests_and_leave_nothing(server: FlakyServer, tmp_path: Path) -> None:
    result, file = pull_one(tmp_path, server.add("/m", OTHER))
    assert result.state == "failed"
    assert isinstance(result.error, ModelError)
    assert sha256(CONTENT) in str(result.error)
    assert sha256(OTHER) in str(result.error)
    assert not file.exists()
    assert leftovers(file) == []


@pytest.mark.parametrize("kind", ["sha256", "git_blob_sha1"])
def test_a_wrong_download_leaves_what_was_there(server: FlakyServer, tmp_path: Path, kind: str) -> None:
    """The file at hand is of an older manifest, good for it: only a verified one may take its place."""
    digest = {"sha256": sha256, "git_blob_sha1": blob_sha1}[kind]
    page = server.add("/m", b"wrong")
    manifest = write_manifest(tmp_path / "from", {"url": page, kind: digest(CONTENT)})
    file = tmp_path / "to" / "models" / "m0.onnx"
    file.parent.mkdir(parents=True)
    file.write_bytes(OTHER)
    (result,) = pull_all(manifest, tmp_path / "to")
    assert result.state == "failed"
    assert file.read_bytes() == OTHER
    server.pages["/m"].content = CONTENT
    (result,) = pull_all(manifest, tmp_path / "to")
    assert result.state == "downloaded"
    assert file.read_bytes() == CONTENT


def test_git_blob_sha1_alone_verifies(server: FlakyServer, tmp_path: Path) -> None:
    models = [
        {"url": server.add("/good", CONTENT), "git_blob_sha1": blob_sha1(CONTENT)},
        {"url": server.add("/bad", OTHER), "git_blob_sha1": blob_sha1(CONTENT)},
    ]
    good, bad = pull_all(write_manifest(tmp_path / "from", *models), tmp_path / "to")
    assert good.state == "downloaded"
    assert bad.state == "failed"
    assert blob_sha1(CONTENT) in str(bad.error)
    assert blob_sha1(OTHER) in str(bad.error)


def test_one_failure_does_not_stop_the_others(server: FlakyServer, tmp_path: Path) -> None:
    models = [{"url": server.url + "/none", "sha256": sha256(CONTENT)}]
    models += [{"url": server.add(f"/{i}", CONTENT, cuts=[1000]), "sha256": sha256(CONTENT)} for i in range(5)]
    results = pull_all(write_manifest(tmp_path / "from", *models), tmp_path / "to", jobs=3)
    assert [result.state for result in results] == ["failed"] + ["downloaded"] * 5
    assert "404" in str(results[0].error)


def test_a_busy_server_is_asked_again(server: FlakyServer, tmp_path: Path) -> None:
    assert pull_one(tmp_path, server.add("/m", CONTENT, statuses=[503, 429]))[0].state == "downloaded"


def test_redirects(server: FlakyServer, tmp_path: Path) -> None:
    target = server.add("/m", CONTENT, cuts=[4 * CHUNK_BYTES])
    result, file = pull_one(tmp_path, server.add("/moved", redirect=target))
    assert result.state == "downloaded"
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/m", "file:///etc/hostname", "data:,x"])
def test_redirects_elsewhere_are_refused(server: FlakyServer, tmp_path: Path, target: str) -> None:
    result, file = pull_one(tmp_path, server.add("/moved", redirect=target))
    assert isinstance(result.error, OptionError)
    assert "redirect refused" in str(result.error)
    assert leftovers(file) == []


def test_a_circle_of_redirects_ends(server: FlakyServer, tmp_path: Path) -> None:
    url = server.add("/round", redirect="/round")
    assert "too many redirects" in str(pull_one(tmp_path, url)[0].error)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/m", "file:///etc/hostname", "m.onnx"])
def test_other_schemes_are_refused(tmp_path: Path, url: str) -> None:
    result, _ = pull_one(tmp_path, url)
    assert isinstance(result.error, OptionError)
    assert "url refused" in str(result.error)


@pytest.mark.parametrize("declared", [None, 3 << 30])
def test_a_file_that_is_too_large(server: FlakyServer, tmp_path: Path, declared: int | None) -> None:
    url = server.add("/m", CONTENT, declared=declared)
    result, file = pull_one(tmp_path, url, **({} if declared else {"max_bytes": SIZE - 1}))
    assert isinstance(result.error, OptionError)
    assert "too large" in str(result.error)
    assert leftovers(file) == []


def test_entries_that_cannot_be_pulled(server: FlakyServer, tmp_path: Path) -> None:
    models = [
        {"url": server.add("/m", CONTENT)},
        {"sha256": sha256(CONTENT)},
        {"url": server.url + "/m", "sha256": sha256(CONTENT), "file": str(tmp_path / "elsewhere.onnx")},
    ]
    no_digest, no_url, outside = pull_all(write_manifest(tmp_path / "from", *models), tmp_path / "to")
    assert "no digest" in str(no_digest.error)
    assert "no url" in str(no_url.error)
    assert "only beneath its folder" in str(outside.error)
    assert server.pages["/m"].requests == []


def test_no_file_leaves_the_folder_through_a_link(server: FlakyServer, tmp_path: Path) -> None:
    url = server.add("/m", CONTENT)
    (tmp_path / "to").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "to" / "models").symlink_to(tmp_path / "outside")
    manifest = write_manifest(tmp_path / "from", {"url": url, "sha256": sha256(CONTENT)})
    (result,) = pull_all(manifest, tmp_path / "to")
    assert isinstance(result.error, ZooError)
    assert not list((tmp_path / "outside").iterdir())


def test_models_that_share_a_file_are_fetched_once(server: FlakyServer, tmp_path: Path) -> None:
    url = server.add("/m", CONTENT)
    same = {"url": url, "sha256": sha256(CONTENT), "file": "models/one.onnx"}
    manifest = write_manifest(tmp_path / "from", same, {**same, "threads": 2})
    assert [result.state for result in pull_all(manifest, tmp_path / "to")] == ["downloaded"]
    assert len(server.pages["/m"].requests) == 1
    manifest = write_manifest(tmp_path / "from", same, {**same, "sha256": sha256(OTHER)})
    assert "different digests" in str(pull_all(manifest, tmp_path / "to")[0].error)


def closed_url() -> str:
    with flaky_server() as gone:
        return gone.url


def test_offline_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = [{"url": f"{closed_url()}/{i}", "sha256": sha256(CONTENT)} for i in range(6)]
    manifest = write_manifest(tmp_path / "from", *models)
    assert main(["zoo", "pull", str(manifest), "--dest", str(tmp_path / "to")]) == 1
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert "offline, 6 files are still missing" in captured.err
    assert "Traceback" not in captured.err
    assert unreachable(pull_all(manifest, tmp_path / "to")) is not None


def test_an_interrupted_pull_keeps_its_parts(server: FlakyServer, tmp_path: Path) -> None:
    url = server.add("/m", CONTENT, cuts=[4 * CHUNK_BYTES, 0, 0, 0, 0])
    manifest = write_manifest(
        tmp_path / "from", {"url": url, "sha256": sha256(CONTENT)}, {"url": server.add("/2", b"x"), "sha256": "0" * 64}
    )
    running = pull(read_zoo(manifest), tmp_path / "to", jobs=1, pause_s=0.001)
    next(running)
    running.close()  # what an exception in the loop, such as Ctrl-C, comes to
    part = tmp_path / "to" / "models" / "m0.onnx.part"
    assert part.read_bytes() == CONTENT[: 4 * CHUNK_BYTES]
    assert not list((tmp_path / "to").glob(".pull-*"))


def test_ctrl_c_keeps_the_parts(server: FlakyServer, tmp_path: Path) -> None:
    """The servers fall silent; the command must end all the same, and the next one go on."""
    models = [
        {"url": server.add(f"/{i}", CONTENT, cuts=[4 * CHUNK_BYTES], silent=True), "sha256": sha256(CONTENT)}
        for i in range(2)
    ]
    manifest = write_manifest(tmp_path / "from", *models)
    words = ["zoo", "pull", str(manifest), "--dest", str(tmp_path / "to")]
    parts = [tmp_path / "to" / "models" / f"m{i}.onnx.part" for i in range(2)]
    with subprocess.Popen(
        [sys.executable, "-m", "premodel.cli.main", *words], stderr=subprocess.PIPE, text=True
    ) as command:
        while command.poll() is None and not all(
            part.exists() and part.stat().st_size == 4 * CHUNK_BYTES for part in parts
        ):
            time.sleep(0.01)
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=30)
    assert command.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert all(part.read_bytes() == CONTENT[: 4 * CHUNK_BYTES] for part in parts)
    assert not list((tmp_path / "to").glob(".pull-*"))
    assert main(words) == 0
    assert [server.pages[f"/{i}"].requests[1]["Range"] for i in range(2)] == [f"bytes={4 * CHUNK_BYTES}-"] * 2


def test_the_command_into_the_cache(
    server: FlakyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREMODEL_CACHE", str(tmp_path / "cache"))
    manifest = write_manifest(
        tmp_path / "from", {"url": server.add("/m", CONTENT), "sha256": sha256(CONTENT), "license": "MIT"}
    )
    assert main(["zoo", "pull", str(manifest), "--json"]) == 0
    reported = json.loads(capsys.readouterr().out)
    assert (reported["downloaded"], reported["present"], reported["failed"]) == (1, 0, 0)
    assert reported["zoo"] == str(tmp_path / "cache" / "flaky" / "zoo.toml")
    read_zoo(reported["zoo"], require_files=True)
    assert main(["zoo", "pull", reported["zoo"]]) == 0
    assert "1 were there" in capsys.readouterr().out
    assert main(["zoo", "list", "--json"]) == 0
    zoos = json.loads(capsys.readouterr().out)["zoos"]
    assert [zoo["name"] for zoo in zoos] == [*shipped_manifests(), "flaky"]
    assert zoos[-1]["models"] == [
        {
            "name": "m0", "file": str(tmp_path / "cache/flaky/models/m0.onnx"), "state": "present", "size_bytes": SIZE,
            "license": "MIT", "url": server.url + "/m",
        }
    ]  # fmt: skip
    assert {model["state"] for model in zoos[0]["models"]} == {"missing"}
    assert main(["zoo", "list"]) == 0
    assert "flaky: 1 of 1 models present" in capsys.readouterr().out


def test_exit_codes(server: FlakyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dest = ["--dest", str(tmp_path / "to")]
    refused = write_manifest(tmp_path / "refused", {"url": server.url + "/none", "sha256": sha256(CONTENT)})
    assert main(["zoo", "pull", str(refused), *dest]) == 1
    wrong = write_manifest(tmp_path / "wrong", {"url": server.add("/m", OTHER), "sha256": sha256(CONTENT)})
    assert main(["zoo", "pull", str(wrong), *dest]) == 2
    assert main(["zoo", "pull", "no-such-zoo", *dest]) == 2
    assert "imagenet-edge" in capsys.readouterr().err
    assert main(["zoo", "pull", str(wrong), *dest, "--jobs", "0"]) == 2


def test_another_manifest_in_the_folder_is_kept(tmp_path: Path) -> None:
    zoo = read_zoo(write_manifest(tmp_path / "from", {"url": "http://h/m"}))
    place = place_manifest(zoo, tmp_path / "to")
    place.write_text(place.read_text() + "# edited\n")
    assert place_manifest(zoo, tmp_path / "to") == place
    assert "# edited" in (tmp_path / "to" / "zoo.toml.old").read_text()
    assert place.read_bytes() == zoo.file.read_bytes()
    stranger = read_zoo(write_manifest(tmp_path / "stranger", {}, name="stranger"))
    with pytest.raises(ZooError, match=r"holds another zoo.*given: flaky"):
        place_manifest(stranger, tmp_path / "to")
    assert place_manifest(zoo, tmp_path / "from") == zoo.file


def test_shipped_zoos_can_be_read_and_verified() -> None:
    assert "imagenet-edge" in shipped_manifests()
    zoo = read_zoo(find_manifest("imagenet-edge"))
    assert len(zoo.labels) == 1000
    models = models_of(zoo)
    assert len(models) == 14
    assert all(model.url.startswith("https://") and (model.sha256 or model.git_blob_sha1) for model in models)


def test_shipped_zoo_fits_the_real_files(imagenet: Path) -> None:
    states = model_states(read_zoo(find_manifest("imagenet-edge")), imagenet)
    assert sum(state.state == "present" for state in states) == 5
    assert {state.state for state in states} == {"present", "missing"}


def test_cache_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREMODEL_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.delenv("PREMODEL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory().name == "premodel"


def test_a_model_on_a_server_is_not_pulled(server: FlakyServer, tmp_path: Path) -> None:
    url = server.add("/a", CONTENT)
    remote = {"url": server.url, "sha256": sha256(OTHER), "runtime": "oip"}
    manifest = write_manifest(tmp_path / "from", {"url": url, "sha256": sha256(CONTENT)}, remote)
    (only,) = pull_all(manifest, tmp_path / "to")
    assert (only.name, only.state) == ("m0", "downloaded")


def test_further_files_of_a_model_come_with_it(server: FlakyServer, tmp_path: Path) -> None:
    weights = "sub dir/w.data"
    url = server.add("/models/m.onnx", CONTENT)
    server.add("/models/sub%20dir/w.data", OTHER)
    entry = {"url": url, "sha256": sha256(CONTENT)}
    manifest = write_manifest(tmp_path / "from", entry)
    line = f"files = {{ {json.dumps(weights)} = {json.dumps(sha256(OTHER))} }}"
    manifest.write_text(manifest.read_text().replace("[[models]]", f"[[models]]\n{line}"))
    results = pull_all(manifest, tmp_path / "to")
    assert [(one.name, one.state) for one in results] == [("m0", "downloaded"), (f"m0/{weights}", "downloaded")]
    folder = tmp_path / "to" / "models"
    assert (folder / "m0.onnx").read_bytes() == CONTENT
    assert (folder / weights).read_bytes() == OTHER
    assert [one.state for one in pull_all(manifest, tmp_path / "to")] == ["present", "present"]
    (folder / weights).write_bytes(CONTENT)
    zoo = read_zoo(manifest)
    assert [state.state for state in model_states(zoo, tmp_path / "to")] == ["wrong digest"]
    (folder / weights).unlink()
    assert [state.state for state in model_states(zoo, tmp_path / "to")] == ["part"]
    server.add("/models/sub%20dir/w.data", CONTENT)
    failed = pull_all(manifest, tmp_path / "to")[1]
    assert failed.state == "failed"
    assert "wrong sha256" in str(failed.error)
    assert not (folder / weights).exists()
