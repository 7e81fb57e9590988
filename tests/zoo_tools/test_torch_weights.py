"""Reading PyTorch checkpoints without PyTorch, also those that would rather be run."""

from __future__ import annotations

from typing import Any
from zipfile import ZIP_DEFLATED

import numpy as np
import pytest

from premodel.errors import ModelError
from premodel.zoo_tools.torch_weights import read_torch_weights
from torch_files import SYSTEM, archive, checkpoint, name_of, plain, stream, table, tensor

ZEROS = np.zeros(10_000, np.float32)
GRID = np.arange(12, dtype=np.float32).reshape(3, 4)
ARRAYS = {
    "grid": GRID, "one": np.array(5, np.int64), "none": np.zeros((0, 3), np.float64),
    "cube": np.arange(24, dtype=np.float64).reshape(2, 3, 4),
}  # fmt: skip


@pytest.mark.parametrize("old", [True, False])
def test_tensors_come_back_by_name(old: bool) -> None:
    read = read_torch_weights(checkpoint(ARRAYS, old=old))
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_parts_of_one_storage_and_turned_tensors() -> None:
    index = table(
        {
            "turned": tensor("0", GRID, shape=(4, 3), strides=(1, 4)),
            "part": tensor("0", GRID, offset=5, shape=(2, 2), strides=(4, 1)),
            "parameter": name_of("torch._utils", "_rebuild_parameter") + b"(" + tensor("0", GRID) + b"\x88Nt" + b"R",
        }
    )
    read = read_torch_weights(archive(index, {"0": GRID}))
    assert read["turned"].tolist() == [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]]
    assert read["part"].tolist() == [[5, 6], [9, 10]]
    assert read["parameter"].tolist() == GRID.tolist()


@pytest.mark.parametrize("name", ["print", "eval", "getattr"])
def test_a_name_that_is_not_allowed_is_refused_and_never_called(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    called = name_of("builtins", name) + b"(" + plain("called") + b"tR"
    for content in (archive(table({"w": called}), {}), stream(table({"w": called}), {})):
        with pytest.raises(
            ModelError, match=rf"names what is not allowed; given: builtins\.{name}; allowed: Ord"
        ) as it:
            read_torch_weights(content)
        assert "\n" not in str(it.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "states"),
    [
        (archive(table({"w": plain(3)}), {}), "must be a state dict; given: w; allowed: names and their tensors"),
        (archive(b"\x80\x02" + plain([1]) + b".", {}), "must be a state dict; given: list"),
        (archive(table({"w": tensor("0", GRID)}), {"0": GRID}, byteorder=b"big"), "must be little-endian"),
        (stream(b"", {}, system={**SYSTEM, "little_endian": False}), "must be little-endian"),
        (archive(table({"w": tensor("0", GRID, offset=1)}), {"0": GRID}), "w reaches beyond its numbers"),
        (archive(table({"w": tensor("0", GRID, strides=(4, -1))}), {"0": GRID}), "w reaches beyond its numbers"),
        (archive(table({"w": tensor("0", GRID, shape=(9, 9), strides=(0, 0))}), {"0": GRID}), "beyond its numbers"),
        (archive(table({"w": tensor("0", GRID)}), {"0": GRID[:2]}), "w reaches beyond its numbers"),
        (archive(table({"w": tensor("0", GRID)}), {}), "one that is damaged"),
        (archive(b"\x80\x02}r\xff\xff\xff\x7f.", {}), "must be a state dict; given: dict"),  # 16 GiB for pickle's own
        (archive(table({"w": tensor("0", ZEROS)}), {"0": ZEROS}, compression=ZIP_DEFLATED), "than there are bytes"),
        (archive(b"\x80\x02\x82\x01.", {}), "names and tensors, no more; given: pickle's EXT1"),
        (b"\x80\x02K\x01.", "must be a PyTorch checkpoint, got another"),
        (b"weights", "one that is damaged"),
        (b"", "one that is damaged"),
    ],
)  # fmt: skip
def test_what_is_no_state_dict_is_one_line(content: Any, states: str) -> None:
    with pytest.raises(ModelError, match=states) as it:
        read_torch_weights(content)
    assert "\n" not in str(it.value)


@pytest.mark.parametrize("old", [True, False])
def test_a_cut_file_is_damaged(old: bool) -> None:
    content = checkpoint(ARRAYS, old=old)
    for end in range(0, len(content) - 1, 97):
        with pytest.raises(ModelError):
            read_torch_weights(content[:end])
