"""Siblings of ONNX files: fixed to a smaller size, quantised to int8."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from premodel.backends.base import Tensor
from premodel.errors import MissingExtraError, ModelError

EXTRA = "expand"
MIN_OPSET = 13
"""The first in which one scale per channel can be said."""
NEWEST_IR = 10
"""What the runtimes of some years read; onnx writes its own newest version otherwise."""
QUANTISED = frozenset(
    {"QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"}
)


def quantiser_version() -> str:
    """What quantises ONNX files, and how; MissingExtraError if it is not installed."""
    onnxruntime, _ = _packages()
    bits = ", weights in 7 bits for processors without VNNI" if saturates() else ""
    return f"onnxruntime {onnxruntime.__version__}, static QDQ, U8S8 per channel, MinMax{bits}"


def saturates(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Do 8-bit products saturate on this processor: one of x86 without VNNI adds two of them in 16 bits.

    Source: onnxruntime's documentation of quantisation, "When to use reduce-range". A network of EfficientNet-Lite1
    quantised with weights of 8 bits lost ten points on such a processor, with 7 bits three.
    """
    try:
        flags = cpu_info.read_text()
    except OSError:
        return False
    return "avx2" in flags and "vnni" not in flags


def _packages() -> tuple[Any, Any]:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "onnx") from error
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", EXTRA) from error
    return onnxruntime, onnx


def is_quantised(file: Path) -> bool:
    """Does the file compute in integers already; ModelError if it is no ONNX file."""
    return any(node.op_type in QUANTISED for node in _load(file).graph.node)


def fix_size(file: Path, shape: Sequence[int], part: Path) -> None:
    """Write the network with another shape of its input to `part`.

    Raises
    ------
    ModelError
        The network does not take it.
    """
    _, onnx = _packages()
    model = _load(file)
    feed = model.graph.input[0]
    dims = feed.type.tensor_type.shape.dim
    if len(dims) != len(shape):
        raise ModelError("not an input of that many dimensions", where=file, given=len(dims), allowed=len(shape))
    for dim, side in zip(dims, shape, strict=True):
        dim.dim_value = side
    del model.graph.value_info[:]  # shapes that were inferred for the size before
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    except Exception as error:
        raise ModelError(f"the file fixes the size of its input ({_told(error)})", where=file) from error
    onnx.save(inferred, str(part))


def quantise(file: Path, tensors: Sequence[Tensor], part: Path) -> None:
    """Write the network in int8 to `part`, with ranges taken from what it computes of `tensors`.

    Raises
    ------
    ModelError
        The quantiser cannot do it.
    OSError
        The file cannot be written.
    """
    _, onnx = _packages()
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model = _load(file)
    name = model.graph.input[0].name
    with tempfile.TemporaryDirectory(prefix=".", dir=part.parent) as folder, _quiet():
        prepared = Path(folder) / "prepared.onnx"
        try:
            ready = _at_least(onnx, model)
            onnx.save(ready, str(prepared))
            quant_pre_process(str(prepared), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(part),
                _Reader(name, tensors),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=saturates(),
                calibrate_method=CalibrationMethod.MinMax,
            )
            written = onnx.load(str(part))
        except OSError:
            raise
        except Exception as error:
            raise ModelError(f"the quantiser cannot do it ({_told(error)})", where=file) from error
        written.ir_version = min(max(model.ir_version, 8), NEWEST_IR)
        if not any(node.op_type in QUANTISED for node in written.graph.node):
            raise ModelError("the quantiser found nothing to quantise", where=file)
        onnx.save(written, str(part))


def _at_least(onnx: Any, model: Any) -> Any:
    """The model in an opset that can say one scale per channel."""
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 0)
    if opset >= MIN_OPSET:
        return model
    return onnx.version_converter.convert_version(model, MIN_OPSET)


def _load(file: Path) -> Any:
    _, onnx = _packages()
    try:
        return onnx.load(str(file))
    except OSError as error:
        raise ModelError(f"model file cannot be read ({error.strerror})", where=file) from error
    except Exception as error:
        raise ModelError(f"not an ONNX file ({_told(error)})", where=file) from error


class _Reader:
    """What onnxruntime's calibration reads: one input after the other."""

    def __init__(self, name: str, tensors: Sequence[Tensor]) -> None:
        self._name = name
        self._rest = iter(tensors)

    def get_next(self) -> dict[str, Tensor] | None:
        """The next input; None at the end."""
        tensor = next(self._rest, None)
        return None if tensor is None else {self._name: tensor}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep advice of the tool off the screen; what fails is raised."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _told(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:300]
