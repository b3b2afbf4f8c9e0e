"""From settings and sources to a feature store: what `build-features`, `retrain` and `demo` share."""

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipelines.archive import build_archive, plan_archive
from pipelines.bars import BarSpec
from pipelines.build import BuildReport, require_vacant
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.making import Kind
from pipelines.objects import is_remote, located
from pipelines.parquet_writer import Encoding
from pipelines.reasons import Quality
from pipelines.request import Request
from pipelines.schema import SourceHints
from pipelines.sessions import check_calendar
from pipelines.sources.zones import check_zone
from stockbot.cluster import LOCAL, cluster_builder
from stockbot.config import BarsConfig, Config, duration_ns
from stockbot.destination import require_writable_parent
from stockbot.errors import UsageError
from stockbot.native_memory import keep_freed_memory

Progress = Callable[[int, int], None]

_SHOWN = 3
_SCRATCH = Path("data/.builds")


def source_hints(config: Config) -> SourceHints:
    """`source:` and `quality:` as the reader takes them.

    Raises:
        UsageError: there is no such column, delimiter, zone or calendar.
    """
    try:
        return _checked_hints(config)
    except DataError as error:
        raise UsageError(str(error)) from None


def _checked_hints(config: Config) -> SourceHints:
    source, max_gap = config.source, config.quality.max_gap
    if source.timezone is not None:
        check_zone(source.timezone)
    if source.calendar is not None:
        check_calendar(source.calendar)
    quality = Quality(
        policy=config.quality.policy,
        calendar=source.calendar,
        max_gap_ns=None if max_gap == "auto" else duration_ns(max_gap),
    )
    return SourceHints(**source.model_dump(exclude={"calendar"}), quality=quality)


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
    strict: bool = False,
    workers: int | None = None,
    cluster: str | None = None,
    scratch: Path | None = None,
    reading: Progress | None = None,
    building: Callable[[int, int, int], None] | None = None,
) -> tuple[BuildReport, list[str]]:
    """Build a store, or bring one up to date; returns the report and lines on what was detected in the first sources.

    Args:
        bars_asked: the user asked for bars in so many words, which candles cannot become.
        strict: a source that cannot be read stops the build; else it is left out, and named in the report.
        workers: symbols that are built at once; None for half as many as there are processors, for each reads, runs
            and writes at the same time, and for as many as there are processors on a cluster of this machine.
        cluster: address of a Dask scheduler on whose workers symbols are built, or `local` to start one.
        scratch: folder in which a store at s3:// is made before it is put there; default: data/.builds.
        reading: called with files done and in all.
        building: called with rows done and in all, and partitions finished.

    Raises:
        DataError: the sources cannot be read as they are, or something is in the way at `out`.
        UsageError: `out` cannot be made. Both are known before the sources are read.
    """
    request = archive_request(sources, config, out, replace=replace, bars_asked=bars_asked, scratch=scratch)
    if cluster is not None and cluster != LOCAL:
        request = _absolute(request)
    keep_freed_memory()
    request = dataclasses.replace(
        request,
        strict=strict,
        workers=workers or max(1, (os.cpu_count() or 1) // 2),
        surveyed=reading or _silent,
        advanced=building or (lambda done, total, partitions: None),
    )
    if cluster is None:
        report = build_archive(request)
    else:
        with cluster_builder(cluster, workers or os.cpu_count() or 1, config) as elsewhere:
            report = build_archive(dataclasses.replace(request, elsewhere=elsewhere))
    return report, [
        *_described(report.described),
        *_shown([f"{path}: passed over, no market data by its name" for path in report.passed_over]),
    ]


def archive_request(
    sources: Sequence[str | Path],
    config: Config,
    out: Path,
    *,
    replace: bool = False,
    bars_asked: bool = False,
    scratch: Path | None = None,
) -> Request:
    """What the settings ask of a build.

    Raises:
        DataError: something is in the way at `out`. UsageError: `out` cannot be made, or a hint makes no sense.
    """
    place = located(out)
    if isinstance(place, Path):
        require_vacant(place, replace=True)
        require_writable_parent(place)
    spec = bar_spec(config.bars)

    def accept(kind: Kind, path: Path) -> None:
        if bars_asked and kind == "candles" and spec.kind != "none":
            raise DataError(
                f"{path}: holds candles, which are rows already and cannot become {spec.describe()}; leave --bars and "
                "--bar-size out, or give ticks"
            )

    return Request(
        sources=sources,
        hints=source_hints(config),
        bars=spec,
        plan=FeaturePlan(config.features),
        out=place,
        config_text=config.to_yaml(),
        encoding=Encoding(**config.store.model_dump(exclude={"materialize"})),
        materialize=config.store.materialize,
        scratch=scratch or _SCRATCH,
        replace=replace,
        accept=accept,
    )


def _absolute(request: Request) -> Request:
    """With the paths as they are for a worker, whatever folder it was started in."""
    sources = [source if is_remote(source) else Path(source).expanduser().absolute() for source in request.sources]
    out = request.out if is_remote(request.out) else Path(str(request.out)).absolute()
    return dataclasses.replace(request, sources=sources, out=out, scratch=request.scratch.absolute())


def plan_features(
    sources: Sequence[str | Path],
    config: Config,
    out: Path,
    *,
    replace: bool = False,
    strict: bool = False,
    scratch: Path | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """What `build_features` would do for each symbol, and why; and why files would be left out.

    Returns:
        For each symbol: `up_to_date` partitions up to `last`, those to be built `again` by their first days, the
        `files` of which rows are to be read, and the `reason`; None where nothing is due.

    Raises:
        As `build_features`.
    """
    broken: list[str] = []
    request = archive_request(sources, config, out, replace=replace, scratch=scratch)
    works = plan_archive(dataclasses.replace(request, strict=strict), broken.append)
    return [
        {
            "symbol": work.symbol,
            "up_to_date": len(work.standing),
            "last": work.standing[-1]["date"] if work.standing else None,
            "again": list(work.again),
            "files": list(work.files),
            "reason": work.reason,
        }
        for work in works
    ], broken


def peak_rss_mb() -> float | None:
    """The most memory that this process has held; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def _silent(done: int, total: int) -> None:
    """Nobody watches."""


def _described(sources: Sequence[tuple[str, str]]) -> list[str]:
    return _shown([f"{name}: {description}" for name, description in sources])


def _shown(lines: list[str]) -> list[str]:
    more = len(lines) - _SHOWN
    return lines if more <= 0 else [*lines[:_SHOWN], f"... and {more} more file{'s' if more > 1 else ''}"]
