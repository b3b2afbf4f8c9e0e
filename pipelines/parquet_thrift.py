"""The little of Thrift's compact protocol that Parquet's headers and footer are written in.

A value is the number of its kind and its bytes. `struct` takes values by field number, in rising order, and leaves out
those that are None: `struct({1: i32(7), 3: struct({1: binary(b"x")})})`.
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Mapping, Sequence

Value = tuple[int, bytes]

_BYTES = [bytes([number]) for number in range(256)]
_TRUE, _FALSE, _I16, _I32, _I64, _BINARY, _LIST, _STRUCT = 1, 2, 4, 5, 6, 8, 9, 12


def boolean(value: bool) -> Value:
    """As a field of a struct its kind says it all; Parquet has no lists of them."""
    return _TRUE if value else _FALSE, b""


def i16(number: int) -> Value:
    return _I16, _zigzag(number)


def i32(number: int) -> Value:
    """A number, or a member of an enumeration."""
    return _I32, _zigzag(number)


def i64(number: int) -> Value:
    return _I64, _zigzag(number)


def binary(data: bytes) -> Value:
    """Bytes, or a text in UTF-8."""
    return _BINARY, _varint(len(data)) + data


def array(values: Sequence[Value]) -> Value:
    """A list of values of one kind; where there are none, of structs."""
    kind = values[0][0] if values else _STRUCT
    few = len(values) < 15
    size = bytes([len(values) << 4 | kind]) if few else bytes([0xF0 | kind]) + _varint(len(values))
    return _LIST, size + b"".join(data for _, data in values)


def struct(fields: Mapping[int, Value | None]) -> Value:
    """Values by field number; the numbers rise, by 15 at most, which suffices for Parquet."""
    parts = []
    before = 0
    for number, value in fields.items():
        if value is not None:
            kind, data = value
            parts.append(_BYTES[number - before << 4 | kind])
            parts.append(data)
            before = number
    parts.append(b"\0")
    return _STRUCT, b"".join(parts)


def _zigzag(number: int) -> bytes:
    """0 -1 1 -2 2 ... as 0 1 2 3 4 ...: small numbers of both signs become short."""
    return _varint(number << 1 ^ number >> 63)


def _varint(number: int) -> bytes:
    """Seven bits a byte, lowest first; the high bit says that more follow."""
    if number < 128:  # as most are
        return _BYTES[number]
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
