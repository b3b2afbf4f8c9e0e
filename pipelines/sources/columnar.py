"""Parquet and Arrow/Feather files."""

from pathlib import Path
from typing import BinaryIO

import polars as pl
import pyarrow as pa
from pyarrow.feather import read_table
from pyarrow.parquet import ParquetFile

from pipelines.errors import DamagedError
from pipelines.sources.payloads import Format
from pipelines.sources.table import RawTable, typed_table


def read_columnar(path: Path, kind: Format) -> RawTable:
    """Read a Parquet or Arrow/Feather file, whole.

    Raises
    ------
    DataError : a damaged file.
    """
    name = "Parquet" if kind == "parquet" else "Arrow/Feather"
    try:
        with path.open("rb") as stream:
            frame = pl.DataFrame(pl.from_arrow(_read_parquet(stream) if kind == "parquet" else read_table(stream)))
    except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DamagedError(f"{path}: not a readable {name} file ({reason}); fetch or write it again") from error
    return typed_table(str(path), _plain(frame), name)


def _read_parquet(stream: BinaryIO) -> pa.Table:
    return ParquetFile(stream, page_checksum_verification=True).read()


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Return categories as their text, so that a symbol column of either kind reads alike."""
    return frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
