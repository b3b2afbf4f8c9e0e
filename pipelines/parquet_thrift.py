"""The little of Thrift's compact protocol that Parquet's headers and footer are written in.

A struct is a mapping of field numbers to values, in rising order; None leaves a field out. What a value is says how it
is written: `I16`, `I32` and `I64` are numbers, a mapping is a struct, a list holds values of one kind.
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, Union

_TRUE, _FALSE, _I16, _I32, _I64, _BINARY, _LIST, _STRUCT = 1, 2, 4, 5, 6, 8, 9, 12


@dataclass(frozen=True)
class I16:
    """A number of 16 bits with a sign."""

    number: int


@dataclass(frozen=True)
class I32:
    """A number of 32 bits with a sign; enumerations are written so."""

    number: int


@dataclass(frozen=True)
class I64:
    """A number of 64 bits with a sign."""

    number: int


Value: TypeAlias = Union[bool, I16, I32, I64, bytes, "Sequence[Value]", "Struct"]
Struct: TypeAlias = Mapping[int, Value | None]


def encode(struct: Struct) -> bytes:
    """A struct in the compact protocol."""
    out = bytearray()
    _put_struct(struct, out)
    return bytes(out)


def _put_struct(struct: Struct, out: bytearray) -> None:
    before = 0
    for field, value in struct.items():
        if value is None:
            continue
        out.append((field - before) << 4 | _kind(value))  # steps above 15 have another form; Parquet has none
        if not isinstance(value, bool):  # which its kind has said
            _put(value, out)
        before = field
    out.append(0)


def _kind(value: Value) -> int:
    match value:
        case bool():
            return _TRUE if value else _FALSE
        case I16():
            return _I16
        case I32():
            return _I32
        case I64():
            return _I64
        case bytes():
            return _BINARY
        case Mapping():
            return _STRUCT
    return _LIST


def _put(value: Value, out: bytearray) -> None:
    match value:
        case I16() | I32() | I64():
            _put_varint(value.number << 1 ^ value.number >> 63, out)
        case bytes():
            _put_varint(len(value), out)
            out += value
        case Mapping():
            _put_struct(value, out)
        case bool():
            out.append(_kind(value))
        case _:
            _put_list(value, out)


def _put_list(values: Sequence[Value], out: bytearray) -> None:
    kind = _kind(values[0]) if values else _STRUCT
    if len(values) < 15:
        out.append(len(values) << 4 | kind)
    else:
        out.append(0xF0 | kind)
        _put_varint(len(values), out)
    for value in values:
        _put(value, out)


def _put_varint(number: int, out: bytearray) -> None:
    """Seven bits a byte, lowest first; the high bit says that more follow."""
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
