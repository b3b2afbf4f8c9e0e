"""Numbers out of delimited text: what is read is what is written, and anything that is not plain is left alone."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kernels import reference
from kernels.plain_numbers import INTEGER, NUMBER, SKIPPED, read_numbers

KINDS = (INTEGER, SKIPPED, NUMBER, NUMBER)
PLAIN = st.from_regex(r"[0-9]{1,18},[a-z ]{0,3},[0-9]{1,9}(\.[0-9]{1,6})?,[0-9]{1,7}\.[0-9]{1,9}", fullmatch=True)
ANY = st.text(alphabet='0123456789.,\n-+e"\r x\x00é', max_size=40)


def equal(text: bytes, kinds: tuple[int, ...], delimiter: str = ",") -> bool:
    """Whether the kernel and its twin agree; whether they read the text."""
    found, expected = read_numbers(text, delimiter, kinds), reference.read_numbers(text, delimiter, kinds)
    assert (found is None) == (expected is None)
    for one, other in zip(found or (), expected or (), strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()
    return found is not None


@given(st.lists(PLAIN, min_size=1, max_size=9), st.booleans())
def test_plain_lines_are_read_as_they_are_written(lines: list[str], ends: bool) -> None:
    text = "\n".join(lines) + ("\n" if ends else "")
    are_exact = [reference._is_exact(cell) for line in lines for cell in line.split(",")[2:]]
    assert equal(text.encode(), KINDS) == all(are_exact)


@given(st.lists(PLAIN, max_size=4), ANY, st.lists(PLAIN, max_size=4))
@example([], "", [])
@example(["1,,2,3.0"], "", ["1,,2,3.0"])
def test_anything_else_is_left_alone(before: list[str], odd: str, after: list[str]) -> None:
    equal("\n".join([*before, odd, *after]).encode(), KINDS)


@pytest.mark.parametrize(
    "cell",
    [
        *("", " 1", "1 ", "-1", "+1", "1e3", ".5", "5.", "1.2.3", "nan", "1_0", "0x1", "1\r", '"1"', "\uff11"),
        *("9007199254740993", "9999999999999999999", "0.1234567890123456789", "12345678901234567890"),
    ],
)
def test_a_cell_that_is_not_plain_stops_the_reading(cell: str) -> None:
    assert not equal(f"1,1\n{cell},1\n2,1\n".encode(), (NUMBER, NUMBER))
    assert not equal(f"1,1\n1,{cell}".encode(), (NUMBER, NUMBER))


def test_whole_numbers_have_no_point_and_fit_an_int64() -> None:
    assert equal(b"9223372036854775807;1\n0007;2\n", (INTEGER, NUMBER), ";")
    assert not equal(b"1.0;1\n", (INTEGER, NUMBER), ";")
    for beyond in (b"9223372036854775808", b"9999999999999999999", b"10000000000000000000"):
        assert not equal(beyond + b";1\n", (INTEGER, NUMBER), ";")


@given(st.floats(1e-4, 9e7), st.integers(0, 7))
def test_a_float_that_is_written_with_few_digits_comes_back(value: float, places: int) -> None:
    text = f"{value:.{places}f}"
    found = read_numbers(f"{text},{text}\n".encode(), ",", (NUMBER, NUMBER))
    assert found is not None
    assert [column[0] for column in found] == [float(text)] * 2
