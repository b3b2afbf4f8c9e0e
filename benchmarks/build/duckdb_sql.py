"""DuckDB: SQL windows, a COPY a file. It has no recursions: RSI, EMA, MACD and its signal are left out, 16 remain.

Rows are ordered by their number in the file: times repeat.
"""

import duckdb

from benchmarks.build.job import Job

_OPTIONS = {
    "default": "",
    "none": ", COMPRESSION uncompressed",
    "lz4": ", COMPRESSION lz4_raw",
    "zstd": ", COMPRESSION zstd, COMPRESSION_LEVEL 1",
}
_BARS = """
    SELECT row_number() OVER (ORDER BY timestamp) AS number, * FROM (
        SELECT date_trunc('second', timestamp::TIMESTAMP_NS) AS timestamp, max(timestamp) AS last_timestamp,
            arg_min(price, number) AS open, max(price) AS high, min(price) AS low, arg_max(price, number) AS close,
            sum(volume) AS volume
        FROM ticks GROUP BY ALL)"""


def build(job: Job) -> None:
    connection = duckdb.connect()
    connection.execute("SET threads = 1; SET TimeZone = 'UTC'")
    copies = ", ".join(f"{source} AS {name}" for name, source in job.tick_columns.items())
    rows = _BARS if job.bars else f"SELECT number, {copies} FROM ticks"
    for file in job.files:
        connection.execute(
            f"COPY (WITH ticks AS (SELECT *, file_row_number AS number FROM read_parquet('{file}', "
            f"file_row_number = true)), rows AS ({rows}) SELECT {', '.join(job.base)}, {_features()}) "
            f"TO '{job.target(file)}' (FORMAT parquet{_OPTIONS[job.codec]})"
        )


def _features() -> str:
    made = {"log_return": "moved"}
    for window in (20, 64, 256):
        mean, std = f"avg(close) OVER w{window}", f"stddev_samp(close) OVER w{window}"
        made |= {f"mean{window}": mean, f"std{window}": std, f"z{window}": f"(close - {mean}) / nullif({std}, 0)"}
    made |= {
        "percentb": "0.25 * (close - avg(close) OVER w20) / nullif(stddev_pop(close) OVER w20, 0) + 0.5",
        "min64": "min(close) OVER w64",
        "max64": "max(close) OVER w64",
        "rv64": "sqrt(sum(moved * moved) OVER w64)",
        "volz64": "(volume - avg(volume) OVER w64) / nullif(stddev_samp(volume) OVER w64, 0)",
        "vwapdev64": "close * sum(volume) OVER w64 / sum(close * volume) OVER w64 - 1",
    }
    columns = ", ".join(f"({sql})::FLOAT AS {name}" for name, sql in made.items())
    windows = ", ".join(
        f"w{size} AS (ORDER BY number ROWS BETWEEN {size - 1} PRECEDING AND CURRENT ROW)" for size in (20, 64, 256)
    )
    moves = "SELECT *, ln(close / lag(close) OVER (ORDER BY number)) AS moved FROM rows"
    return f"{columns} FROM ({moves}) WINDOW {windows}"
