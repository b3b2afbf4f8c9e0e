"""What every program is given to do, and how it says what it took where that is more than its process tells.

python -m benchmarks.build.job polars_lazy '{"files": [...], "out": ..., "codec": "zstd", "bars": false, "base": [...]}'
"""

import dataclasses
import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SOURCE = {"timestamp": "timestamp", "last_timestamp": "timestamp", "volume": "volume"}  # all others are prices


@dataclass(frozen=True)
class Job:
    """Features of an archive to be written.

    Attributes:
        files: of ticks: `timestamp price volume`, named SYMBOL_DAY. out: a folder that exists.
        codec: none, lz4, zstd (level 1), or `default`: what the library does when told nothing.
        bars: features of bars of a second instead of ticks.
        base: columns that are written before the features: those that the feature store has.
    """

    files: list[str]
    out: str
    codec: str
    bars: bool
    base: list[str]

    @property
    def tick_columns(self) -> dict[str, str]:
        """The tick's column that each base column is a copy of when every tick is a row."""
        return {name: _SOURCE.get(name, "price") for name in self.base}

    def target(self, file: str) -> str:
        """Where the features of a file go."""
        return str(Path(self.out) / f"{Path(file).stem}.parquet")

    def as_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))


def pyarrow_settings(codec: str, columns: list[str]) -> dict[str, Any]:
    """Arguments of pyarrow's writer: its fastest for floats that do not repeat, but for its defaults."""
    if codec == "default":
        return {}
    times = {"timestamp", "last_timestamp"}
    split = {name: "DELTA_BINARY_PACKED" if name in times else "BYTE_STREAM_SPLIT" for name in columns}
    level = {"compression_level": 1} if codec == "zstd" else {}
    return {"compression": codec, **level, "use_dictionary": False, "column_encoding": split, "write_statistics": False}


if __name__ == "__main__":
    importlib.import_module(f"benchmarks.build.{sys.argv[1]}").build(Job(**json.loads(sys.argv[2])))
