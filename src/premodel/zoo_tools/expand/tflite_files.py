"""Siblings of TFLite files: quantised to int8."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from premodel.backends.base import Tensor
from premodel.errors import MissingExtraError, ModelError

EXTRA = "expand-litert"
SIGNATURE = "serving_default"
"""The quantiser's own name for the signature of a file that has one."""


def quantiser_version() -> str:
    """What quantises TFLite files, and how; MissingExtraError if it is not installed."""
    _packages()
    return f"ai-edge-quantizer {version('ai-edge-quantizer')}, static_wi8_ai8"


def _packages() -> tuple[Any, Any]:
    try:
        from ai_edge_quantizer import quantizer, recipe
    except ImportError as error:
        raise MissingExtraError("ai-edge-quantizer", EXTRA) from error
    return quantizer, recipe


def is_quantised(file: Path) -> bool:
    """Does the file hold integers with scales already; ModelError if it cannot be opened."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        details = Interpreter(model_path=str(file)).get_tensor_details()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"model file cannot be opened ({error})", where=file) from error
    return any(detail["quantization_parameters"]["scales"].size for detail in details)


def quantise(file: Path, tensors: Sequence[Tensor], part: Path) -> None:
    """Write the network in int8, its input and output too, to `part`.

    Raises
    ------
    ModelError
        The quantiser cannot do it.
    OSError
        The file cannot be written.
    """
    quantizer, recipe = _packages()
    from ai_edge_litert.interpreter import Interpreter

    try:
        content = _with_signature(file.read_bytes())
        signatures = Interpreter(model_content=content).get_signature_list()
        if len(signatures) != 1:
            raise ModelError("the quantiser needs a file with one signature", where=file, given=len(signatures))
        (name, signature) = next(iter(signatures.items()))
        (feed,) = signature["inputs"]
        tool = quantizer.Quantizer(content, recipe.static_wi8_ai8())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the memory that calibration takes
            ranges = tool.calibrate({name: [{feed: tensor} for tensor in tensors]}, num_threads=1)
            content = tool.quantize(ranges, enable_progress_report=False).quantized_model
    except (OSError, ModelError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(f"the quantiser cannot do it ({reason})", where=file) from error
    part.write_bytes(bytes(content))


def input_dtype(file: Path) -> str:
    """numpy's name of the type of the file's input."""
    from ai_edge_litert.interpreter import Interpreter

    return str(np.dtype(Interpreter(model_path=str(file)).get_input_details()[0]["dtype"]).name)


def _with_signature(content: bytes) -> bytes:
    """The file with a signature, which the quantiser asks for and older converters did not write."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    if model.signatureDefs or len(model.subgraphs) != 1:
        return content
    graph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
    for side, indices in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        entries = []
        for number, index in enumerate(indices):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = f"{side[:-1]}_{number}", int(index)
            entries.append(entry)
        setattr(signature, side, entries)
    model.signatureDefs = [signature]
    builder = flatbuffers.Builder(len(content) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
