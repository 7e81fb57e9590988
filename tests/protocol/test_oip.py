"""Tensors of the protocol: as JSON and as binary data, and what is no tensor."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from premodel.errors import InputError
from premodel.protocol.oip import (
    check_names,
    datatype_of,
    dtype_of,
    join_elements,
    read_body,
    read_outputs,
    read_tensor,
    shape_of,
    split_elements,
    write_body,
)

VALUES = np.array([[1.5, -2.0, 0.25]], np.float32)


def test_a_body_is_what_the_protocol_says() -> None:
    body, length = write_body({"id": "7"}, "inputs", {"x": VALUES, "image": b"abc"})
    assert json.loads(body[:length]) == {
        "id": "7",
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}},
            {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 7}},
        ],
    }
    assert body[length:] == bytes.fromhex("0000c03f 000000c0 0000803e") + b"\x03\0\0\0abc"


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "uint8", "int8", "int32", "int64"])
def test_every_type_there_and_back(dtype: str) -> None:
    values = np.arange(6).reshape(1, 2, 3).astype(dtype)
    body, length = write_body({}, "outputs", {"y": values.astype(values.dtype.newbyteorder(">"))})
    data, binary = read_body(body, length)
    found = read_outputs(data["outputs"], binary)["y"]
    np.testing.assert_array_equal(found, values)
    assert dtype_of(datatype_of(dtype)) == dtype == found.dtype.name


def test_a_type_the_protocol_lacks() -> None:
    with pytest.raises(InputError, match="no such type; given: complex64"):
        datatype_of("complex64")
    assert dtype_of("BF16") == "BF16"


@pytest.mark.parametrize("data", [[1.5, -2, 0.25], [[1.5, -2.0, 0.25]]])
def test_json_data_flat_or_nested(data: Any) -> None:
    found = read_tensor({"datatype": "FP32", "shape": [1, 3], "data": data}, None)
    np.testing.assert_array_equal(found, VALUES)


def test_several_outputs_take_their_parts_in_order() -> None:
    entries = [
        {"name": "a", "datatype": "UINT8", "shape": [2], "parameters": {"binary_data_size": 2}},
        {"name": "b", "datatype": "INT32", "shape": [1], "data": [9]},
        {"name": "c", "datatype": "UINT8", "shape": [1], "parameters": {"binary_data_size": 1}},
    ]
    found = read_outputs(entries, memoryview(b"\1\2\3"))
    assert {name: values.tolist() for name, values in found.items()} == {"a": [1, 2], "b": [9], "c": [3]}


@pytest.mark.parametrize(
    ("entry", "binary", "reported"),
    [
        ({"datatype": "BYTES", "shape": [1]}, b"", "unknown datatype"),
        ({"datatype": "FP32", "shape": [2]}, b"1234", "4 bytes; allowed: 8"),
        ({"datatype": "FP32", "shape": "2"}, b"1234", "wrong shape"),
        ({"datatype": "FP32", "shape": [-1]}, b"1234", "wrong shape"),
        ({"datatype": "FP32", "shape": [True]}, b"1234", "wrong shape"),
        ({"datatype": "FP32", "shape": [2], "data": [1]}, None, "1 values; allowed: 2 numbers"),
        ({"datatype": "FP32", "shape": [2], "data": ["a", "b"]}, None, "fit FP32.*allowed: 2 numbers of FP32"),
        ({"datatype": "FP32", "shape": [2], "data": [[1], [2, 3]]}, None, "must be a tensor"),
        ({"datatype": "FP32", "shape": [2, 3], "data": [[1, 2], [3, 4], [5, 6]]}, None, "shape and data differ"),
        ({"datatype": "FP32", "shape": [1]}, None, "no data"),
        ({"datatype": ["FP32"], "shape": [1]}, None, "unknown datatype"),
        ({"datatype": "UINT8", "shape": [1], "data": [256]}, None, "fit UINT8.*allowed: 1 numbers of UINT8"),
        ({"datatype": "INT8", "shape": [1], "data": [1.5]}, None, "of INT8"),
    ],
)
def test_what_is_no_tensor(entry: dict[str, Any], binary: bytes | None, reported: str) -> None:
    with pytest.raises(InputError, match=reported) as caught:
        read_tensor(entry, None if binary is None else memoryview(binary))
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200), st.none() | st.integers(-5, 300))
def test_any_bytes_are_a_body_or_an_input_error(body: bytes, length: int | None) -> None:
    try:
        data, binary = read_body(body, length)
        read_outputs(data.get("outputs"), binary)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ENTRY = st.fixed_dictionaries(
    {}, optional={"name": JSON, "datatype": st.sampled_from(["FP32", "UINT8"]) | JSON, "shape": JSON, "data": JSON,
                  "parameters": JSON | st.fixed_dictionaries({"binary_data_size": st.integers(-9, 9)})},
)  # fmt: skip


@given(st.lists(ENTRY | JSON, max_size=3), st.binary(max_size=12))
def test_any_outputs_are_tensors_or_an_input_error(entries: Any, binary: bytes) -> None:
    try:
        read_outputs(entries, memoryview(binary))
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_shapes_of_metadata() -> None:
    assert shape_of([-1, 3, -1, 224]) == (1, 3, None, 224)
    assert shape_of([]) == ()


@pytest.mark.parametrize("name", ["max_latency", "maxLatencyMs", "max-latency-ms", "latency", "explains", "Explain"])
def test_a_misspelt_name_is_refused_and_the_right_one_is_named(name: str) -> None:
    own = ("max_latency_ms", "explain")
    with pytest.raises(InputError, match=f"given: '{name}'; allowed: max_latency_ms, explain; is .* meant"):
        check_names({name: 1}, "parameters", own)


@pytest.mark.parametrize("name", ["priority", "sequence_id", "content_type", "headers", "tenant", "trace", "id2"])
def test_names_of_others_are_passed_over(name: str) -> None:
    check_names({name: 1, "explain": True}, "parameters", ("max_latency_ms", "explain"))


def test_data_of_a_table_and_behind_it_in_one_body() -> None:
    values = {"a": np.array([1, 2], np.int32), "t": ["x", "\u00e9"], "b": np.array([[3]], np.uint8)}
    body, length = write_body({}, "outputs", values, {"a": False, "t": True, "b": True})
    tables = json.loads(body[:length])["outputs"]
    assert tables[0] == {"name": "a", "datatype": "INT32", "shape": [2], "data": [1, 2]}
    assert tables[1] == {"name": "t", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 11}}
    assert body[length:] == b"\x01\0\0\0x\x02\0\0\0\xc3\xa9\x03"


def test_texts_among_the_outputs_do_not_hide_the_numbers() -> None:
    body, length = write_body({}, "outputs", {"class": ["cat"], "y": VALUES})
    data, binary = read_body(body, length)
    assert {name: found.tolist() for name, found in read_outputs(data["outputs"], binary).items()} == {
        "y": [[1.5, -2.0, 0.25]]
    }


@given(st.lists(st.binary(max_size=9), max_size=5))
def test_elements_there_and_back(elements: list[bytes]) -> None:
    assert split_elements(memoryview(join_elements(elements))) == elements


@pytest.mark.parametrize(
    ("entries", "binary", "reported"),
    [
        ([{"parameters": {"binary_data_size": 3}}], b"12", "binary_data_size is not what follows"),
        ([{"parameters": {"binary_data_size": -1}}], b"12", "binary_data_size is not what follows"),
        ([{"parameters": {"binary_data_size": True}}], b"12", "binary_data_size is not what follows"),
        ([{"name": "a", "datatype": "UINT8", "shape": [1], "data": [1]}], b"12", "that no output names"),
        ([{"data": [1], "parameters": {"binary_data_size": 1}}], b"1", "both data and"),
        ([{"parameters": {"shared_memory_region": "r"}}], b"", "shared memory is not offered"),
        ([{"parameters": [1]}], b"", "parameters must be a table"),
    ],
)
def test_sizes_that_are_not_what_follows(entries: Any, binary: bytes, reported: str) -> None:
    with pytest.raises(InputError, match=reported):
        read_outputs(entries, memoryview(binary))
