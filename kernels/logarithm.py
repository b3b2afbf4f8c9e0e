"""Natural logarithms that vectorise: a loop over `ln` or `ln1p` runs four rows at a time where `math.log` takes one.

A number is 2ᵏ · m with m from √½ to √2, so ln = k · ln 2 + ln m, and ln m = 2·atanh(s) of s = (m - 1) / (m + 1), |s| <
0.172: ten terms of the series, ordered so that the rounding of s does not count (as in fdlibm). Errors stay below
one unit in the last place.
"""

import math

import numpy as np

from kernels.compilation import kernel

_ROOT_HALF = np.uint64(0x3FE6A09E667F3BCD)  # bits of √½
_TO_ONE = np.uint64(0x3FF0000000000000) - _ROOT_HALF
_MANTISSA = np.uint64((1 << 52) - 1)
_MANTISSA_BITS = np.uint64(52)
_COUNT = np.uint64(0x4330000000000000)  # or-ed with a count below 2⁵² these are the bits of 2⁵² + count
_COUNT_BIAS = 2.0**52 + 1023.0
_LN2_HIGH = 6.93147180369123816490e-01  # its last 21 bits are 0: exact times any exponent
_LN2_LOW = 1.90821492927058770002e-10
_SMALLEST_NORMAL = 2.0**-1022
_RAISE, _RAISED_BITS = 2.0**54, 54.0


@kernel
def _ln(x, error, exponent):  # type: ignore[no-untyped-def]
    """ln((x + error) · 2 ** exponent) of a normal x above 0, with an error so small that its square does not count."""
    bits = np.float64(x).view(np.uint64) + _TO_ONE
    power = np.uint64((bits >> _MANTISSA_BITS) | _COUNT).view(np.float64) - _COUNT_BIAS + exponent
    f = np.uint64((bits & _MANTISSA) + _ROOT_HALF).view(np.float64) - 1.0
    s = f / (2.0 + f)
    square = s * s
    series = 2.0 / 21.0
    series = series * square + 2.0 / 19.0
    series = series * square + 2.0 / 17.0
    series = series * square + 2.0 / 15.0
    series = series * square + 2.0 / 13.0
    series = series * square + 2.0 / 11.0
    series = series * square + 2.0 / 9.0
    series = series * square + 2.0 / 7.0
    series = series * square + 2.0 / 5.0
    series = series * square + 2.0 / 3.0
    half = 0.5 * f * f
    low = s * (half + series * square) + (power * _LN2_LOW + error / x)
    return power * _LN2_HIGH - ((half - low) - f)


@kernel
def ln(x):  # type: ignore[no-untyped-def]
    """Natural logarithm: -inf of 0, NaN below."""
    small = x < _SMALLEST_NORMAL
    value = _ln(x * _RAISE if small else x, 0.0, -_RAISED_BITS if small else 0.0)
    value = x if x == math.inf else value
    value = -math.inf if x == 0.0 else value
    return value if x >= 0.0 else math.nan


@kernel
def ln1p(x):  # type: ignore[no-untyped-def]
    """ln(1 + x), with all digits also where x is small; NaN unless x is at least 0."""
    total = 1.0 + x
    added = total - 1.0
    error = (1.0 - (total - added)) + (x - added)  # what the addition lost, exactly
    value = _ln(total, error, 0.0)
    value = x if x == math.inf else value
    return value if x >= 0.0 else math.nan
