"""Opening Parquet and Arrow files; the one place that needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from premodel.errors import DatasetError, MissingExtraError

ARROW_SUFFIXES = frozenset({".arrow", ".feather"})
DEFAULT_BATCH_ROWS = 65_536


def open_parquet(file: Path) -> Any:
    """Open a Parquet file (a `pyarrow.parquet.ParquetFile`), or an Arrow file as one.

    Raises
    ------
    DatasetError
        The file cannot be read or is neither.
    MissingExtraError
        pyarrow is not installed.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    arrow = file.suffix.lower() in ARROW_SUFFIXES
    try:
        return ArrowFile(file) if arrow else ParquetFile(file)
    except (OSError, ArrowException) as error:
        kind = "Arrow" if arrow else "Parquet"
        raise DatasetError(f"not a readable {kind} file: {str(error).splitlines()[0]}", where=file) from error


class ArrowFile:
    """An Arrow file, as the `datasets` library saves them, read like a `ParquetFile` whose row groups are its batches.

    The file is mapped into memory: what is not looked at is not read.
    """

    def __init__(self, file: Path) -> None:
        import pyarrow as pa

        self.file = file
        mapped = pa.memory_map(str(file))
        try:
            reader = pa.ipc.open_file(mapped)
            self._batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        except pa.ArrowInvalid:  # the stream form has no footer
            mapped.seek(0)
            reader = pa.ipc.open_stream(mapped)
            self._batches = list(reader)
        self.schema_arrow = reader.schema
        self.num_row_groups = len(self._batches)

    @property
    def metadata(self) -> ArrowFile:
        """Itself, which has the members that are asked of a `ParquetFile`'s metadata."""
        return self

    @property
    def num_rows(self) -> int:
        """Of all batches."""
        return sum(batch.num_rows for batch in self._batches)

    def row_group(self, number: int) -> Any:
        """One batch."""
        return self._batches[number]

    def iter_batches(
        self,
        batch_size: int = DEFAULT_BATCH_ROWS,
        row_groups: Sequence[int] | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[Any]:
        """Slices of the batches, with these columns.

        Raises
        ------
        DatasetError
            Values contradict the form: pyarrow does not check where they end in a mapped file, and would read there.
        """
        for number in range(self.num_row_groups) if row_groups is None else row_groups:
            batch = self._batches[number]
            batch = batch if columns is None else batch.select(list(columns))
            for start in range(0, batch.num_rows, batch_size):
                some = batch.slice(start, batch_size)
                try:
                    some.validate(full=True)
                except ValueError as error:  # pyarrow.ArrowInvalid
                    reason = str(error).splitlines()[0][:200]
                    raise DatasetError(f"damaged Arrow file: {reason}", where=self.file, do="get it again") from error
                yield some
