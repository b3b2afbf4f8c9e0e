"""Parquet and Arrow/Feather files."""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from pipelines.errors import DamagedError, DataError
from pipelines.sources.payloads import Format
from pipelines.sources.table import RawTable, typed_table


def read_columnar(path: Path, kind: Format) -> RawTable:
    """Read a Parquet or Arrow/Feather file, whole.

    Raises
    ------
    DataError : a damaged file, or one without rows.
    """
    name = "Parquet" if kind == "parquet" else "Arrow/Feather"
    try:
        with path.open("rb") as stream:
            table = (
                pyarrow.parquet.ParquetFile(stream).read() if kind == "parquet" else pyarrow.feather.read_table(stream)
            )
        frame = pl.from_arrow(table)
    except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DamagedError(f"{path}: not a readable {name} file ({reason}); fetch or write it again") from error
    if not isinstance(frame, pl.DataFrame) or not frame.height:
        raise DataError(f"{path}: the {name} file has no rows; expected at least one row of data")
    return typed_table(str(path), _plain(frame), name)


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Return categories as their text, so that a symbol column of either kind reads alike."""
    return frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
