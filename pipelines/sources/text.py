"""Delimited text: delimiter, comment lines, header and ragged rows are found, cells stay text."""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from kernels.arrays import Floats, Integers
from kernels.plain_numbers import INTEGER, NUMBER, SKIPPED, read_numbers
from pipelines.errors import DamagedError, DataError
from pipelines.reasons import MALFORMED_QUOTE, RAGGED_ROW
from pipelines.schema import EXACT_ALIASES, REJECTED_SCHEMA, SourceHints, empty_rejected
from pipelines.sources.columns import is_known_name
from pipelines.sources.table import RawTable

_DELIMITERS = (",", ";", "\t", "|")
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_SAMPLE_LINES = 300
_COMMENT = ("#", "//")
_NUMERIC = re.compile(r"^[+-]?(\d[\d.,:/\- TZ+]*|\.\d+)([eE][+-]?\d+)?( ?[AP]M)?$")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_KINDS: dict[pl.DataType, int] = {pl.Null(): SKIPPED, pl.Int64(): INTEGER, pl.Float64(): NUMBER}
_MESSAGE = re.compile(r"^\s*(\d+\s+)?[{\[]")
_PAGE = re.compile(r"^\s*<(!doctype|html|\?xml)", re.IGNORECASE)


@dataclass(frozen=True)
class _Head:
    notes: tuple[str, ...]
    names: tuple[str, ...] | None
    start: int


@dataclass(frozen=True)
class TextLayout:
    """How the lines of a text are split, as its first lines tell; `start` is the number of its lines before the rows.

    names : of the columns; positions where there is no header
    """

    delimiter: str
    names: tuple[str, ...]
    header: bool
    notes: tuple[str, ...]
    start: int

    @property
    def described(self) -> str:
        """In words."""
        return f"{_NAMES.get(self.delimiter, repr(self.delimiter))}-separated"


def read_text(origin: str, data: bytes, hints: SourceHints) -> RawTable:
    """Split delimited text into columns.

    Blank lines and the comment lines above the header are no rows; every other line is one.

    Raises
    ------
    DataError : no delimiter, no row that fits the header; no table at all, as JSON messages or a web page.
    """
    lines = text_lines(data)
    layout, body = _settled(origin, lines, hints)
    return _split(origin, lines[layout.start :], layout.start + 1, body, layout)


def text_lines(data: bytes) -> pl.Series:
    """Return the lines of a text without their ends."""
    lines = pl.read_lines(io.BytesIO(data)).to_series()
    return lines.str.strip_suffix("\r") if b"\r" in data else lines


def settle_layout(origin: str, lines: pl.Series, hints: SourceHints) -> TextLayout:
    """Tell from its lines, or its first ones, how a text is laid out.

    Raises
    ------
    DataError : as `read_text`.
    """
    return _settled(origin, lines, hints)[0]


def _settled(origin: str, lines: pl.Series, hints: SourceHints) -> tuple[TextLayout, pl.DataFrame]:
    """The layout, and the lines that are rows with their widths: counting these is a tenth of reading a small file."""
    sample = _sample(lines)
    if not sample:
        raise DamagedError(f"{origin}: no rows: the file holds only comment lines; expected a table of market data")
    if _MESSAGE.match(sample[0]):
        raise DamagedError(
            f"{origin}: holds JSON messages (a raw feed capture), not a table; expected delimited rows: "
            "flatten the capture to CSV first"
        )
    if _PAGE.match(sample[0]):
        raise DamagedError(f"{origin}: holds a web page or XML, not a table; expected delimited rows: fetch it again")
    delimiter = _stated_delimiter(origin, sample, hints.delimiter) or _detect_delimiter(origin, sample)
    head = _read_head(origin, lines, delimiter, header=hints.header)
    body = _with_widths(_body(lines[head.start :], head.start + 1), delimiter)
    if not body.height and not head.names:
        raise DamagedError(f"{origin}: no rows: the file holds no line of data; expected a table of market data")
    names = _fitted_names(body, head.names, delimiter)
    if len(names) < 2 or (body.height and not _fits(body, len(names)).any()):
        raise DataError(
            f"{origin}: line {body['line'][0]} has {body['width'][0]} fields, the header has {len(names)}; expected "
            "rows as wide as the header: name the delimiter with --delimiter, or --no-header"
        )
    return TextLayout(delimiter, names, head.names is not None, head.notes, head.start), body


def _sample(lines: pl.Series) -> list[str]:
    return [line for line in lines.head(_SAMPLE_LINES).to_list() if line.strip() and not line.startswith(_COMMENT)]


def _width(line: str, delimiter: str) -> int:
    return (_QUOTED.sub("", line) if '"' in line else line).count(delimiter) + 1


def _modal_width(sample: list[str], delimiter: str) -> int:
    return Counter(_width(line, delimiter) for line in sample).most_common(1)[0][0]


def _stated_delimiter(origin: str, sample: list[str], stated: str | None) -> str | None:
    if stated is None or any(_width(line, stated) > 1 for line in sample):
        return stated
    try:
        used = f"its delimiter seems to be {_detect_delimiter(origin, sample)!r}"
    except DataError:
        used = "it has none of the usual ones either"
    raise DataError(
        f"{origin}: --delimiter {stated!r} occurs in no line, {used} (first line {sample[0][:60]!r}); leave the flag "
        "out, or name the one that the file has"
    )


def _detect_delimiter(origin: str, sample: list[str]) -> str:
    text = "".join(sample)

    def score(delimiter: str) -> tuple[float, int]:
        if delimiter not in text:
            return 0.0, 1
        mode, hits = Counter(_width(line, delimiter) for line in sample).most_common(1)[0]
        return (hits / len(sample) if mode > 1 else 0.0, mode)

    best = max(_DELIMITERS, key=score)
    if score(best)[0] == 0.0:
        best = max(_DELIMITERS, key=lambda d: _width(sample[0], d))
        if _width(sample[0], best) == 1:
            raise DataError(
                f"{origin}: no delimiter found in {sample[0][:60]!r}; expected comma, semicolon, tab or bar: "
                "name it with --delimiter"
            )
    return best


def _cells(origin: str, line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    except csv.Error as error:
        raise DataError(
            f"{origin}: a line cannot be split into fields ({error}); expected lines that end in LF or CR LF, "
            f"received {line[:60]!r}: convert the file"
        ) from error


def _read_head(origin: str, lines: pl.Series, delimiter: str, *, header: bool | None) -> _Head:
    notes: list[str] = []
    width = _modal_width(_sample(lines), delimiter)
    for index, line in enumerate(lines.head(_SAMPLE_LINES).to_list()):
        if not line.strip():
            continue
        bare = line.lstrip("#/ ") if line.startswith(_COMMENT) else line
        names = tuple(_cells(origin, bare, delimiter))
        if header is False and bare is line:
            return _Head(tuple(notes), None, index)
        if _is_header(names, width, bare is line) or (header and bare is line):
            return _Head(tuple(notes), names, index + 1)
        if bare is line and (len(names) == width or any(map(_NUMERIC.match, names))):
            return _Head(tuple(notes), None, index)
        notes.append(bare.strip())
    return _Head(tuple(notes), None, len(lines))


def _is_header(names: tuple[str, ...], width: int, plain: bool) -> bool:
    if any(map(_NUMERIC.match, names)):
        return False
    known = sum(is_known_name(name) or name in EXACT_ALIASES for name in names)
    if not plain:
        return len(names) == width and known >= 2
    return len(names) == width or (known >= 2 and len(names) > 1)


def split_lines(origin: str, lines: pl.Series, first: int, layout: TextLayout) -> RawTable:
    """Split lines, of which the first has the number `first`, into columns; those of other widths are rejected."""
    return _split(origin, lines, first, _with_widths(_body(lines, first), layout.delimiter), layout)


def _split(origin: str, lines: pl.Series, first: int, body: pl.DataFrame, layout: TextLayout) -> RawTable:
    width = len(layout.names)
    good = body.filter(_fits(body, width))
    return RawTable(
        origin=origin,
        columns=layout.names,
        frame=_columns(good["raw"], layout.delimiter, width),
        lines=good["line"],
        raw_rows=lambda at: lines.gather(at - first),
        rejected=_ragged(origin, body, width),
        layout=layout.described,
        header=layout.header,
        notes=layout.notes,
    )


def plain_table(
    origin: str, data: bytes, first: int, layout: TextLayout, types: Mapping[str, pl.DataType]
) -> RawTable | None:
    """Read whole lines in one step, some columns of them as numbers; None where they hold anything that is not plain.

    Plain are lines of the right number of fields, none blank and none quoted, whose numbers can all be read: 8 times
    as fast as line by line.
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    rows, width = count_lines(data), len(layout.names)
    # A blank line has no delimiter, so that the count does not come out.
    if b'"' in data or b"\r" in data or _count_byte(data, layout.delimiter.encode()) != rows * (width - 1):
        return None
    names = [str(at) for at in range(width)]
    try:
        frame = pl.read_csv(
            io.BytesIO(data),
            has_header=False,
            new_columns=names,
            columns=sorted(map(int, types)),
            separator=layout.delimiter,
            quote_char=None,
            schema_overrides=[types.get(name, pl.String()) for name in names],
        )
    except pl.exceptions.PolarsError:
        return None
    return _whole_lines(origin, data, first, layout, frame) if len(frame) == rows else None


def numbers_table(
    origin: str, data: bytes, first: int, layout: TextLayout, types: Mapping[str, pl.DataType]
) -> RawTable | None:
    """As `plain_table`, of columns of numbers alone: in two thirds of the time, as the look that finds out whether they
    are plain is the reading of them.
    """
    kinds = [_KINDS.get(types.get(str(at), pl.Null())) for at in range(len(layout.names))]
    known = [kind for kind in kinds if kind is not None]
    columns = read_numbers(data, layout.delimiter, known) if len(known) == len(kinds) else None
    if columns is None:
        return None
    names = sorted(types, key=int)
    series = [pl.Series(name, _held(column)) for name, column in zip(names, columns, strict=True)]
    return _whole_lines(origin, data, first, layout, pl.DataFrame(series))


def _held(column: Integers | Floats) -> pa.Array:
    """The array as Arrow holds it, not copied; `pa.array` would import pandas, which takes 0.1 s."""
    kind = pa.float64() if column.dtype == np.float64 else pa.int64()
    return pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(column)])


def _whole_lines(origin: str, data: bytes, first: int, layout: TextLayout, frame: pl.DataFrame) -> RawTable:
    """The table of a text whose every line is a row of the frame."""
    return RawTable(
        origin=origin,
        columns=layout.names,
        frame=frame,
        lines=pl.int_range(first, first + len(frame), eager=True, dtype=pl.Int64).alias("line"),
        raw_rows=lambda at: text_lines(data).gather(at - first),
        rejected=empty_rejected(),
        layout=layout.described,
        header=layout.header,
        notes=layout.notes,
    )


def count_lines(data: bytes) -> int:
    """Return how many lines a text has."""
    return _count_byte(data, b"\n") + (not data.endswith(b"\n"))


def _count_byte(data: bytes, wanted: bytes) -> int:
    """Count a byte at a fifth of the time that `bytes.count` takes; -1 of what is not one byte."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == wanted[0])) if len(wanted) == 1 else -1


def _body(lines: pl.Series, first: int) -> pl.DataFrame:
    """The lines that are rows, each with its number: all that are not blank."""
    body = pl.DataFrame({"raw": lines}).with_row_index("line", first)
    return body.filter(pl.col("raw").str.strip_chars() != "").with_columns(pl.col("line").cast(pl.Int64))


def _fits(body: pl.DataFrame, width: int) -> pl.Series:
    return body.select((pl.col("width") == width) & pl.col("formed")).to_series()


def _with_widths(body: pl.DataFrame, delimiter: str) -> pl.DataFrame:
    raw = pl.col("raw")
    if not body["raw"].str.contains('"', literal=True).any():
        return body.with_columns(_count(raw, delimiter), formed=pl.lit(True))
    # A cell is free of quotes, or quoted as a whole with its own quotes doubled; anything else is damage.
    cell = rf'(?:[^"\x{{{ord(delimiter):x}}}]*|{_QUOTED.pattern})'
    formed = raw.str.contains(rf"^{cell}(?:\x{{{ord(delimiter):x}}}{cell})*$")
    return body.with_columns(_count(raw.str.replace_all(_QUOTED.pattern, ""), delimiter), formed=formed)


def _count(text: pl.Expr, delimiter: str) -> pl.Expr:
    return (text.str.count_matches(delimiter, literal=True).cast(pl.Int64) + 1).alias("width")


def _fitted_names(body: pl.DataFrame, names: tuple[str, ...] | None, delimiter: str) -> tuple[str, ...]:
    """Return the column names; an index column without a name gets an empty one."""
    modes = body["width"].mode().sort().to_list()
    if names is None:
        return tuple(str(i) for i in range(modes[-1]))
    if modes != [len(names) + 1]:
        return names
    rows = body.filter(pl.col("width") == modes[0])["raw"]
    return (*names, "") if rows.str.ends_with(delimiter).all() else ("", *names)


def _columns(rows: pl.Series, delimiter: str, width: int) -> pl.DataFrame:
    names = [str(i) for i in range(width)]
    if rows.str.contains('"', literal=True).any():
        text = io.BytesIO("\n".join(rows.to_list()).encode())
        frame = pl.read_csv(text, has_header=False, separator=delimiter, infer_schema=False)
        frame.columns = names
        return frame
    return rows.str.split_exact(delimiter, width - 1).struct.rename_fields(names).struct.unnest()


def _ragged(origin: str, body: pl.DataFrame, width: int) -> pl.DataFrame:
    bad = body.filter((pl.col("width") != width) | ~pl.col("formed"))
    ragged = pl.format(RAGGED_ROW + ":{}_of_{}_fields", pl.col("width"), pl.lit(width))
    reason = pl.when("formed").then(ragged).otherwise(pl.lit(MALFORMED_QUOTE))
    return bad.select(file=pl.lit(origin, dtype=pl.String), line="line", reason=reason, raw="raw").cast(REJECTED_SCHEMA)  # type: ignore[arg-type]
