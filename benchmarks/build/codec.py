"""The codec of a store's files: what was asked for must be what was written, of what compresses at all.

python -m benchmarks.build.codec STORE            # prints one JSON object
"""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

_NAMES = {"UNCOMPRESSED": "none", "LZ4": "lz4", "LZ4_RAW": "lz4"}


def codec_of(store: Path) -> str:
    group = pq.read_metadata(next(store.glob("symbol=*/*/*.parquet"))).row_group(0)
    names = {group.column(place).compression for place in range(group.num_columns)}
    name = min(names - {"UNCOMPRESSED"}, default="UNCOMPRESSED")
    return _NAMES.get(name, name.lower())


if __name__ == "__main__":
    print(json.dumps({"codec": codec_of(Path(sys.argv[1]))}))
