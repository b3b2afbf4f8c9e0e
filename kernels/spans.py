"""Between which numbers a column lies, told in one pass over it, where least and most take two."""

from kernels.arrays import Floats, Integers
from kernels.compilation import kernel


@kernel
def _is_within(values, least, most):  # type: ignore[no-untyped-def]
    outside = 0
    for row in range(len(values)):
        outside += not ((values[row] >= least) & (values[row] <= most))  # NaN is outside
    return outside == 0


def is_within(values: Floats | Integers, least: float, most: float) -> bool:
    """Whether every number, of float64 or int64, is one from `least` to `most`."""
    kind = values.dtype.type
    return bool(_is_within(values, kind(least), kind(most)))
