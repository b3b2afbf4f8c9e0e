"""From settings and sources to a feature store: what `build-features`, `retrain` and `demo` share."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pipelines.bars import BarSpec
from pipelines.build import BuildReport, build_store, require_vacant
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.ingest import SourceReport, read_archive
from pipelines.schema import SourceHints
from stockbot.config import BarsConfig, Config, SourceConfig, duration_ns
from stockbot.destination import require_writable_parent

Progress = Callable[[int, int], None]

_SHOWN = 3


def source_hints(source: SourceConfig) -> SourceHints:
    """The hints of `source:` as the reader takes them."""
    return SourceHints(**source.model_dump())


def bar_spec(bars: BarsConfig) -> BarSpec:
    """The bars of `bars:` as the builder takes them."""
    if bars.kind == "none":
        return BarSpec("none", 1)
    return BarSpec(bars.kind, duration_ns(str(bars.size)) if bars.kind == "time" else float(bars.size))


def build_features(
    sources: Sequence[str | Path],
    config: Config,
    out: Path,
    *,
    replace: bool = False,
    bars_asked: bool = False,
    reading: Progress | None = None,
    building: Progress | None = None,
) -> tuple[BuildReport, list[str]]:
    """Read, validate and build; returns the report and lines on what was detected in the first sources.

    Args:
        bars_asked: the user asked for bars in so many words, which candles cannot become.

    Raises:
        DataError: the sources cannot be read as they are, or something is in the way at `out`.
        UsageError: `out` cannot be made. Both are known before the sources are read.
    """
    plan = FeaturePlan(config.features)
    require_vacant(out, replace)
    require_writable_parent(out)
    ingested = read_archive(sources, source_hints(config.source), needs=plan.quotes_needed, progress=reading)
    if bars_asked and ingested.kind == "candles" and config.bars.kind != "none":
        raise DataError(
            f"{ingested.sources[0].path}: holds candles, which are rows already and cannot become "
            f"{bar_spec(config.bars).describe()}; leave --bars and --bar-size out, or give ticks"
        )
    report = build_store(
        ingested,
        bars=bar_spec(config.bars),
        plan=plan,
        out=out,
        config_text=config.to_yaml(),
        replace=replace,
        progress=building,
    )
    return report, [
        *_describe(ingested.sources),
        *(f"{path}: passed over, not market data" for path in ingested.passed_over),
    ]


def _describe(sources: list[SourceReport]) -> list[str]:
    lines = [f"{source.path.name}: {source.description}" for source in sources]
    return lines if len(lines) <= _SHOWN else [*lines[:_SHOWN], f"... and {len(lines) - _SHOWN} more files"]
