"""One symbol on its way from feed rows to whole windows: engine, scaler, window."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kernels.bars import QUOTE_NAMES
from pipelines.bars import Bars, BarSpec
from pipelines.features import FeaturePlan, FeatureStream
from pipelines.schema import TIMESTAMP
from pipelines.sessions import begun_by
from pipelines.store import FeatureStore
from stockbot.bundle import Bundle
from stockbot.live.feeds import CANDLE_COLUMNS, Chunk, Kind
from stockbot.live.window import Window


@dataclass(frozen=True)
class Rows:
    """Bars that a push closed.

    Attributes:
        bars: the bars. features: (bars, features) float32, as the store keeps them. scaled: as the model sees them.
        closed_by: (bars,) int, which of the pushed rows closed each bar, so that symbols can be put in order.
        known_at: (bars,) int64, ns UTC, when each bar was complete.
        session: (bars,) int64, tells the sessions that they lie in apart.
    """

    bars: Bars
    features: NDArray[np.float32]
    scaled: NDArray[np.float32]
    closed_by: NDArray[np.integer[Any]]
    known_at: NDArray[np.int64]
    session: NDArray[np.int64]


class Lane:
    """The state of one symbol; identical rows give identical bits however they are cut into pushes.

    Attributes:
        symbol: its name. window: its last rows, scaled.
        late: rows that were left out so far, because the warm start had seen them.

    Args:
        plan: the features to compute; those of the model, or of the store for a warm start, which may be more.
    """

    def __init__(self, symbol: str, bundle: Bundle, spec: BarSpec, plan: FeaturePlan) -> None:
        self.symbol = symbol
        self.late = 0
        self._spec = spec
        self._candle_step_ns = bundle.row_step_ns
        self._calendar = bundle.config.source.calendar
        self._scaler = bundle.scaler
        self._stream = FeatureStream(spec, plan, whole_bars=True)  # their ticks tell which row closed them
        self._columns = [plan.names.index(name) for name in bundle.features]
        self._not_before = int(np.iinfo(np.int64).min)
        self._last_end, self._ordinal = -1, 0
        self._lookback, self._max_gap_ns, self._warmup = bundle.lookback, bundle.max_gap_ns, plan.warmup
        self.window = self._new_window(warmup=plan.warmup)

    def warm(self, store: FeatureStore) -> None:
        """Go on from where the store's archive ended: engine state, and the rows that fill the window."""
        self._stream.restore(store.saved_state(self.symbol))
        self._not_before = store.manifest["symbols"][self.symbol]["last_input"] + 1
        tail, before = store.tail(self.symbol, self._lookback)
        self.window = self._new_window(warmup=max(self._warmup - before, 0))
        scaled = self._scaler.transform(tail.select(self._scaler.feature_columns).to_numpy())
        label, known = (tail[name].to_physical().to_numpy() for name in ("timestamp", "last_timestamp"))
        session = begun_by(self._calendar, known)
        for row in range(len(tail)):
            self.window.push(int(label[row]), scaled[row], int(session[row]))

    def push(self, chunk: Chunk) -> Rows | None:
        """Take the next rows of this symbol, in time order; None when they closed no bar."""
        timestamp, columns = chunk.timestamp, chunk.columns
        first = int(np.searchsorted(timestamp, self._not_before))
        self.late += first
        if first:
            timestamp = timestamp[first:]
            columns = {name: values[first:] for name, values in columns.items()}
        if chunk.kind == "candles":
            bars, features = self._stream.push_bars(_candles(timestamp, columns))
        else:
            ticks = (columns["price"], columns["volume"], columns["side"])
            bars, features = self._stream.push_ticks(timestamp, *ticks, _quotes(columns))
        if not len(bars):
            return None
        features = features[:, self._columns]
        return Rows(
            bars=bars,
            features=features,
            scaled=self._scaler.transform(features),
            session=begun_by(self._calendar, bars.last_timestamp),
            closed_by=first + self._closed_by(chunk.kind, bars, timestamp),
            known_at=known_at(bars, chunk.kind, self._spec, candle_step_ns=self._candle_step_ns),
        )

    def ordinal(self, known_at_ns: int) -> int:
        """How many bars before this one ended at the same instant; ask once for each bar, in order."""
        self._ordinal = self._ordinal + 1 if known_at_ns == self._last_end else 0
        self._last_end = known_at_ns
        return self._ordinal

    def _new_window(self, *, warmup: int) -> Window:
        width = len(self._scaler.feature_columns)
        return Window(self._lookback, width, max_gap_ns=self._max_gap_ns, warmup=warmup)

    def _closed_by(self, kind: Kind, bars: Bars, timestamp: NDArray[np.int64]) -> NDArray[np.integer[Any]]:
        if kind == "candles":
            return np.arange(len(bars))
        if self._spec.kind == "time":
            return np.searchsorted(timestamp, bars.timestamp + int(self._spec.size))
        ticks_after = np.cumsum(bars.ticks[::-1])[::-1] - bars.ticks
        return len(timestamp) - self._stream.open_ticks - ticks_after.astype(np.int64) - 1


def known_at(bars: Bars, kind: Kind, spec: BarSpec, *, candle_step_ns: int) -> NDArray[np.int64]:
    """When each bar is complete, (bars,) int64 ns UTC: the end of a time bar or candle, else the last tick.

    A candle may be stamped at its start or at its end; one usual step after its stamp it is complete in both cases.
    """
    if kind == "candles":
        return bars.timestamp + candle_step_ns
    return bars.timestamp + int(spec.size) if spec.kind == "time" else bars.last_timestamp


def _candles(timestamp: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]]) -> Bars:
    stamps = pl.Series("timestamp", timestamp).cast(TIMESTAMP)
    return Bars.from_candles(pl.DataFrame([stamps, *(pl.Series(name, columns[name]) for name in CANDLE_COLUMNS)]))


def _quotes(columns: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64] | None:
    return np.stack([columns[name] for name in QUOTE_NAMES]) if "bid" in columns else None
