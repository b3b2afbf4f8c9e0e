"""Working space of kernels that go through rows more than once."""

import numpy as np

from kernels.compilation import kernel

SCRATCH_ROWS = 4096  # as many rows at a time: their working space stays in the second-level cache


@kernel
def scratch(spare, rows):  # type: ignore[no-untyped-def]
    """Space for `rows` rows, or for `SCRATCH_ROWS` where there are more.

    `spare`, a part of the state, serves where it is large enough: the single rows of a live loop allocate nothing. It
    is to be set back to 0 after use, so that equal rows leave equal states however they were cut.
    """
    return spare if rows <= len(spare) else np.empty(min(rows, SCRATCH_ROWS))
