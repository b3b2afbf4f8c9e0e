"""The codec of a store's files: what was asked for must be what was written.

python -m benchmarks.build.codec STORE            # prints one JSON object
"""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

_NAMES = {"UNCOMPRESSED": "none", "LZ4": "lz4", "LZ4_RAW": "lz4"}


def codec_of(store: Path) -> str:
    metadata = pq.read_metadata(next(store.glob("symbol=*/*/*.parquet")))
    name = metadata.row_group(0).column(metadata.num_columns - 1).compression
    return _NAMES.get(name, name.lower())


if __name__ == "__main__":
    print(json.dumps({"codec": codec_of(Path(sys.argv[1]))}))
