"""Bundles: whole, damaged, foreign, half-written."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundles import Made, bundle_of, make_bundle
from policy_makers import MAKERS
from premodel.arrays import pack_arrays, unpack_arrays
from premodel.container import DIGITS, SEAL, open_sealed, write_members
from premodel.errors import BundleError, ModelError
from premodel.runtime.bundle import (
    ARRAYS,
    HEADER,
    MODELS,
    PLAIN_SCHEMA,
    SCHEMA,
    copy_embedded,
    read_bundle,
    write_bundle,
)
from premodel.training.simulate import simulate

PAPER = MAKERS["select, the paper's chain"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_bundle(tmp_path_factory.mktemp("made"), PAPER)


def members_of(path: Path) -> dict[str, bytes]:
    with open_sealed(path) as container:
        return {name: container.read(name) for name in container.sizes}


def forge(path: Path, members: dict[str, Any]) -> Path:
    """A file with the right seal and other contents: what another version, or someone by hand, may have made."""
    stream = io.BytesIO()
    write_members(stream, members, comment=SEAL + b"0" * DIGITS)
    path.write_bytes(stream.getvalue())
    reseal(path)
    return path


def reseal(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-DIGITS] + hashlib.sha256(content[:-DIGITS]).hexdigest().encode())


def with_header(made: Made, path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    members = members_of(made.path)
    header = json.loads(members[HEADER])
    changed = change(header)
    return forge(path, members | {HEADER: json.dumps(header if changed is None else changed).encode()})


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS.keys())
@pytest.mark.parametrize("embed", [False, True])
def test_round_trip(tmp_path: Path, maker: Callable[..., Any], embed: bool) -> None:
    made = make_bundle(tmp_path, maker, embed=embed)
    bundle = read_bundle(made.path)
    assert bundle.policy.kind == made.policy.kind
    assert bundle.policy.candidates == made.policy.candidates
    assert bundle.label_names == made.tables.label_names
    assert [candidate.name for candidate in bundle.candidates] == list(made.small.names)
    used = {bundle.candidate(name).model.digest for name in made.policy.candidates}
    assert bundle.embedded == (used if embed else set())
    served, again = simulate(made.policy, made.tables), simulate(bundle.policy, made.tables, one_by_one=True)
    assert served.same_decisions(again).all()


def test_equal_bundles_are_equal_bytes(made: Made, tmp_path: Path) -> None:
    other = made.path.with_name("other.premodel")
    bundle = bundle_of(made.small, made.tables, made.policy)
    digest = write_bundle(other, bundle, folder=made.small.zoo.parent)
    assert other.read_bytes() == made.path.read_bytes()
    assert other.read_bytes().endswith(SEAL + digest.encode())
    assert write_bundle(tmp_path / "x", read_bundle(other), folder=made.small.zoo.parent)


def test_it_is_a_plain_zip_without_pickle(made: Made) -> None:
    with zipfile.ZipFile(made.path) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [ARRAYS, HEADER]
        header = json.loads(archive.read(HEADER))
        with np.load(io.BytesIO(archive.read(ARRAYS)), allow_pickle=False) as arrays:
            assert "selector.rows" in arrays
    assert header["schema"] == PLAIN_SCHEMA
    assert header["folder"] == "zoo"
    assert header["candidates"][0]["file"] == "models/m0.npz"


def test_every_flipped_byte_is_refused(tmp_path: Path) -> None:
    whole = make_bundle(tmp_path, PAPER, n=8, m=2).path.read_bytes()
    damaged = tmp_path / "damaged.premodel"
    damaged.write_bytes(whole)
    with damaged.open("r+b", buffering=0) as file:
        for position, value in enumerate(whole):
            for flip in (0x01, 0x20) if position % 7 == 0 else (0xFF,):
                os.pwrite(file.fileno(), bytes([value ^ flip]), position)
                with pytest.raises(BundleError) as caught:
                    read_bundle(damaged)
                assert str(damaged) in str(caught.value)
                assert "\n" not in str(caught.value)
            os.pwrite(file.fileno(), bytes([value]), position)
    assert read_bundle(damaged).policy.kind == "select", "undamaged again"


def test_every_truncation_is_refused(made: Made, tmp_path: Path) -> None:
    whole = made.path.read_bytes()
    damaged = tmp_path / "short.premodel"
    for length in range(0, len(whole), 13):
        damaged.write_bytes(whole[:length])
        with pytest.raises(BundleError):
            read_bundle(damaged)
    damaged.write_bytes(whole + b"x")
    with pytest.raises(BundleError):
        read_bundle(damaged)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such bundle"):
        read_bundle(tmp_path / "absent.premodel")
    with pytest.raises(BundleError, match="cannot be read"):
        read_bundle(tmp_path)
    text = tmp_path / "text.premodel"
    text.write_text("hello " * 100)
    with pytest.raises(BundleError, match="must be a whole bundle"):
        read_bundle(text)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "a" * 300)
    with pytest.raises(BundleError, match="must be a whole bundle"):
        read_bundle(tmp_path / "other.zip")


def test_a_sealed_zip_bomb_is_refused_unread(made: Made, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.premodel"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = SEAL + b"0" * DIGITS
        archive.writestr(HEADER, b" " * 30_000_000)
    reseal(bomb)
    with pytest.raises(BundleError, match="compressed"):
        read_bundle(bomb)


@pytest.mark.parametrize("name", ["../evil", "/evil", "models/../../evil", "models/abc", "evil.pkl"])
def test_members_that_no_bundle_has(made: Made, tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="a member that no bundle has"):
        read_bundle(forge(tmp_path / "x.premodel", members_of(made.path) | {name: b"x"}))


def test_repeated_members_are_refused(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "x.premodel"
    members = members_of(made.path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = SEAL + b"0" * DIGITS
        archive.writestr(HEADER, members[HEADER])
        archive.writestr(ARRAYS, members[ARRAYS])
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(HEADER, members[HEADER])
    reseal(path)
    with pytest.raises(BundleError, match="repeated"):
        read_bundle(path)


@pytest.mark.parametrize("missing", [HEADER, ARRAYS])
def test_missing_members(made: Made, tmp_path: Path, missing: str) -> None:
    members = members_of(made.path)
    del members[missing]
    with pytest.raises(BundleError, match=f"{missing} is missing"):
        read_bundle(forge(tmp_path / "x.premodel", members))


def drop(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda header: {key: value for key, value in header.items() if key != name}


def put(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda header: header.update({name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("format", "something else"), "wrong format"),
        (put("schema", SCHEMA - 2), "is of another version.*make it anew from its profile: premodel train STORE --out"),
        (put("schema", SCHEMA + 1), "is of another version of premodel.*update premodel"),
        (put("extractor_version", "0"), "features are of another version.*retrain"),
        (put("features", ["contrast"]), "wrong features"),
        (put("criterion", "top3"), "wrong criterion"),
        (put("labels", ["one"]), "labels and candidates do not fit"),
        (put("labels", []), "labels and candidates do not fit"),
        (put("candidates", []), "wrong number of candidates"),
        (put("embedded", ["0" * 64]), "wrong embedded"),
        (put("sizes", {"a": -1}), "wrong sizes"),
        (put("folder", 7), "wrong folder"),
        (put("policy", {"kind": "oracle", "settings": {}}), "unknown policy"),
        (put("policy", {"kind": "single", "settings": {}}), "policy single is incomplete"),
        (put("policy", {"kind": "single", "settings": []}), "wrong policy.settings"),
        (put("surprise", 1), "unknown field surprise"),
        (lambda header: header["policy"]["settings"].update(fallback="nobody"), "candidates are not the bundle's"),
        (lambda header: header["policy"]["settings"]["selector"].update(kind="guess"), "unknown kind of selector"),
        (lambda header: header["candidates"][0].update(runtime="guess"), "wrong runtime"),
        (lambda header: header["candidates"][0].update(file="../../evil"), "wrong file"),
        (lambda header: [header], "entry is not a table"),
        *(
            (drop(name), f"{name} is missing")
            for name in ("folder", "policy", "criterion", "training_record", "made_by")
        ),
    ],
)
def test_wrong_headers(made: Made, tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        read_bundle(with_header(made, tmp_path / "x.premodel", change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b'{"a": NaN}', b"\xff\xfe"])
def test_headers_that_are_no_json(made: Made, tmp_path: Path, text: bytes) -> None:
    with pytest.raises(BundleError):
        read_bundle(forge(tmp_path / "x.premodel", members_of(made.path) | {HEADER: text}))


def test_nothing_is_left_where_it_cannot_be_written(made: Made, tmp_path: Path) -> None:
    bundle = bundle_of(made.small, made.tables, made.policy)
    with pytest.raises(BundleError, match="cannot be written"):
        write_bundle(tmp_path / "absent" / "x.premodel", bundle)
    (tmp_path / "folder").mkdir()
    with pytest.raises(BundleError, match="cannot be written"):
        write_bundle(tmp_path / "folder", bundle)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_full_disk_keeps_the_old_bundle(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.premodel"
    path.write_bytes(made.path.read_bytes())

    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BundleError, match="No space left on device"):
        write_bundle(path, bundle_of(made.small, made.tables, made.policy))
    assert path.read_bytes() == made.path.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.premodel"]


def test_a_real_write_limit_leaves_nothing_behind(tmp_path: Path) -> None:
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from premodel.errors import BundleError\n"
        "from premodel.container import write_sealed\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try:\n"
        "    write_sealed(Path(sys.argv[1]), {'big': b'x' * 1_000_000})\n"
        "except BundleError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.premodel")], capture_output=True, text=True, check=True
    )
    assert "cannot be written; given: File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_changed_model_is_not_embedded(tmp_path: Path) -> None:
    made = make_bundle(tmp_path, PAPER)
    file = made.small.zoo.parent / "models" / "m0.npz"
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(ModelError, match="not the one that was profiled"):
        write_bundle(tmp_path / "y.premodel", bundle_of(made.small, made.tables, made.policy), embed=True)
    assert not (tmp_path / "y.premodel").exists()


def test_embedded_models_are_checked_when_unpacked(tmp_path: Path) -> None:
    made = make_bundle(tmp_path, PAPER, embed=True)
    digest = sorted(read_bundle(made.path).embedded)[0]
    copy_embedded(made.path, digest, tmp_path / "model")
    members = members_of(made.path)
    assert (tmp_path / "model").read_bytes() == members[MODELS + digest]
    forged = forge(tmp_path / "forged.premodel", members | {MODELS + digest: b"another model"})
    with pytest.raises(ModelError, match="wrong sha256"):
        copy_embedded(forged, digest, tmp_path / "model")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
) | st.sampled_from([10**400, -1, [[[[[[]]]]]], "../" * 9, "\0", "x" * 5000])


def spots(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(spot for key, item in items for spot in spots(item, (*path, key)))]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_header_is_a_bundle_or_a_bundle_error(made: Made, tmp_path: Path, data: st.DataObject) -> None:
    members = members_of(made.path)
    header = json.loads(members[HEADER])
    spot = data.draw(st.sampled_from([spot for spot in spots(header) if spot and spot[0] != "training_record"]))
    target = header
    for key in spot[:-1]:
        target = target[key]
    target[spot[-1]] = data.draw(JSON)
    path = forge(tmp_path / "x.premodel", members | {HEADER: json.dumps(header).encode()})
    try:
        bundle = read_bundle(path)
    except BundleError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        simulate(bundle.policy, made.tables)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_array_bytes_are_a_bundle_or_a_bundle_error(
    made: Made, tmp_path: Path, data: st.DataObject
) -> None:
    members = members_of(made.path)
    arrays = bytearray(members[ARRAYS])
    for _ in range(data.draw(st.integers(1, 3))):
        arrays[data.draw(st.integers(0, len(arrays) - 1))] = data.draw(st.integers(0, 255))
    path = forge(tmp_path / "x.premodel", members | {ARRAYS: bytes(arrays)})
    try:
        read_bundle(path)
    except BundleError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_a_policy_of_another_number_of_labels_is_refused(tmp_path: Path) -> None:
    """A number of labels unlike the list: an answer outside it, or memory for millions of labels that nobody has."""
    routing = make_bundle(tmp_path, MAKERS["cascade-routing"])

    def change(header: dict[str, Any]) -> None:
        header["policy"]["settings"]["n_labels"] = 500_000_000

    with pytest.raises(BundleError, match="as many labels as the bundle; given: 500000000; allowed: "):
        read_bundle(with_header(routing, tmp_path / "labels.premodel", change))


def with_parts(made: Made, path: Path, change: Callable[[dict[str, Any], dict[str, Any]], Any]) -> Path:
    """The bundle with other settings of its policy and other arrays, under a right seal."""
    members = members_of(made.path)
    header, arrays = json.loads(members[HEADER]), unpack_arrays(members[ARRAYS], "arrays")
    change(header["policy"]["settings"], arrays)
    return forge(path, members | {HEADER: json.dumps(header).encode(), ARRAYS: pack_arrays(arrays)})


def put(name: str, value: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """Every number of an array at once; `None` for another type of the same numbers."""

    def change(settings: dict[str, Any], arrays: dict[str, Any]) -> None:
        del settings
        if value is None:
            arrays[name] = arrays[name].astype(np.float64 if arrays[name].dtype != np.float64 else np.float32)
        else:
            arrays[name] = np.full_like(arrays[name], value)

    return change


def say(name: str, value: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(settings: dict[str, Any], arrays: dict[str, Any]) -> None:
        del arrays
        table, _, last = name.rpartition(".")
        (settings[table] if table else settings)[last] = value

    return change


@pytest.mark.parametrize(
    ("maker", "change", "states"),
    [
        ("cascade-routing", say("top_n", 5_000_000), "top_n 5000000"),
        ("cascade-routing", say("n_labels", 5), "as many labels"),
        ("cascade-routing", say("accuracy", [-5, 0.5, 99]), r"accuracy must be in \[0, 1\], got -5"),
        ("cascade-routing", say("costs.decode_ms", 1e308), "the policy's costs are wrong; .*; allowed: 3 latencies"),
        ("cascade-routing", put("weights", 1e38), "weights must be"),
        ("cascade-routing", put("cost_weight", -1.0), "must rise, from 0"),
        ("cascade-routing", put("start", None), "start is float64 .*; allowed: float32"),
        ("cascade-routing", put("member", None), "member is float64 .*; allowed: int8"),
        ("cascade-routing", put("member", 2), "a set must serve the answer of one of its own candidates"),
        ("cascade-routing", put("calibration", 1e300), "calibration"),
        ("cascade", put("continuation", np.inf), "continuation or start values must be finite"),
        ("single", say("costs.latency_ms", [1.0, 2.0, 1e300]), "the policy's costs are wrong"),
        ("select, utility", say("cost_weight", 1e300), "cost_weight must be from 0 to 1e\\+100"),
        ("select, utility", put("selector.weights", 1e300), "array weights is out of range"),
        ("select, abstaining", put("selector.rows", 3e38), "array rows is out of range.*; allowed: -1 to 2"),
        ("select, abstaining", put("selector.high", 1e300), "array high is out of range"),
        ("select, abstaining", put("selector.low", 1e-300), "the ends of a feature's range must be float32"),
        ("select, fallback in the chain", put("selector.1.support", 1e30), "array support is out of range"),
        ("select, fallback in the chain", put("selector.1.weights", -1e300), "array weights is out of range"),
        ("select, highest score", put("selector.means", 1e200), "array means is out of range"),
        ("select, highest score", put("selector.variances", 5e-324), "array variances is out of range"),
    ],
)
def test_every_number_that_a_decision_uses_is_checked_on_opening(
    tmp_path: Path, maker: str, change: Callable[[dict[str, Any], dict[str, Any]], Any], states: str
) -> None:
    made = make_bundle(tmp_path, MAKERS[maker])
    with pytest.raises(BundleError, match=states):
        read_bundle(with_parts(made, tmp_path / "wrong.premodel", change))


def test_a_local_model_without_a_digest_is_not_opened(made: Made, tmp_path: Path) -> None:
    def change(header: dict[str, Any]) -> None:
        del header["candidates"][1]["sha256"]
        header["candidates"][1]["git_blob_sha1"] = "0" * 40

    with pytest.raises(BundleError, match="states no sha256 of the model file of m1"):
        read_bundle(with_header(made, tmp_path / "x.premodel", change))


@pytest.mark.parametrize("place", [1 << 31, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
def test_a_directory_beyond_the_end_of_the_file_is_refused(made: Made, tmp_path: Path, place: int) -> None:
    """By the records for large files, which name places and counts in 64 bits."""
    whole = made.path.read_bytes()
    end = len(whole) - len(SEAL) - DIGITS - 22
    count, size, start = struct.unpack_from("<HII", whole, end + 10)
    for entries, length, at in ((count, size, place), (count, place, start), (place, size, start)):
        record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, length, at)
        locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
        tail = bytearray(whole[end:])
        struct.pack_into("<HHII", tail, 8, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
        path = tmp_path / "far.premodel"
        path.write_bytes(whole[:end] + record + locator + tail)
        reseal(path)
        if entries == count:
            with pytest.raises(BundleError, match="damaged"):
                read_bundle(path)
        else:  # the count is not needed: what is there is read
            assert read_bundle(path).policy.kind == "select"
