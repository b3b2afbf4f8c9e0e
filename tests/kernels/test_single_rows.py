"""The live loop: one row a call, and no memory asked for."""

from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.runtime import _nrt_python, rtsys

from kernels import directional, lagged, lines, microstructure, recursive
from tests.kernels.catalogue import CASES, Case, market

MODULES = (directional, lagged, lines, microstructure, recursive)
ONCE = {case.name: case for case in CASES if case.module in MODULES}


def row_by_row(update: Callable[..., None], arrays: int) -> Any:
    """A compiled loop of one-row calls: seen from Python every array that is handed over counts as an allocation."""

    def two(state, rows, a, b):  # type: ignore[no-untyped-def]
        for row in rows:
            update(state, a[row : row + 1], b[row : row + 1])

    def three(state, rows, a, b, c):  # type: ignore[no-untyped-def]
        for row in rows:
            update(state, a[row : row + 1], b[row : row + 1], c[row : row + 1])

    def four(state, rows, a, b, c, d):  # type: ignore[no-untyped-def]
        for row in rows:
            update(state, a[row : row + 1], b[row : row + 1], c[row : row + 1], d[row : row + 1])

    return numba.njit({2: two, 3: three, 4: four}[arrays])


@pytest.fixture
def allocations() -> Iterator[Callable[[], int]]:
    _nrt_python.memsys_enable_stats()
    yield lambda: rtsys.get_allocation_stats().alloc
    _nrt_python.memsys_disable_stats()


@pytest.mark.parametrize("case", ONCE.values(), ids=ONCE)
def test_single_rows_allocate_nothing(case: Case, allocations: Callable[[], int]) -> None:
    data = market(400)
    arrays = [*(data[name] for name in case.inputs), *(np.empty(400) for _ in range(case.outputs))]
    each = row_by_row(case.update, len(arrays))
    state = case.new_state()

    def spent(rows: np.ndarray) -> int:
        before = allocations()
        each(state, rows, *arrays)
        return allocations() - before

    spent(np.arange(10))
    assert spent(np.arange(10, 390)) == spent(np.arange(390, 391))
