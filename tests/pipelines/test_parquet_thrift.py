"""Thrift's compact protocol, against the bytes that its specification describes."""

import pytest

from pipelines.parquet_thrift import I16, I32, I64, Struct, encode


@pytest.mark.parametrize(
    ("struct", "expected"),
    [
        ({}, [0]),
        ({1: I32(1)}, [0x15, 2, 0]),
        ({1: I16(-1), 3: I64(64)}, [0x14, 1, 0x26, 0x80, 0x01, 0]),
        ({2: I64(-(2**63))}, [0x26, *[0xFF] * 9, 0x01, 0]),
        ({1: True, 2: False}, [0x11, 0x12, 0]),
        ({1: None, 2: True}, [0x21, 0]),
        ({4: b"ab"}, [0x48, 2, 97, 98, 0]),
        ({1: {1: {}}}, [0x1C, 0x1C, 0, 0, 0]),
        ({1: [I32(0), I32(-2)]}, [0x19, 0x25, 0, 3, 0]),
        ({1: [True, False]}, [0x19, 0x21, 1, 2, 0]),
        ({1: [[b"x"]]}, [0x19, 0x19, 0x18, 1, 120, 0]),
        ({1: []}, [0x19, 0x0C, 0]),
        ({1: [b""] * 15}, [0x19, 0xF8, 15, *[0] * 15, 0]),
        ({1: [{}] * 200}, [0x19, 0xFC, 0xC8, 0x01, *[0] * 200, 0]),
    ],
)
def test_a_struct_is_written_as_specified(struct: Struct, expected: list[int]) -> None:
    assert list(encode(struct)) == expected
