"""What the input of a partition comes to: by these sums a reader knows the rows again that it computes from."""

from kernels.row_sums import SIZE, row_sum
from pipelines.parquet_writer import Columns

SUMMED_ROWS = 131_072  # of one sum: a reader holds back what it has computed of as many rows, until their sum is right
_APART = 0x9E3779B97F4A7C15  # odd: values that change from one column to another change the sum


class InputSums:
    """The sums of rows that are taken in order, in any pieces: 0.1 ns a value."""

    def __init__(self) -> None:
        self._rows = self._total = 0

    def take(self, columns: Columns) -> list[str]:
        """Take rows that come next; the sums that are complete with them."""
        rows, start, found = len(columns["timestamp"]), 0, []
        while start < rows:
            stop = min(rows, start + SUMMED_ROWS - self._rows)
            self._add(columns, slice(start, stop))
            start = stop
            if self._rows == SUMMED_ROWS:
                found += self.rest()
        return found

    def rest(self) -> list[str]:
        """The sum of the rows since the last one, if there are any."""
        found = [f"{self._total:016x}"] if self._rows else []
        self._rows = self._total = 0
        return found

    def _add(self, columns: Columns, rows: slice) -> None:
        for number, name in enumerate(sorted(columns)):
            self._total += pow(_APART, number, SIZE) * row_sum(columns[name][rows], self._rows)
        self._total %= SIZE
        self._rows += rows.stop - rows.start
