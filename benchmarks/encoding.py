"""Parquet of 21 float32 features and a timestamp: our writer against pyarrow and Polars; ns and bytes a row.

    python -m benchmarks.encoding                     # a million rows, about 5 minutes
    STOCKBOT_MARKET_DATA=FOLDER python -m benchmarks.encoding      # and features of recorded ticks

First encoding alone, then files in the folder for temporary ones (TMPDIR): to write, to hash, as the store does with
what it writes and reads, and to read whole: to an Arrow table, to a Polars frame, and by pyarrow to one row-major
float32 matrix, as a loader of windows wants it.
pyarrow encodes as we do (byte streams, packed differences, no dictionary, pages of as many rows), but compresses also
what hardly compresses; Polars offers no such choice.
"""

import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import goals
from benchmarks.cases import Run
from benchmarks.engine_speed import market, the_set
from benchmarks.measuring import medians
from kernels import engine
from pipelines.bars import BarBuilder, Bars, BarSpec, tick_arrays
from pipelines.files import sha256_file
from pipelines.ingest import read_archive
from pipelines.parquet_writer import PAGE_ROWS, Encoding, Kind, write_parquet
from pipelines.plan import compile_program
from pipelines.schema import SourceHints

ROWS = 1 << 20
CODECS: dict[str, tuple[Any, int | None]] = {
    "none": ("none", None),
    "lz4": ("lz4", None),
    "snappy": ("snappy", None),
    "zstd 1": ("zstd", 1),
    "zstd 3": ("zstd", 3),
}
ROW_GROUPS = (1 << 15, 1 << 17, 1 << 19, 1 << 20)
GROUP = Encoding().row_group_rows
ROUNDS = 5
COLUMNS = ("B a row", "write", "SHA-256", "pyarrow", "Polars", "matrix")
RECORDED = {
    "Binance trades": ("derived/binance_spot_btcusdt_trades_*.csv", None),
    "Binance quotes": ("derived/binance_spot_btcusdt_bbo_*.csv.gz", None),
    "Oanda ticks": ("lean/forex/oanda/tick/eurusd", "UTC"),
}


class Rows:
    """The columns, in the form that each writer takes."""

    def __init__(self, data: Bars) -> None:
        program = compile_program(the_set())
        features = np.empty((len(the_set()), len(data)), np.float32)
        columns = data.columns[: program.inputs]
        engine.advance(program.steps, program.initial.copy(), *program.new_memory(), columns, features)
        self.columns = {"timestamp": data.timestamp.astype(np.int64)}
        self.columns |= {f"feature {number}": feature for number, feature in enumerate(features)}
        self.kinds: dict[str, Kind] = dict.fromkeys(self.columns, "float32") | {"timestamp": "timestamp"}
        self.table = pa.table(
            self.columns | {"timestamp": pa.array(self.columns["timestamp"], pa.timestamp("ns", "UTC"))}
        )
        self.frame: pl.DataFrame = pl.from_arrow(self.table)  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.table)

    def ours(self, target: Any, codec: str, group: int) -> None:
        name, level = CODECS[codec]
        write_parquet(target, self.columns, self.kinds, Encoding(name, level, group))

    def by_pyarrow(self, target: Any, codec: str, group: int, *, layout: str = "split") -> None:
        name, level = CODECS[codec]
        floats = [column for column in self.columns if column != "timestamp"]
        split = "BYTE_STREAM_SPLIT" if layout == "split" and name != "none" else "PLAIN"
        encodings = {} if layout == "dictionary" else dict.fromkeys(floats, split)
        pq.write_table(
            self.table,
            target,
            compression=name,
            compression_level=level,
            row_group_size=group,
            use_dictionary=floats if layout == "dictionary" else False,
            column_encoding=encodings | {"timestamp": "DELTA_BINARY_PACKED"},
            write_statistics=["timestamp"],
            max_rows_per_page=PAGE_ROWS,  # left alone, its pages have 20,000 rows: zstd 1 then takes 1.25 times as long
            write_batch_size=PAGE_ROWS,
        )

    def by_polars(self, target: Any, codec: str, group: int) -> None:
        name, level = CODECS[codec]
        name = "uncompressed" if name == "none" else name
        self.frame.write_parquet(
            target, compression=name, compression_level=level, row_group_size=group, statistics=False
        )


class Nowhere:
    """A sink that keeps nothing."""

    def write(self, data: Any) -> None:
        pass


@numba.njit(nogil=True)
def _interleave(columns, out):
    for start in range(0, len(out), 64):
        for number in range(len(columns)):
            column = columns[number]
            for row in range(start, min(start + 64, len(out))):
                out[row, number] = column[row]


def read_matrix(path: Path, out: np.ndarray) -> None:
    """The float32 columns of a file as one row-major matrix, a row group at a time."""
    file = pq.ParquetFile(path)
    start = 0
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=file.schema_arrow.names[1:], use_threads=False)
        columns = tuple(column.to_numpy() for column in table.columns)
        _interleave(columns, out[start : start + len(table)])
        start += len(table)


def _runs(rows: Rows, folder: Path, groups: tuple[int, ...]) -> dict[str, Run]:
    """`<writer>/<codec>/<row group>/<what>` -> call; a file's write comes before its reads."""

    def ours(path: Path, codec: str, group: int) -> None:
        with open(path, "wb") as file:
            rows.ours(file, codec, group)

    runs: dict[str, Run] = {}
    matrix = np.empty((len(rows), len(rows.columns) - 1), np.float32)
    writers = {"ours": ours, "pyarrow": rows.by_pyarrow, "Polars": rows.by_polars}
    makers: dict[str, Callable[[Path], None]] = {
        f"{name}/{codec}/{group}": lambda path, write=write, codec=codec, group=group: write(path, codec, group)
        for name, write in writers.items() for codec in CODECS for group in groups
    }  # fmt: skip
    for layout, codec in itertools.product(("plain", "dictionary"), ("lz4", "zstd 1")):
        makers[f"pyarrow {layout}/{codec}/{GROUP}"] = lambda path, layout=layout, codec=codec: rows.by_pyarrow(
            path, codec, GROUP, layout=layout
        )
    makers["pyarrow/its defaults/"] = lambda path: pq.write_table(rows.table, path)
    makers["Polars/its defaults/"] = lambda path: rows.frame.write_parquet(path)
    for number, (name, make) in enumerate(makers.items()):
        path = folder / f"{number}.parquet"
        runs[f"{name}/write"] = lambda make=make, path=path: make(path)
        runs[f"{name}/SHA-256"] = lambda path=path: sha256_file(path)
        runs[f"{name}/pyarrow"] = lambda path=path: pq.read_table(path, use_threads=False)
        runs[f"{name}/Polars"] = lambda path=path: pl.read_parquet(path)
        runs[f"{name}/matrix"] = lambda path=path: read_matrix(path, matrix)
    return runs


def _encode_runs(rows: Rows) -> dict[str, Run]:
    """What encoding alone takes, of us and of pyarrow."""
    runs: dict[str, Run] = {}
    for codec in CODECS:
        runs[f"ours/{codec}"] = lambda codec=codec: rows.ours(Nowhere(), codec, GROUP)
        runs[f"pyarrow/{codec}"] = lambda codec=codec: rows.by_pyarrow(pa.MockOutputStream(), codec, GROUP)
    return runs


def measured(rows: Rows, groups: tuple[int, ...] = ROW_GROUPS, *, rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    """`<writer>/<codec>/<row group>` -> figures."""
    with tempfile.TemporaryDirectory(prefix="stockbot-encoding-") as folder:
        runs = _runs(rows, Path(folder), groups)
        spent = medians(runs, rounds=rounds)
        names = list(dict.fromkeys(name.rpartition("/")[0] for name in runs))
        sizes = [(Path(folder) / f"{number}.parquet").stat().st_size for number in range(len(names))]
    return {
        name: {"B a row": size / len(rows)}
        | {what: spent[f"{name}/{what}"] / len(rows) * 1e9 for what in COLUMNS[1:]}
        for name, size in zip(names, sizes, strict=True)
    }  # fmt: skip


def recorded(folder: Path) -> dict[str, Rows]:
    """Features of recorded ticks, every tick a row."""
    found = {}
    for name, (pattern, zone) in RECORDED.items():
        ingested = read_archive([folder / pattern], SourceHints(timezone=zone))
        builder = BarBuilder(BarSpec("none", 1))
        found[name] = Rows(builder.update(*tick_arrays(ingested.frame)))
    return found


def _show(title: str, figures: dict[str, dict[str, float]]) -> None:
    print(f"{title}\n{'':<34}" + "".join(f"{column:>16}" for column in next(iter(figures.values()))))
    for name, values in figures.items():
        print(f"{name:<34}" + "".join(f"{value:>16.1f}" for value in values.values()))


def bench(rows: int = ROWS) -> tuple[dict[str, Any], list[goals.Goal]]:
    """Measure and print."""
    made = Rows(market(rows))
    alone = {name: spent / rows * 1e9 for name, spent in medians(_encode_runs(made)).items()}
    encode = {codec: {name.split("/")[0]: ns for name, ns in alone.items() if name.endswith(f"/{codec}")}
              for codec in CODECS}  # fmt: skip
    _show(f"{rows:,} rows of 21 float32 features and a timestamp: encoding alone, ns a row", encode)
    files = measured(made)
    _show("files: bytes a row, ns a row to write and to read", files)
    figures = {"rows": rows, "encode": encode, "files": files}
    folder = os.environ.get("STOCKBOT_MARKET_DATA")
    for name, real in (recorded(Path(folder)) if folder else {}).items():
        figures[name] = measured(real, (GROUP,))
        _show(f"{name}, {len(real):,} rows", figures[name])
    return figures, _goals(files, encode)


def _goals(files: dict[str, dict[str, float]], encode: dict[str, dict[str, float]]) -> list[goals.Goal]:
    ours = {codec: files[f"ours/{codec}/{GROUP}"]["write"] for codec in CODECS}
    found = [
        goals.at_most(f"a row of 21 features into a file, {codec}, ns", ours[codec], limit)
        for codec, limit in (("none", 50.0), ("lz4", 100.0), ("zstd 1", 160.0))
    ]
    found += [
        goals.at_least(f"encoding, {codec}, pyarrow / ours", encode[codec]["pyarrow"] / encode[codec]["ours"], limit)
        for codec, limit in (("none", 3.0), ("lz4", 1.7), ("zstd 1", 1.8))
    ]
    default = ours[Encoding().codec]
    return found + [
        goals.at_least(f"files, {peer} / ours, defaults", files[f"{peer}/its defaults/"]["write"] / default, limit)
        for peer, limit in (("pyarrow", 4.0), ("Polars", 2.5))
    ]


if __name__ == "__main__":
    print(goals.show(bench()[1]))
