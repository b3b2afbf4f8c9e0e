"""How large an archive is, in which form, and where it lies."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

KINDS = ("zstd", "lz4", "none", "csv")


@dataclass(frozen=True)
class Shape:
    """An archive: `ticks` of them in each of `symbols` · `days` files.

    Attributes:
        kind: `zstd` is Parquet as pyarrow writes it; `lz4` with packed times and split floats; `none`, not compressed
            and plain; `csv` with stamps in microseconds.
    """

    kind: str
    symbols: int
    days: int
    ticks: int

    @property
    def total(self) -> int:
        return self.symbols * self.days * self.ticks


def folder_of(cache: Path, shape: Shape) -> Path:
    return cache / f"{shape.kind}-{shape.symbols}x{shape.days}x{shape.ticks}"


def file_names(shape: Shape) -> list[str]:
    """Symbol by symbol, day by day."""
    ending = "csv" if shape.kind == "csv" else "parquet"
    days = [date(2024, 1, 1) + timedelta(days=day) for day in range(shape.days)]
    return [f"SYM{symbol:03d}_{day.isoformat()}.{ending}" for symbol in range(shape.symbols) for day in days]


def files_of(cache: Path, shape: Shape) -> list[Path]:
    return [folder_of(cache, shape) / name for name in file_names(shape)]
