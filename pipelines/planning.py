"""Which partitions of a store, or of an interrupted build, still stand; from where work is due, and why."""

import stat
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines import parts
from pipelines.making import Named, Record
from pipelines.manifest import items_of
from pipelines.parts import Period
from pipelines.survey import Source


@dataclass(frozen=True)
class Work:
    """What is due for a symbol.

    Attributes:
        standing: partitions that are up to date, the first ones of the symbol.
        start: time from which input is due; None for all of it.
        reason: why; None where nothing is due.
        again: first days of partitions that stand no longer. files: names of those with rows that are due.
    """

    symbol: str
    standing: Sequence[Record]
    start: int | None
    reason: str | None
    again: Sequence[str] = ()
    files: Sequence[str] = ()

    def from_before(self, period: Period) -> "Work":
        """The last of the standing partitions is built again as well: no rows follow it, which it did not know."""
        stand = self.standing[:-1]
        again = [self.standing[-1]["date"], *self.again]
        return replace(self, standing=stand, start=_end(stand, period), again=again)

    def after(self, records: Sequence[Record], period: Period) -> "Work":
        """What is left when partitions were finished since it was planned, by a worker that is gone."""
        stand = list(self.standing)
        for record in records:
            stand = [*(one for one in stand if one["date"] < record["date"]), record]
        return replace(self, standing=stand, start=_end(stand, period))


def work_due(
    symbol: str, known: Sequence[Record], sources: Sequence[Source], period: Period, is_there: Callable[[Record], bool]
) -> Work:
    """What is due for a symbol of which partitions are known; `sources` are those with rows of it.

    A partition stands when those before it do, its inputs are there unchanged, and every source that begins in its
    period is among them.
    """
    stand, reason = _standing(known, sources, period, is_there)
    start = _end(stand, period)
    more = [source for source in sources if _reaches(source, symbol, start)]
    if reason is None and not stand:
        reason = "not built yet"
    elif reason is None and more:
        reason = f"{more[0].path.name} goes on after {stand[-1]['date']}"
    again = [record["date"] for record in known[len(stand) :]]
    work = Work(symbol, stand, start, reason, again, [source.path.name for source in more])
    if stand and not more and not stand[-1]["is_last"]:
        work = replace(work, reason=reason or f"nothing follows {stand[-1]['date']}").from_before(period)
        return replace(work, files=[source.path.name for source in sources if _reaches(source, symbol, work.start)])
    return work


def dropped(symbol: str, known: Sequence[Record]) -> Work:
    """What becomes of a symbol of which no source holds rows any more."""
    return Work(symbol, (), None, "no source holds it any more", [record["date"] for record in known])


def _end(stand: Sequence[Record], period: Period) -> int | None:
    return parts.period_end(stand[-1]["date"], period) if stand else None


def _reaches(source: Source, symbol: str, start: int | None) -> bool:
    last = source.entry["spans"][symbol][1]
    return start is None or last is None or last >= start


def _standing(
    known: Sequence[Record], sources: Sequence[Source], period: Period, is_there: Callable[[Record], bool]
) -> tuple[list[Record], str | None]:
    present = {(source.path.name, source.sha256) for source in sources}
    begin: dict[str, list[Source]] = {}
    for source in sources:
        for symbol, (first, _) in source.entry["spans"].items():
            if known and symbol == known[0]["symbol"]:
                begin.setdefault(parts.period_key(first, period), []).append(source)
    stand: list[Record] = []
    keys = deque(sorted(begin))
    for record in known:
        beginning = {key: begin[key] for key in _up_to(record["date"], keys)}
        reason = _fault(record, stand, present, beginning, is_there)
        if reason is not None:
            return stand, reason
        stand.append(record)
    return stand, None


def _up_to(date: str, keys: deque[str]) -> Iterator[str]:
    """Those that are not later, taken out."""
    while keys and keys[0] <= date:
        yield keys.popleft()


def _fault(
    record: Record,
    before: Sequence[Record],
    present: set[Named],
    beginning: Mapping[str, Sequence[Source]],
    is_there: Callable[[Record], bool],
) -> str | None:
    """Why a partition does not stand; `beginning` are the sources that begin after the one before, by period."""
    inputs = {(item["name"], item["sha256"]) for item in record["inputs"]}
    gone = sorted(name for name, _ in inputs - present)
    if gone:
        return f"{gone[0]} changed or is gone"
    for key, found in beginning.items():
        new = [source for source in found if (source.path.name, source.sha256) not in inputs]
        if key < record["date"] or new:
            return f"{(new or found)[0].path.name} is new"
    if record["before"] != (before[-1]["state"]["sha256"] if before else None):
        return "what comes before it changed"
    return None if is_there(record) else "its files are not there"


def is_below(record: Record, folders: Sequence[Path], sizes: Mapping[str, int]) -> bool:
    """Whether all files of a partition are below one of the folders, or have these sizes elsewhere: the cheap check."""
    items = items_of(record)
    return all(
        sizes.get(item["path"]) == item["size"]
        or any(_has_size(folder / item["path"], item["size"]) for folder in folders)
        for item in items
    )


def _has_size(path: Path, size: int) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return found.st_size == size and stat.S_ISREG(found.st_mode)
