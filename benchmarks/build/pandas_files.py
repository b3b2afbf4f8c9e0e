"""pandas: read, compute and write a file at a time."""

import numpy as np
import pandas as pd

from benchmarks.build.job import Job, pyarrow_settings


def build(job: Job) -> None:
    for file in job.files:
        ticks = pd.read_parquet(file)
        if job.bars:
            rows = second_bars(ticks)
        else:
            rows = pd.DataFrame({name: ticks[source] for name, source in job.tick_columns.items()}, copy=False)
        made = features(rows["close"], rows["volume"])
        columns = {name: column.astype(np.float32) for name, column in made.items()}
        table = pd.concat([rows[job.base], pd.DataFrame(columns)], axis=1)
        table.to_parquet(job.target(file), index=False, **pyarrow_settings(job.codec, list(table.columns)))


def second_bars(ticks: pd.DataFrame) -> pd.DataFrame:
    seconds = ticks.set_index("timestamp", drop=False).resample("1s")
    bars = seconds["price"].ohlc().assign(volume=seconds["volume"].sum(), last_timestamp=seconds["timestamp"].last())
    return bars[bars["close"].notna()].reset_index()


def features(c: pd.Series, v: pd.Series) -> dict[str, pd.Series]:
    made = {"log_return": np.log(c / c.shift(1))}
    for window in (20, 64, 256):
        rolling = c.rolling(window)
        mean, std = rolling.mean(), rolling.std()
        made |= {f"mean{window}": mean, f"std{window}": std, f"z{window}": (c - mean) / std}
    change = c.diff()
    up = change.clip(lower=0.0).ewm(alpha=1 / 14, adjust=False).mean()
    down = (-change).clip(lower=0.0).ewm(alpha=1 / 14, adjust=False).mean()
    fast, slow = c.ewm(span=12, adjust=False).mean(), c.ewm(span=26, adjust=False).mean()
    volumes = v.rolling(64)
    return made | {
        "rsi14": 100.0 * up / (up + down),
        "ema12": fast,
        "ema26": slow,
        "macd": fast - slow,
        "signal": (fast - slow).ewm(span=9, adjust=False).mean(),
        "percentb": 0.25 * np.sqrt(20 / 19) * made["z20"] + 0.5,
        "min64": c.rolling(64).min(),
        "max64": c.rolling(64).max(),
        "rv64": np.sqrt((made["log_return"] * made["log_return"]).rolling(64).sum()),
        "volz64": (v - volumes.mean()) / volumes.std(),
        "vwapdev64": c * volumes.sum() / (c * v).rolling(64).sum() - 1.0,
    }
