"""A shuffled order that needs no memory: where the i-th place of n goes, from a seed and an epoch alone.

The numbers 0 to n - 1 are written as pairs (left, right) of a rectangle of about sqrt(n) by sqrt(n); rounds of a
Feistel network add to each half in turn a hash of the other, modulo its side, which can be undone and so is a
bijection; what falls outside n is sent through again until it falls inside (cycle walking, which stays a bijection and
is rare, because the rectangle is larger than n by less than one side). After J. Black and P. Rogaway, "Ciphers with
arbitrary finite domains", CT-RSA 2002. It is no cipher: tests hold it to the statistics of random permutations.
"""

import math

import numpy as np

from kernels.arrays import Integers, checked_count
from kernels.compilation import inlined, kernel

# With 6 rounds the pairs of neighbours are uneven for counts below 40, with 10 for none that was tried. A number takes
# 5 ns, eight at a time, where the gather of 60 rows of 16 takes 250.
ROUNDS = 10
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # the constants of splitmix64
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)
_A, _B, _C = np.uint64(30), np.uint64(27), np.uint64(31)
_LARGEST = 1 << 62


@inlined
def _mixed(word):  # type: ignore[no-untyped-def]
    """The finaliser of splitmix64."""
    word = (word ^ (word >> _A)) * _FIRST
    word = (word ^ (word >> _B)) * _SECOND
    return word ^ (word >> _C)


@inlined
def _below(word, salt, limit):  # type: ignore[no-untyped-def]
    """A hash of `word` and `salt`, at least 0 and less than `limit`, which is at most 2^32."""
    word = (word ^ salt) * _FIRST
    return (((word ^ (word >> _HALF)) * _SECOND) >> _HALF) * limit >> _HALF


@inlined
def _moved(left, right, rows, columns, salt):  # type: ignore[no-untyped-def]
    """Where all rounds take a pair, as one number."""
    for _ in range(ROUNDS // 2):
        left = left + _below(right, salt, rows)
        left = min(left, left - rows)  # modulo the side: what was less wraps round to something very large
        salt = salt + _GOLDEN
        right = right + _below(left, salt, columns)
        right = min(right, right - columns)
        salt = salt + _GOLDEN
    return left * columns + right


@kernel
def permuted(seed, epoch, count, first, out):  # type: ignore[no-untyped-def]
    """`permutation` without its checks: fills `out` with where the places from `first` on go."""
    salt = _mixed(_mixed(np.uint64(seed) + _GOLDEN) + np.uint64(epoch) * _GOLDEN)
    size = np.uint64(count)
    rows = np.uint64(math.ceil(math.sqrt(float(count))))
    columns = (size + rows - np.uint64(1)) // rows
    top, side = np.uint64(first) // columns, np.int64(np.uint64(first) % columns)
    place = np.int64(0)
    while place < len(out):  # row by row of the rectangle: the inner loop has no branch and vectorises
        stretch = min(np.int64(len(out)) - place, np.int64(columns) - side)
        for step in range(stretch):
            out[place + step] = np.int64(_moved(top, np.uint64(side + step), rows, columns, salt))
        place, side, top = place + stretch, np.int64(0), top + np.uint64(1)
    for each in range(len(out)):
        value = np.uint64(out[each])
        while value >= size:
            value = _moved(value // columns, value % columns, rows, columns, salt)
        out[each] = np.int64(value)


def permutation(count: int, *, seed: int, epoch: int, first: int = 0, length: int | None = None) -> Integers:
    """Places `first` to `first + length` of a permutation of 0 to `count - 1`; its memory is what it returns.

    Args:
        count: 1 to 2^62.
        seed: at least 0. epoch: likewise; each epoch has a permutation of its own.
        length: all that are left when None.

    Returns:
        (length,) int64.

    Raises:
        TypeError, ValueError: an argument is no whole number, or out of range.
    """
    for name, value, least in (("count", count, 1), ("seed", seed, 0), ("epoch", epoch, 0), ("first", first, 0)):
        checked_count(name, value, least=least)
    if count > _LARGEST:
        raise ValueError(f"count: expected at most 2^62, received {count}")
    length = count - first if length is None else checked_count("length", length, least=0)
    if not 0 <= first + length <= count or length < 0:
        raise ValueError(f"first: places {first} to {first + length} leave the {count} there are")
    out = np.empty(length, np.int64)
    permuted(seed, epoch, count, first, out)
    return out
