"""What is made of rows, and the rows that it is made of: what the parts of a build agree on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import polars as pl

from pipelines.bars import BarSpec
from pipelines.files import canonical_json, sha256_bytes
from pipelines.parquet_writer import Encoding
from pipelines.parts import Period
from pipelines.reasons import Quality

Record = dict[str, Any]  # of a partition, as `tests/pipelines/test_build.py` lists it
Kind = Literal["ticks", "candles"]
Materialize = Literal["all", "input", "none"]
Named = tuple[str, str]  # name and SHA-256 of a source

_DAY_NS = 86_400 * 10**9


@dataclass(frozen=True)
class Making:
    """What is made of the rows: what two builds must share to give the same bytes.

    Attributes:
        columns: what the ticks of any source have beside price and volume, and the engine reads.
        hints: how the sources are to be read; None when they were read before.
        encoding: of the data files.
        quality: what is held against the rows. max_gap_ns: longest step between rows that is no gap.
        materialize: what is written: all finished rows, the input that they are computed from, or none of both.
    """

    features: Sequence[str]
    bars: BarSpec
    kind: Kind
    period: Period
    columns: Sequence[str]
    hints: Mapping[str, Any] | None
    encoding: Encoding
    quality: Quality
    max_gap_ns: int
    materialize: Materialize = "all"

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "Making":
        """What a store was made with."""
        bars = BarSpec(**manifest["bars"])
        names = ("features", "period", "columns", "hints", "max_gap_ns", "materialize")
        found = {name: manifest[name] for name in names}
        found |= {"encoding": Encoding(**manifest["encoding"]), "quality": Quality(**manifest["quality"])}
        return cls(bars=bars, kind=manifest["source_kind"], **found)

    def settings(self) -> dict[str, Any]:
        """As a manifest states it."""
        values = asdict(self)
        values["source_kind"] = values.pop("kind")
        return values

    @cached_property
    def identity(self) -> str:
        """SHA-256 of the settings: what partitions must have been made with to be part of one build."""
        return sha256_bytes(canonical_json(self.settings()))

    @property
    def closes_with_period(self) -> bool:
        """Whether no bar reaches over the end of a period."""
        return self.kind == "ticks" and self.bars.kind == "time" and _DAY_NS % int(self.bars.size) == 0


@dataclass(frozen=True)
class Batch:
    """Rows of one symbol, in time order and none before those of the last batch, and what was rejected among them.

    Attributes:
        rows: canonical columns; with `_source` and `_line`, where they are known.
        rejected: as `REJECTED_SCHEMA` says, with `_stamp`, the time of the good row that they stand with, in order,
            and `_source`.
    """

    rows: pl.DataFrame
    rejected: pl.DataFrame
