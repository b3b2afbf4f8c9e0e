"""The live loop: feed rows in, one logged line for each prediction out, the kill switch asked before each."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from pipelines.features import FeaturePlan
from pipelines.store import FeatureStore
from stockbot.build import bar_spec
from stockbot.bundle import Bundle
from stockbot.evaluate import Rule
from stockbot.live.feeds import CANDLE_COLUMNS, Chunk, Feed
from stockbot.live.lane import Lane, Rows
from stockbot.live.risk import AgeLimit, KillSwitch
from stockbot.live.signals import Action, Signal, SignalLog
from stockbot.trained_on import require_kind, require_store

ACTIONS: dict[int, Action] = {1: "LONG", -1: "SHORT", 0: "FLAT"}
_PROGRESS_ROWS = 20_000


@dataclass
class RunReport:
    """What a run did.

    Attributes:
        rows: feed rows taken. late: rows left out because the warm start had seen them.
        bars: rows that reached the model's window. signals: new log lines by action.
        skipped: bars without a new line, by reason.
        latency_us: of each prediction, from the row that closed the bar to the decision.
        seconds: of the whole loop, log writes included.
        stopped_by: name of the stop signal, or None when the feed ended.
    """

    rows: int = 0
    late: int = 0
    bars: int = 0
    signals: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    latency_us: list[float] = field(default_factory=list)
    seconds: float = 0.0
    stopped_by: str | None = None

    def summary(self) -> dict[str, Any]:
        """Plain values for printing."""
        p50, p99 = np.percentile(self.latency_us, [50, 99]) if self.latency_us else (None, None)
        return {
            "rows": self.rows,
            "rows_in_warm_start": self.late,
            "bars": self.bars,
            "signals": {action: self.signals[action] for action in get_args(Action)},
            "skipped": dict(sorted(self.skipped.items())),
            "latency_p50_us": None if p50 is None else round(float(p50), 1),
            "latency_p99_us": None if p99 is None else round(float(p99), 1),
            "rows_per_second": round(self.rows / self.seconds) if self.seconds else None,
            "stopped_by": self.stopped_by,
        }


class Runner:
    """A model, the lanes of its symbols, and a log that is open by the time `run` is called.

    Args:
        warm_start: store to go on from. age_limit: None where time does not pass, as in a replay.

    Raises:
        ArtifactError: the warm start is not what the model was trained on. DataError: it is damaged.
    """

    def __init__(
        self,
        bundle: Bundle,
        rule: Rule,
        *,
        log: SignalLog,
        kill: KillSwitch,
        warm_start: FeatureStore | None = None,
        age_limit: AgeLimit | None = None,
    ) -> None:
        self._bundle = bundle
        self._rule = rule
        self._log = log
        self._kill = kill
        self._age_limit = age_limit
        self._spec = bar_spec(bundle.config.bars)
        self._plan = FeaturePlan(bundle.features if warm_start is None else warm_start.features)
        self._commit = str(bundle.manifest["commit"])
        self.report = RunReport()
        self._lanes: dict[str, Lane] = {}
        if warm_start is not None:
            require_store(warm_start, bundle)
            for symbol in warm_start.symbols:
                self._lane(symbol).warm(warm_start)
        self._compile()

    def run(self, feed: Feed, *, progress: Callable[[int], None] | None = None) -> RunReport:
        """Take the feed to its end, or to a stop signal; `progress` is called with the rows so far.

        Raises:
            HaltedError: the kill switch; what was logged stays logged.
        """
        begin = perf_counter_ns()
        told = 0
        try:
            for chunk in feed:
                if not self._kill.check() or not self._take(chunk):
                    break
                if progress is not None and self.report.rows - told >= _PROGRESS_ROWS:
                    told = self.report.rows
                    progress(told)
        finally:
            feed.close()
            self.report.late = sum(lane.late for lane in self._lanes.values())
            self.report.seconds = (perf_counter_ns() - begin) / 1e9
            self.report.stopped_by = self._kill.stop_signal
        return self.report

    def _take(self, chunk: Chunk) -> bool:
        """Push a chunk through its lanes and decide on the bars in the order their last rows came."""
        require_kind(chunk.kind, self._bundle, "the feed brings")
        closed: list[tuple[int, Lane, Rows, int, float]] = []
        for symbol, places, part in _by_symbol(chunk):
            lane = self._lane(symbol)
            begin = perf_counter_ns()
            rows = lane.push(part)
            if rows is not None:
                share = (perf_counter_ns() - begin) / 1e3 / len(rows.bars)
                order = places[rows.closed_by].tolist()
                closed += [(place, lane, rows, bar, share) for bar, place in enumerate(order)]
        self.report.rows += len(chunk)
        closed.sort(key=lambda item: item[0])
        return all(self._decide(lane, rows, bar, share) for _, lane, rows, bar, share in closed)

    def _decide(self, lane: Lane, rows: Rows, bar: int, update_us: float) -> bool:
        """Predict at one bar and log it; false when the run is to end."""
        self.report.bars += 1
        begin = perf_counter_ns()
        ordinal = lane.ordinal(int(rows.known_at[bar]))
        reason = lane.window.push(int(rows.bars.timestamp[bar]), rows.scaled[bar], int(rows.session[bar]))
        if reason is not None:
            self.report.skipped[reason] += 1
            return True
        prediction = float(self._bundle.predict(lane.window.rows)[0])
        signal = self._signal(lane.symbol, rows, bar, prediction=prediction, ordinal=ordinal)
        self.report.latency_us.append(update_us + (perf_counter_ns() - begin) / 1e3)
        if not self._kill.check():
            return False
        if not np.isfinite(prediction):
            self.report.skipped["non_finite_prediction"] += 1
        elif self._log.append(signal):
            self.report.signals[signal.action] += 1
        else:
            self.report.skipped["already_logged"] += 1
        return True

    def _signal(self, symbol: str, rows: Rows, bar: int, *, prediction: float, ordinal: int) -> Signal:
        known_at = int(rows.known_at[bar])
        is_expired = self._age_limit is not None and self._age_limit.is_over(known_at)
        return Signal(
            symbol=symbol,
            bar=int(rows.bars.timestamp[bar]),
            known_at=known_at,
            action="EXPIRED" if is_expired else ACTIONS[self._rule.position(prediction)],
            prediction=prediction,
            threshold=self._rule.threshold,
            price=float(rows.bars.close[bar]),
            horizon=self._bundle.horizon,
            model=self._bundle.id,
            commit=self._commit,
            ordinal=ordinal,
        )

    def _lane(self, symbol: str) -> Lane:
        lane = self._lanes.get(symbol)
        if lane is None:
            lane = self._lanes[symbol] = Lane(symbol, self._bundle, self._spec, self._plan)
        return lane

    def _compile(self) -> None:
        """Compile kernels and start the session before the first row, so that no prediction waits for them."""
        lane = Lane("", self._bundle, self._spec, self._plan)
        zero, one = np.zeros(1, np.int64), np.ones(1)
        lane.push(Chunk("ticks", [""], zero, zero, {"price": one, "volume": one, "side": one}))
        lane.push(Chunk("candles", [""], zero, zero, dict.fromkeys(CANDLE_COLUMNS, one)))
        shape = (1, self._bundle.lookback, len(self._bundle.features))
        self._bundle.predict(np.zeros(shape, np.float32))


def _by_symbol(chunk: Chunk) -> Iterator[tuple[str, NDArray[np.intp], Chunk]]:
    """(symbol, its places in the chunk, its rows) of each symbol in the chunk."""
    if len(chunk) == 1:  # the usual live case, at a tenth of the cost
        yield chunk.symbols[int(chunk.code[0])], np.zeros(1, np.intp), chunk
        return
    for code in np.unique(chunk.code):
        places = np.flatnonzero(chunk.code == code)
        columns = {name: values[places] for name, values in chunk.columns.items()}
        part = Chunk(chunk.kind, chunk.symbols, chunk.code[places], chunk.timestamp[places], columns)
        yield chunk.symbols[code], places, part
