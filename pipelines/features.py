"""The plan that runs an ordered list of features over rows, in any cut, to the same bits."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from kernels import engine
from kernels.arrays import Floats, Integers
from kernels.bars import PRICE_COLUMNS, QUOTE_NAMES, is_same_kind
from pipelines.bars import BarBuilder, Bars, BarSpec
from pipelines.catalogue import QUOTE_COLUMNS, expand, parse_feature
from pipelines.errors import DataError
from pipelines.plan import compile_program


class FeaturePlan:
    """An ordered list of features as one compiled program, in which what they share is computed once.

    A plan holds working memory: one thread at a time.

    Attributes:
        names: output columns, in order; sets are spelled out. features: what they are.
        warmup: rows until every feature has a value. inputs: columns of bars that are read, sorted.
    """

    def __init__(self, names: Sequence[str]) -> None:
        if not names:
            raise DataError("features: expected at least one name")
        twice = {name for name in names if list(names).count(name) > 1}
        if twice:
            raise DataError(f"features: {', '.join(sorted(twice))} listed twice; name each once")
        self.names = expand(names)
        self.features = [parse_feature(name) for name in self.names]
        self.warmup = max(feature.warmup for feature in self.features)
        self.inputs = sorted({name for feature in self.features for name in feature.inputs})
        try:
            self._program = compile_program([feature.expression for feature in self.features])
        except (TypeError, ValueError) as error:
            raise DataError(f"features: {error}") from error
        self._places, self._pool = self._program.new_memory()

    @property
    def reads_prices_only(self) -> bool:
        """Whether it takes bars of times, prices, volume and dollar alone."""
        return self._program.inputs == PRICE_COLUMNS

    @property
    def quotes_needed(self) -> dict[str, str]:
        """Columns of quotes that a source must have, each with a feature that reads it."""
        needed: dict[str, str] = {}
        for feature in self.features:
            for name in QUOTE_COLUMNS.intersection(feature.inputs):
                columns = QUOTE_NAMES if name == "quote_flow" else (name,)
                needed |= {column: feature.name for column in columns if column not in needed}
        return dict(sorted(needed.items()))

    def new_state(self) -> Floats:
        """State before the first row: one float64 vector, which begins with the fingerprint of the definitions."""
        return self._program.initial.copy()

    def fits(self, state: Floats) -> bool:
        """Whether a state is of this plan, as this version computes it."""
        initial = self._program.initial
        return state.dtype == np.float64 and state.shape == initial.shape and bool(state[0] == initial[0])

    def update(self, state: Floats, bars: Bars, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Take rows and return their features.

        Args:
            state: from `new_state` or saved by this plan; changed in place.
            bars: the next rows, in time order.
            out: (features, rows) float32 to write into, each row of it contiguous; a new array when None.

        Returns:
            (rows, features) float32, each column contiguous; NaN while a feature warms up.

        Raises:
            ValueError: a state of another plan or version.
        """
        out = self._advance(state, bars, (len(self.names), len(bars)), out, engine.advance)
        return out.T

    def update_rows(self, state: Floats, bars: Bars, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """As `update`, but each row contiguous; `out` is (rows, features) float32."""
        return self._advance(state, bars, (len(bars), len(self.names)), out, engine.advance_rows)

    def _advance(
        self,
        state: Floats,
        bars: Bars,
        shape: tuple[int, int],
        out: NDArray[np.float32] | None,
        advance: Callable[..., None],
    ) -> NDArray[np.float32]:
        if not self.fits(state):
            raise ValueError("state: made by another plan or version of the features; start from `new_state()`")
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.dtype != np.float32 or out.shape != shape or not _runs(out, advance) or not out.flags.writeable:
            raise ValueError(
                f"out: expected a writable, contiguous float32 array {shape}, received {out.dtype} {out.shape}"
            )
        if len(bars.columns) < self._program.inputs:
            raise ValueError(f"bars: expected {self._program.inputs} columns, received {len(bars.columns)}")
        columns = np.ascontiguousarray(bars.columns[: self._program.inputs])
        advance(self._program.steps, state, self._places, self._pool, columns, out)
        return out


def _runs(out: NDArray[np.float32], advance: Callable[..., None]) -> bool:
    """Whether what is written at once lies side by side: a column of results, or all rows of them."""
    return out.flags.c_contiguous or (advance is engine.advance and out.ndim == 2 and out.strides[1] == out.itemsize)


class FeatureStream:
    """Ticks or candles of one symbol in, finished rows and their features out: one path for research and live."""

    def __init__(self, spec: BarSpec, plan: FeaturePlan, *, whole_bars: bool = False) -> None:
        """`whole_bars`: bars have all columns, also where the features read prices alone."""
        self.plan = plan
        self._builder = BarBuilder(spec, prices_only=plan.reads_prices_only and not whole_bars)
        self._features = plan.new_state()

    @property
    def state(self) -> dict[str, Floats]:
        """A copy of everything that the next row depends on."""
        return {"bars": self._builder.state.copy(), "features": self._features.copy()}

    @property
    def open_ticks(self) -> int:
        """Ticks in the open bar, which no row shows yet."""
        return self._builder.open_ticks

    def restore(self, state: dict[str, Floats]) -> None:
        """Go on from a saved state.

        Raises:
            DataError: the state is of another kind of bars, or of a plan of another size.
        """
        fits = {
            "bars": "bars" in state and is_same_kind(state["bars"], self._builder.state),
            "features": "features" in state and self.plan.fits(state["features"]),
        }
        for name, is_fit in fits.items():
            if not is_fit:
                raise DataError(f"saved state: {name!r} does not fit this plan; rebuild the feature store")
        self._builder.state[:] = state["bars"]
        self._features[:] = state["features"]

    def push_ticks(
        self,
        timestamp: Integers,
        price: Floats,
        volume: Floats,
        side: Floats | None = None,
        quotes: Floats | None = None,
    ) -> tuple[Bars, NDArray[np.float32]]:
        """Take ticks in time order; return the bars they close and those bars' features."""
        return self.push_bars(self.close_bars(timestamp, price, volume, side, quotes))

    def close_bars(
        self,
        timestamp: Integers,
        price: Floats,
        volume: Floats,
        side: Floats | None = None,
        quotes: Floats | None = None,
    ) -> Bars:
        """Take ticks in time order; return the bars they close, which `push_bars` is to be given next."""
        return self._builder.update(timestamp, price, volume, side, quotes)

    def push_bars(self, bars: Bars, out: NDArray[np.float32] | None = None) -> tuple[Bars, NDArray[np.float32]]:
        """Take finished rows, such as candles; return them with their features, written to `out` as by `update`."""
        return bars, self.plan.update(self._features, bars, out)

    def flush(self) -> tuple[Bars, NDArray[np.float32]]:
        """Close the open time bar, as at the end of an archive."""
        return self.push_bars(self._builder.flush())
