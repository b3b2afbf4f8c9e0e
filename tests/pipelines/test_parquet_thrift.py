"""Thrift's compact protocol, against the bytes that its specification describes."""

import pytest

from pipelines.parquet_thrift import Value, array, binary, boolean, i16, i32, i64, struct


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (struct({}), [0]),
        (struct({1: i32(1)}), [0x15, 2, 0]),
        (struct({1: i16(-1), 3: i64(64)}), [0x14, 1, 0x26, 0x80, 0x01, 0]),
        (struct({2: i64(-(2**63))}), [0x26, *[0xFF] * 9, 0x01, 0]),
        (struct({2: i64(2**63 - 1)}), [0x26, 0xFE, *[0xFF] * 8, 0x01, 0]),
        (struct({1: boolean(True), 2: boolean(False)}), [0x11, 0x12, 0]),
        (struct({1: None, 2: boolean(True)}), [0x21, 0]),
        (struct({4: binary(b"ab")}), [0x48, 2, 97, 98, 0]),
        (struct({1: struct({1: struct({})})}), [0x1C, 0x1C, 0, 0, 0]),
        (struct({1: array([i32(0), i32(-2)])}), [0x19, 0x25, 0, 3, 0]),
        (struct({1: array([array([binary(b"x")])])}), [0x19, 0x19, 0x18, 1, 120, 0]),
        (struct({1: array([])}), [0x19, 0x0C, 0]),
        (struct({1: array([binary(b"")] * 15)}), [0x19, 0xF8, 15, *[0] * 15, 0]),
        (struct({1: array([struct({})] * 200)}), [0x19, 0xFC, 0xC8, 0x01, *[0] * 200, 0]),
    ],
)
def test_a_value_is_written_as_specified(value: Value, expected: list[int]) -> None:
    kind, data = value
    assert kind == 12
    assert list(data) == expected
