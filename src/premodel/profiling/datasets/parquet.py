"""Opening Parquet files; the one place that needs pyarrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from premodel.errors import DatasetError, MissingExtraError


def open_parquet(file: Path) -> Any:
    """Open a Parquet file (a `pyarrow.parquet.ParquetFile`).

    Raises
    ------
    DatasetError
        The file cannot be read or is no Parquet file.
    MissingExtraError
        pyarrow is not installed.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    try:
        return ParquetFile(file)
    except (OSError, ArrowException) as error:
        raise DatasetError(f"not a readable Parquet file: {str(error).splitlines()[0]}", where=file) from error
