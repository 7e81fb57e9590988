"""Arrays to bytes and back."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from premodel.arrays import SUFFIX, pack_arrays, unpack_arrays
from premodel.container import write_members
from premodel.errors import BundleError

DTYPES = st.sampled_from([np.bool_, np.int8, np.int64, np.uint16, np.float32, np.float64]).map(np.dtype)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


def raw(**members: bytes) -> bytes:
    stream = io.BytesIO()
    write_members(stream, {name + SUFFIX: data for name, data in members.items()})
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:  # type: ignore[type-arg]
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


@settings(deadline=None)
@given(st.dictionaries(st.text("abc.", min_size=1, max_size=5), hnp.arrays(DTYPES, SHAPES), max_size=4))
def test_round_trip(arrays: dict[str, np.ndarray]) -> None:  # type: ignore[type-arg]
    data = pack_arrays(arrays)
    back = unpack_arrays(data, "test")
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        assert back[name].shape == array.shape
        assert np.array_equal(back[name], array, equal_nan=array.dtype.kind == "f")
        assert back[name].flags.writeable
    assert pack_arrays(dict(reversed(arrays.items()))) == data, "the order of names does not matter"


def test_numpy_can_read_it() -> None:
    array = np.arange(6.0).reshape(2, 3)
    with np.load(io.BytesIO(pack_arrays({"a": array, "t": np.array(["x", "yz"])})), allow_pickle=False) as stored:
        assert np.array_equal(stored["a"], array)
        assert stored["t"].tolist() == ["x", "yz"]


def test_objects_are_not_written() -> None:
    with pytest.raises(ValueError, match="not stored"):
        pack_arrays({"a": np.array([{}])})


@pytest.mark.parametrize(
    "member",
    [
        b"",
        b"\x93NUMPY",
        npy(np.arange(4.0))[:-1],  # cut short
        npy(np.arange(4.0)) + b"x",
        npy(np.asfortranarray(np.ones((2, 3)))),
        npy(np.zeros(2, dtype=[("a", "f4")])),
        npy(np.array(["2018"], dtype="datetime64[Y]")),
        npy(np.arange(4, dtype=">i4")),
        npy(np.arange(4.0)).replace(b"(4,)", b"(9,)"),
        npy(np.arange(4.0)).replace(b"(4,), }   ", b"(10**9,) }"),
        npy(np.arange(4.0)).replace(b"<f8", b"<f3"),
        npy(np.arange(4.0)).replace(b"<f8", b"|O8"),
    ],
)
def test_damaged_and_foreign_arrays_are_refused(member: bytes) -> None:
    with pytest.raises(BundleError):
        unpack_arrays(raw(a=member), "test")


def test_a_header_that_promises_too_much_allocates_nothing() -> None:
    huge = npy(np.arange(4.0)).replace(b"(4,), }" + b" " * 17, b"(999999999999999999,), }")
    with pytest.raises(BundleError, match="not what its header states"):
        unpack_arrays(raw(a=huge), "test")
