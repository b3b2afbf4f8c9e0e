"""What is to be built of what, and where; and whether a store that is there was made by the same settings."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kernels.arrays import Floats
from pipelines.bars import BarSpec
from pipelines.build import Progress
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.fetched import copy_of, objects_of
from pipelines.files import canonical_json
from pipelines.ingest import check_table
from pipelines.making import Kind, Materialize, Record
from pipelines.objects import Location, is_remote, located
from pipelines.parquet_writer import Encoding
from pipelines.schema import SourceHints
from pipelines.sessions import check_calendar
from pipelines.sources.paths import expand_sources
from pipelines.sources.zones import check_zone
from pipelines.store import FeatureStore
from pipelines.streaming import Task

_SHOWN = 3  # settings of a line

# Builds symbols, tells of rows and partitions since the last time, and returns the records of each symbol.
Builder = Callable[[Sequence[Task], Callable[[int, int], None]], dict[str, list[Record]]]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be built of what, and where.

    Attributes:
        materialize: what the store holds, as `Making` says.
        replace: a store that is there is replaced; else it is brought up to date.
        strict: a source that cannot be read stops the build; else it is left out and told.
        workers: symbols that are built at once. elsewhere: builds them in the place of threads of this process.
        surveyed: called with files done and in all. advanced: with rows done, rows in all as far as they are known, and
            partitions finished; from any thread, one at a time.
        scratch: folder in which a store in a bucket is built before it is put there.
        accept: called with the kind of rows and the first file when both are known; may raise.
    """

    sources: Sequence[str | Path]
    hints: SourceHints
    bars: BarSpec
    plan: FeaturePlan
    out: Location
    config_text: str
    scratch: Path = Path()
    encoding: Encoding = field(default_factory=Encoding)
    materialize: Materialize = "all"
    replace: bool = False
    strict: bool = False
    workers: int = 1
    elsewhere: Builder | None = None
    accept: Callable[[Kind, Path], None] = lambda kind, path: None
    surveyed: Progress = lambda done, total: None
    advanced: Callable[[int, int, int], None] = lambda done, total, partitions: None

    @property
    def place(self) -> Path:
        """A path on this machine that stands for the store."""
        out = located(self.out)
        return out if isinstance(out, Path) else self.scratch / quote(f"{out.bucket}/{out.key}", safe="")

    @property
    def root(self) -> Path:
        """The folder in which it is built."""
        return self.place.with_name(f".{self.place.name}.building")

    @property
    def settings(self) -> dict[str, Any]:
        """What the rows and files of a store follow from, its sources left aside, as its manifest has it."""
        hints = asdict(self.hints)
        made = {
            "features": list(self.plan.names),
            "bars": asdict(self.bars),
            "quality": hints.pop("quality"),
            "hints": hints,
            "encoding": asdict(self.encoding),
            "materialize": self.materialize,
        }
        return dict(json.loads(canonical_json(made)))


def paths_of(request: Request) -> list[Path]:
    """The files that its sources name; objects of a bucket as the copies that are made of them.

    Raises:
        DataError: there are none, one cannot be read, or zone, calendar or table are unknown.
    """
    if request.hints.timezone is not None:
        check_zone(request.hints.timezone)
    remote = [source for source in request.sources if is_remote(source)]
    local = [source for source in request.sources if not is_remote(source)]
    paths = expand_sources(local) if local or not remote else []
    if not remote:
        check_table(paths, request.hints)
    if request.hints.quality.calendar is not None:
        check_calendar(request.hints.quality.calendar)
    objects = {one for source in remote for one in objects_of(source)}
    return paths + [copy_of(one, request.root) for one in sorted(objects)]


def require_same_settings(request: Request, base: FeatureStore) -> None:
    """Refuse to bring a store up to date that was made otherwise.

    Raises:
        DataError: it says which settings differ.
    """
    asked, held = request.settings, base.manifest
    if held["source_kind"] != "ticks":
        del asked["bars"]
    other = [name for name, value in asked.items() if held[name] != value]
    if not other and not all(map(request.plan.fits, _features_state(base))):
        other = ["versions of its features"]
    if other:
        raise DataError(
            f"{request.out}: holds a feature store made with other {', '.join(sorted(other))}; give --overwrite to "
            f"replace it, or another --out{_contrast(held, asked)}"
        )


def _contrast(held: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """In brackets, the first few settings that differ; lists, such as that of features, are too long to tell."""
    found = [f"{name} is {was!r} there, {now!r} asked" for name, was, now in _differences(held, asked)]
    return f" ({'; '.join(found[:_SHOWN])})" if found else ""


def _differences(held: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name, now in asked.items():
        was = held.get(name)
        if isinstance(now, Mapping) and isinstance(was, Mapping):
            yield from _differences(was, {**dict.fromkeys(was), **now})
        elif was != now and not isinstance(now, list):
            yield name, was, now


def _features_state(base: FeatureStore) -> list[Floats]:
    """The state of the features after some partition; none if all were lost, which are made anew then."""
    states = (part["state"] for part in base.manifest["partitions"])
    there = next((item for item in states if base.locate(item["path"]).is_file()), None)
    return [] if there is None else [base.state_in(there)["features"]]
