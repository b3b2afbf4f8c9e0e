"""`run` as one call: find the model, read the archive, replay it through the runner into a signal log."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.ingest import Ingested
from pipelines.quality import reason_counts
from pipelines.schema import SourceHints
from pipelines.store import FeatureStore
from stockbot.bundle import Bundle, resolve
from stockbot.config import Config, duration_ns
from stockbot.evaluate import Rule
from stockbot.live.feeds import ReplayFeed
from stockbot.live.risk import AgeLimit, KillSwitch, require_live_allowed
from stockbot.live.runner import Runner
from stockbot.live.signals import Mode, SignalLog
from stockbot.trained_on import require_candle_length, require_kind


@dataclass(frozen=True, kw_only=True)
class ReplayRequest:
    """What to replay, through which model, into which log.

    Attributes:
        artifacts: folder of the models, the current pointer and the kill file.
        settings: its `live` and `costs`, where stated, replace those the model was trained with.
        live: mark the lines LIVE, and hold their age against the clock; needs `live.enabled` in `settings`.
        warm_start: feature store to go on from; None starts cold.
        chunk: rows handed to the runner at once; the lines do not depend on it.
    """

    sources: Sequence[str | Path]
    hints: SourceHints
    artifacts: Path
    signals: Path
    settings: Config
    model: str | None = None
    live: bool = False
    warm_start: Path | None = None
    chunk: int = 1


def replay(request: ReplayRequest, *, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Run the replay to its end, or until it is stopped; returns what `run` prints.

    Raises:
        HaltedError: the kill switch. UsageError: `live` without leave. ArtifactError: no usable model.
        DataError: unreadable sources, or a signal log that was altered.
    """
    require_live_allowed(live=request.live, enabled=request.settings.live.enabled)
    bundle = resolve(request.artifacts, request.model)
    kill = KillSwitch(request.artifacts)
    kill.check()
    feed = ReplayFeed(request.sources, request.hints, chunk=request.chunk)
    ingested = feed.ingested
    _require_fit(ingested, bundle)
    mode: Mode = "LIVE" if request.live else "DRY"
    config = in_force(bundle, request.settings)
    rule = Rule.of(config)
    log = SignalLog(request.signals, mode=mode)
    runner = Runner(
        bundle,
        rule,
        log=log,
        kill=kill,
        warm_start=None if request.warm_start is None else FeatureStore.open(request.warm_start),
        age_limit=AgeLimit(duration_ns(config.live.max_signal_age)) if request.live else None,
    )
    with log, kill.listening():  # the log is made last, so that a run that is refused leaves none
        report = runner.run(feed, progress=None if progress is None else lambda done: progress(done, len(feed)))
    return {
        "model": bundle.id,
        "mode": mode,
        "rows_in": ingested.rows_in,
        "quarantined": reason_counts(ingested.rejected),
        **report.summary(),
        "threshold": rule.threshold,
        "signals_file": str(request.signals),
    }


def _require_fit(ingested: Ingested, bundle: Bundle) -> None:
    require_kind(ingested.kind, bundle, "the feed brings")
    if ingested.kind == "candles":
        stamps = ingested.frame.sort("timestamp").partition_by("symbol")
        lists = (frame["timestamp"].to_physical().to_numpy() for frame in stamps)
        require_candle_length(lists, bundle, "the feed brings")


def in_force(bundle: Bundle, settings: Config) -> Config:
    """The model's own configuration, with `live`, `costs` and `loader` of `settings` where these were stated."""
    stated = settings.model_fields_set & {"live", "costs", "loader"}
    return bundle.config.model_copy(update={name: getattr(settings, name) for name in stated})
