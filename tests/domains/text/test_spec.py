"""How a text becomes a tensor."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from premodel.backends.base import TensorSpec
from premodel.domains.registry import domain_of
from premodel.errors import ZooError
from premodel.fields import Fields

DOMAIN = domain_of("text-classification")


def spec(**fields: object):  # type: ignore[no-untyped-def]
    return DOMAIN.read_spec(Fields(fields, "here"))


def test_a_whole_text_is_its_bytes_whatever_their_number() -> None:
    own = spec(format="text")
    assert own == spec()
    assert TensorSpec((1, None), "uint8").takes(own.shape)
    assert bytes(DOMAIN.prepare("né", own, DOMAIN.plain_view())) == "né".encode()


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32"])
def test_bytes_are_cut_and_filled_to_the_length(dtype: str) -> None:
    own = spec(format="bytes", length=4, dtype=dtype)
    for text, expected in (("ab", [97, 98, 0, 0]), ("abcdef", [97, 98, 99, 100]), ("abcé", [97, 98, 99, 195])):
        tensor = DOMAIN.prepare(text, own, DOMAIN.plain_view())
        assert tensor.dtype == np.dtype(dtype)
        assert tensor.shape == own.shape
        assert tensor.tolist() == [expected]


@pytest.mark.parametrize(
    "fields",
    [
        {"format": "text"},
        {"format": "bytes", "length": 9, "dtype": "int64"},
        {"format": "tokens", "tokenizer": "t.json", "length": 9},
        {"format": "tokens", "tokenizer": "t.json", "length": 9, "padding": 1, "dtype": "int32"},
    ],
)
def test_a_spec_is_read_as_stores_and_bundles_state_it(fields: dict[str, object]) -> None:
    own = spec(**fields)
    stated = {name: value for name, value in asdict(own).items() if value is not None}
    assert spec(**stated) == own


@pytest.mark.parametrize("name", ["../t.json", "/t.json", "a/t.json", ""])
def test_a_tokenizer_lies_beside_the_model(name: str) -> None:
    with pytest.raises(ZooError, match="wrong tokenizer"):
        spec(format="tokens", tokenizer=name, length=9)


def test_refuses_unknown_formats_and_fields() -> None:
    for fields, match in (
        ({"format": "tokens?"}, "wrong format"),
        ({"format": "bytes"}, "length is missing"),
        ({"format": "bytes", "length": 0}, "wrong length"),
        ({"format": "text", "length": 4}, "wrong length"),
    ):
        with pytest.raises(ZooError, match=match):
            spec(**fields)
