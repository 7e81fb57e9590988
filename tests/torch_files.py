"""PyTorch checkpoints written by hand, so that tests need no PyTorch."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
STORAGES = {"<f4": "FloatStorage", "<f8": "DoubleStorage", "<i8": "LongStorage"}
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def name_of(module: str, name: str) -> bytes:
    """A global, as a pickle of protocol 2 names it."""
    return f"c{module}\n{name}\n".encode()


def plain(value: Any) -> bytes:
    """A plain value, to be put inside a pickle."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(
    key: str, array: NDArray[Any], *, offset: int = 0, shape: Any = None, strides: Any = None, old: bool = False
) -> bytes:
    """What rebuilds a tensor, at the place where it is used."""
    steps = tuple(step // array.itemsize for step in array.strides) if strides is None else strides
    storage = name_of("torch", STORAGES[array.dtype.str])
    reference = b"(" + plain("storage") + storage + plain(key) + plain("cpu") + plain(array.size)
    return (
        name_of("torch._utils", "_rebuild_tensor_v2") + b"(" + reference + (b"N" if old else b"") + b"tQ"
        + plain(offset) + plain(array.shape if shape is None else shape) + plain(steps) + b"\x89"
        + name_of("collections", "OrderedDict") + b")RtR"
    )  # fmt: skip


def table(items: Mapping[str, bytes]) -> bytes:
    """A pickle of an ordered dictionary with these values."""
    inside = b"".join(plain(name) + value for name, value in items.items())
    return b"\x80\x02" + name_of("collections", "OrderedDict") + b")R(" + inside + b"u."


def archive(
    index: bytes, storages: Arrays, *, byteorder: bytes = b"little", compression: int = zipfile.ZIP_STORED
) -> bytes:
    """A checkpoint as PyTorch writes it since 1.6."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as writer:
        writer.writestr("weights/data.pkl", index)
        writer.writestr("weights/byteorder", byteorder)
        for key, array in storages.items():
            writer.writestr(f"weights/data/{key}", array.tobytes())
    return file.getvalue()


def stream(index: bytes, storages: Arrays, *, system: Mapping[str, Any] | None = None) -> bytes:
    """A checkpoint as PyTorch wrote it before."""
    head = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, dict(system or SYSTEM))]
    numbers = [array.size.to_bytes(8, "little") + array.tobytes() for array in storages.values()]
    return b"".join([*head, index, pickle.dumps(list(storages), 2), *numbers])


def checkpoint(arrays: Arrays, *, old: bool = True) -> bytes:
    """A state dict, each tensor with a storage of its own."""
    numbered = {str(number): array for number, array in enumerate(arrays.values())}
    index = table({name: tensor(key, numbered[key], old=old) for name, key in zip(arrays, numbered, strict=True)})
    return stream(index, numbered) if old else archive(index, numbered)


def small_efficientnet() -> dict[str, NDArray[Any]]:
    """Weights of an EfficientNet-Lite of width 0.25 and depth 0.7 with 5 classes, drawn in the order of its layers."""
    rng = np.random.default_rng(7)
    weights: dict[str, NDArray[Any]] = {}

    def draw(name: str, *shape: int) -> None:
        if name.endswith("running_var"):
            values = rng.uniform(0.5, 2, shape)
        elif name.endswith(".weight") and len(shape) == 1:
            values = rng.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            values = rng.normal(0, 1, shape) * np.sqrt(2 / np.prod(shape[1:]))
        else:
            values = rng.normal(0, 0.3, shape)
        weights[name] = values.astype(np.float32)

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            draw(f"{name}.{part}", channels)
        weights[f"{name}.num_batches_tracked"] = np.array(3, np.int64)

    draw("_conv_stem.weight", 8, 3, 3, 3)
    norm("_bn0", 8)
    entering, number = 8, 0
    for leaving, kernel, blocks in ((4, 3, 1), (6, 3, 2), (10, 5, 2), (20, 3, 3), (28, 5, 3), (48, 5, 3), (80, 3, 1)):
        for _ in range(blocks):
            block, wide = f"_blocks.{number}.", entering * 6 if number else entering
            if number:
                draw(f"{block}_expand_conv.weight", wide, entering, 1, 1)
                norm(f"{block}_bn0", wide)
            draw(f"{block}_depthwise_conv.weight", wide, 1, kernel, kernel)
            norm(f"{block}_bn1", wide)
            draw(f"{block}_project_conv.weight", leaving, wide, 1, 1)
            norm(f"{block}_bn2", leaving)
            entering, number = leaving, number + 1
    draw("_conv_head.weight", 320, 80, 1, 1)
    norm("_bn1", 320)
    draw("_fc.weight", 5, 320)
    draw("_fc.bias", 5)
    weights["image"] = rng.normal(0, 1, (1, 3, 36, 36)).astype(np.float32)
    return weights
