"""A set of 21 features over one instrument: the engine against TA-Lib with NumPy, and against Polars; ns a tick.

    python -m benchmarks.engine_speed                 # 2 million ticks, about 1 minute

The set of `benchmarks/feature_set.py`, float32 out.
Then named sets row by row, as the live loop takes them.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import polars as pl
import talib

from benchmarks import goals
from benchmarks.cases import Run
from benchmarks.feature_set import WINDOWS, the_set
from benchmarks.measuring import medians
from kernels import engine
from kernels.bars import COLUMN_NAMES
from pipelines.bars import Bars
from pipelines.features import FeaturePlan
from pipelines.plan import compile_program

ROWS = 2_000_000
CHUNK = 8192


def market(rows: int) -> Bars:
    rng = np.random.default_rng(1)
    made = Bars(np.zeros((len(COLUMN_NAMES), rows)))
    made.timestamp[:] = made.last_timestamp[:] = 1_700_000_000 * 10**9 + np.cumsum(rng.integers(1, 2 * 10**9, rows))
    made.close[:] = 10_000.0 + np.cumsum(0.01 * rng.standard_normal(rows))
    made.open[:] = made.close
    made.high[:], made.low[:] = made.close + 0.01, made.close - 0.01
    made.volume[:] = rng.exponential(10.0, rows)
    made.buy_volume[:] = np.where(rng.random(rows) < 0.5, made.volume, 0.0)
    made.sell_volume[:] = made.volume - made.buy_volume
    made.dollar[:] = made.close * made.volume
    made.ticks[:] = 1.0
    return made


def by_talib(c: np.ndarray, v: np.ndarray) -> list[np.ndarray]:
    """The set by TA-Lib and NumPy at their fastest, float32 columns out."""
    moved = np.diff(np.log(c), prepend=np.log(c[0]))
    columns = [moved]
    for window in WINDOWS:
        average, deviation = talib.SMA(c, window), talib.STDDEV(c, window) * np.sqrt(window / (window - 1))
        columns += [average, deviation, (c - average) / deviation]
    fast, slow = talib.EMA(c, 12), talib.EMA(c, 26)
    line = fast - slow
    volume_mean, volume_deviation = talib.SMA(v, 64), talib.STDDEV(v, 64)
    columns += [talib.RSI(c, 14), fast, slow, line, talib.EMA(line, 9), 0.25 * columns[3] + 0.5, talib.MIN(c, 64)]
    columns += [talib.MAX(c, 64), np.sqrt(talib.SUM(moved * moved, 64)), (v - volume_mean) / volume_deviation]
    columns.append(c * talib.SUM(v, 64) / talib.SUM(c * v, 64) - 1.0)
    return [column.astype(np.float32) for column in columns]


def by_polars(frame: pl.DataFrame) -> pl.DataFrame:
    """The set as Polars lazy expressions (its RSI by exponential averages)."""
    c, v = pl.col("c"), pl.col("v")
    moved = (c / c.shift(1)).log()
    change = c.diff()
    up = change.clip(lower_bound=0.0).ewm_mean(alpha=1 / 14, adjust=False)
    down = (-change).clip(lower_bound=0.0).ewm_mean(alpha=1 / 14, adjust=False)
    fast, slow = c.ewm_mean(span=12, adjust=False), c.ewm_mean(span=26, adjust=False)
    columns = [moved]
    for window in WINDOWS:
        average, deviation = c.rolling_mean(window), c.rolling_std(window)
        columns += [average, deviation, (c - average) / deviation]
    columns += [100 * up / (up + down), fast, slow, fast - slow, (fast - slow).ewm_mean(span=9, adjust=False)]
    columns += [0.25 * (c - c.rolling_mean(20)) / c.rolling_std(20) + 0.5, c.rolling_min(64), c.rolling_max(64)]
    columns += [(moved * moved).rolling_sum(64).sqrt(), (v - v.rolling_mean(64)) / v.rolling_std(64)]
    columns.append(c * v.rolling_sum(64) / (c * v).rolling_sum(64) - 1.0)
    return frame.lazy().select(
        column.cast(pl.Float32).alias(str(number)) for number, column in enumerate(columns)
    ).collect()  # fmt: skip


def runs_of(data: Bars) -> dict[str, Run]:
    program, rows = compile_program(the_set()), len(data)
    places, pool = program.new_memory()
    outputs = len(the_set())
    buffer, whole = np.empty((outputs, CHUNK), np.float32), np.empty((outputs, rows), np.float32)
    by_row = np.empty((rows, outputs), np.float32)
    bars_read = data.columns[: program.inputs]
    c, v = data.close.copy(), data.volume.copy()
    frame = pl.DataFrame({"c": c, "v": v})

    def advance(columns: np.ndarray, out: np.ndarray, state: np.ndarray) -> None:
        engine.advance(program.steps, state, places, pool, columns, out)

    def in_chunks(size: int, target: Callable[[int, int], np.ndarray]) -> None:
        state = program.initial.copy()
        for start in range(0, rows, size):
            stop = min(start + size, rows)
            advance(bars_read[:, start:stop], target(start, stop), state)

    return {
        "8k-row buffers reused": lambda: in_chunks(CHUNK, lambda start, stop: buffer[:, : stop - start]),
        "whole columns, reused": lambda: advance(bars_read, whole, program.initial.copy()),
        "64k-row chunks": lambda: in_chunks(1 << 16, lambda start, stop: whole[:, start:stop]),
        "whole columns, allocated": lambda: advance(
            bars_read, np.empty((outputs, rows), np.float32), program.initial.copy()
        ),
        "rows (T, F), reused": lambda: engine.advance_rows(
            program.steps, program.initial.copy(), places, pool, bars_read, by_row
        ),
        "TA-Lib and NumPy, allocated": lambda: by_talib(c, v),
        "Polars lazy, allocated": lambda: by_polars(frame),
    }


@numba.njit(nogil=True)
def _row_by_row(steps, state, places, pool, rows, out):
    for row in range(len(rows)):
        engine.advance(steps, state, places, pool, rows[row], out)


def single_rows(name: str, data: Bars, rows: int = 20_000) -> dict[str, float]:
    """ns a row of a named set: many rows at once, one row a call inside compiled code, one row a call from Python."""
    plan = FeaturePlan([name])
    program = compile_program([feature.expression for feature in plan.features])
    columns, parts = data.columns[: program.inputs, :rows].copy(), [data[row : row + 1] for row in range(rows)]
    by_row = np.ascontiguousarray(columns.T)[:, :, np.newaxis]
    wide, out = np.empty((len(plan.names), rows), np.float32), np.empty((len(plan.names), 1), np.float32)
    places, pool = program.new_memory()

    def advance(by: Callable[..., None], rows_in: np.ndarray, target: np.ndarray) -> None:
        by(program.steps, program.initial.copy(), places, pool, rows_in, target)

    def from_python() -> None:
        state = plan.new_state()
        for part in parts:
            plan.update(state, part, out)

    runs: dict[str, Run] = {
        "many rows": lambda: advance(engine.advance, columns, wide),
        "one row, compiled": lambda: advance(_row_by_row, by_row, out),
        "one row, from Python": from_python,
    }
    return {f"{name}, {kind}": spent / rows * 1e9 for kind, spent in medians(runs).items()}


def bench(rows: int = ROWS) -> tuple[dict[str, Any], list[goals.Goal]]:
    """Measure and print."""
    data = market(rows)
    ns = {name: spent / rows * 1e9 for name, spent in medians(runs_of(data)).items()}
    print(f"{rows:,} ticks, 21 features, ns a tick; ratio to the 8k-row buffers")
    for name in ("core17", "ticks60", "alpha158"):
        ns |= single_rows(name, data)
    for name, spent in ns.items():
        print(f"{name:<34}{spent:>10.1f}{spent / ns['8k-row buffers reused']:>9.2f}x")
    return {"rows": rows, "ns_per_tick": ns}, _goals(ns)


def _goals(ns: dict[str, float]) -> list[goals.Goal]:
    buffers, whole = ns["8k-row buffers reused"], ns["whole columns, reused"]
    talib_ns, polars_ns = ns["TA-Lib and NumPy, allocated"], ns["Polars lazy, allocated"]
    return [
        goals.at_most("21 features, reused 8k-row buffers, ns a tick", buffers, 12.0),
        goals.at_most("21 features, whole columns, ns a tick", whole, 18.0),
        goals.at_most("21 features, row-major, ns a tick", ns["rows (T, F), reused"], 25.0),
        goals.at_least("21 features, Polars lazy / ours", polars_ns / buffers, 30.0),
        goals.at_least("21 features, TA-Lib and NumPy / ours", talib_ns / buffers, 5.0),
        goals.at_least(
            "21 features, TA-Lib and NumPy / ours, both allocate", talib_ns / ns["whole columns, allocated"], 3.5
        ),
        goals.at_most("21 features, 64k-row chunks / whole columns", ns["64k-row chunks"] / whole, 1.03),
        goals.at_most(
            "core17, one row / many rows, a row", ns["core17, one row, compiled"] / ns["core17, many rows"], 3.0
        ),
        goals.at_most("core17, one row inside compiled code, ns", ns["core17, one row, compiled"], 1000.0),
        goals.at_most("core17, one row seen from Python, ns", ns["core17, one row, from Python"], 5000.0),
    ]


if __name__ == "__main__":
    print(goals.show(bench()[1]))
