"""Plans: what a program computes, that it computes it once, and that its slots never overwrite what is still needed."""

import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.runtime import _nrt_python, rtsys

from kernels import engine, operations, reference
from kernels.bars import COLUMN_NAMES
from pipelines.bars import Bars
from pipelines.catalogue import FAMILIES, SETS, expand, parse_feature
from pipelines.catalogue.functions import bars, ema, lag, mean, rolling_sum, std, zscore
from pipelines.expressions import Call, Column, Constant, Expression, Kernel, Operation, absolute, divide_or
from pipelines.features import FeaturePlan
from pipelines.plan import Program, compile_program, fingerprint
from tests.pipelines.market_rows import broken_rows, flat_rows, market_rows

Array = np.ndarray
ALL_SETS = ["core17", "ticks60", "quotes12", "alpha158", "alpha360"]
OWN = [family.example for name, family in FAMILIES.items() if not name.startswith("alpha_")]

ROWS = 2 * engine.BLOCK + 150
KINDS: dict[str, Callable[[], Bars]] = {
    "market": lambda: market_rows(ROWS),
    "flat": lambda: flat_rows(ROWS),
    "missing": lambda: broken_rows("missing", ROWS),
    "huge": lambda: broken_rows("huge", ROWS),
    "tiny": lambda: broken_rows("tiny", ROWS),
}


@cache
def plans(name: str) -> tuple[FeaturePlan, FeaturePlan]:
    return FeaturePlan([name]), FeaturePlan([name])


def whole(plan: FeaturePlan, rows: Bars) -> Array:
    return plan.update(plan.new_state(), rows)


@pytest.mark.parametrize("name", ALL_SETS)
@given(kind=st.sampled_from(sorted(KINDS)), cuts=st.lists(st.integers(0, ROWS), max_size=5))
@settings(max_examples=12, deadline=None)
def test_any_cut_and_a_restart_at_each_give_the_same_bits(name: str, kind: str, cuts: list[int]) -> None:
    """Two plans take turns, so that nothing can hide outside the state that is handed over."""
    rows = KINDS[kind]()
    edges = sorted({0, *cuts, ROWS})
    state, parts = plans(name)[0].new_state(), []
    for number, (start, stop) in enumerate(itertools.pairwise(edges)):
        state = np.frombuffer(bytearray(state.tobytes()))
        parts.append(plans(name)[number % 2].update(state, rows[start:stop]))
    assert np.concatenate(parts).tobytes() == whole(plans(name)[0], rows).tobytes("C")


@pytest.mark.parametrize("kind", ["market", "missing"])
@pytest.mark.parametrize("name", ALL_SETS)
def test_row_by_row_gives_the_same_bits(name: str, kind: str) -> None:
    plan, rows = plans(name)[0], KINDS[kind]()[:400]
    state, out = plan.new_state(), np.empty((1, len(plan.names)), np.float32)
    single = [plan.update_rows(state, rows[row : row + 1], out).copy() for row in range(len(rows))]
    assert np.concatenate(single).tobytes() == whole(plan, rows).tobytes("C")


@numba.njit
def one_by_one(steps, state, places, pool, rows, out):
    for row in range(len(rows)):
        engine.advance(steps, state, places, pool, rows[row], out)


@pytest.fixture
def allocations() -> Iterator[Callable[[], int]]:
    _nrt_python.memsys_enable_stats()
    yield lambda: rtsys.get_allocation_stats().alloc
    _nrt_python.memsys_disable_stats()


def test_single_rows_allocate_nothing(allocations: Callable[[], int]) -> None:
    """The live loop; each array that comes from Python counts once, however many rows it holds."""
    program = compile_program([parse_feature(name).expression for name in SETS["core17"]])
    rows = np.ascontiguousarray(market_rows(300).columns[: program.inputs].T)[:, :, np.newaxis]
    state, memory = program.initial.copy(), program.new_memory()
    out = np.empty((program.outputs, 1), np.float32)

    def spent(part: Array) -> int:
        before = allocations()
        one_by_one(program.steps, state, *memory, part, out)
        return allocations() - before

    spent(rows[:1])
    assert spent(rows[1:299]) == spent(rows[299:])


@pytest.mark.parametrize("name", ALL_SETS)
def test_both_layouts_hold_the_same_bits(name: str) -> None:
    plan, rows = plans(name)[0], KINDS["market"]()
    matrix = plan.update_rows(plan.new_state(), rows)
    assert matrix.flags.c_contiguous
    assert matrix.tobytes() == whole(plan, rows).tobytes("C")


@pytest.mark.parametrize("name", ALL_SETS)
def test_no_rows_change_nothing(name: str) -> None:
    plan = plans(name)[0]
    state = plan.new_state()
    assert plan.update(state, market_rows(10)[:0]).shape == (0, len(plan.names))
    assert state.tobytes() == plan.new_state().tobytes()


@pytest.mark.parametrize("name", ["ticks60", "alpha158"])
def test_features_do_not_depend_on_those_beside_them(name: str) -> None:
    """Alone, a feature may take another kernel of the same bits than when it shares one."""
    rows = market_rows(300)
    together = whole(plans(name)[0], rows)
    for column, member in enumerate(SETS[name]):
        alone = whole(FeaturePlan([member]), rows)
        assert alone.tobytes() == together[:, column].tobytes(), member


@pytest.mark.parametrize("kind", ["missing", "huge", "tiny"])
def test_windows_recover_when_what_broke_them_has_left(kind: str) -> None:
    """Sums that go on for ever, of which cumulative volume and faded counts are made, need not."""
    forever = {"cvd_slope_20", "hawkes_buy_10", "hawkes_sell_10", "intensity_ratio_10_900"}
    recursive = {"ema_dev_12", "rsi_wilder_14", "macd_line_12_26_9", "atr_wilder_14", "adx_14"}
    plan = FeaturePlan([member for member in SETS["ticks60"] if member not in forever | recursive])
    broken, sound = broken_rows(kind, 600), market_rows(600)
    last = 2 * (600 // 3) + 1 + plan.warmup
    ours, expected = whole(plan, broken), whole(plan, sound)
    run = plan.names.index("run_len")
    kept = [column for column in range(len(plan.names)) if column != run]
    np.testing.assert_array_equal(ours[last:, kept], expected[last:, kept])


def _clock(name: str, time: Array) -> Array:
    stamps = time.view(np.int64)
    period, offset = {"day": (86_400, 0), "week": (7 * 86_400, 3 * 86_400)}[name.split("_")[0]]
    angle = 2 * np.pi * ((stamps / 1e9 + offset) % period) / period
    return np.sin(angle) if name.endswith("_sine") else np.cos(angle)


def _elapsed(time: Array) -> Array:
    return np.concatenate([[np.nan], np.diff(time.view(np.int64)) / 1e9])


def _decayed(time: Array, x: Array, seconds: float) -> Array:
    out, total = np.zeros(len(x)), 0.0
    for row, pause in enumerate(np.nan_to_num(_elapsed(time))):
        total = total * math.exp(-pause / seconds) + x[row]
        out[row] = total
    return out


OPERATIONS: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "greater": lambda a, b: np.where(np.isnan(a + b), np.nan, a > b),
    "absolute": np.abs,
    "square_root": np.sqrt,
    "logarithm": np.log,
    "sign": np.sign,
    "error_function": np.vectorize(math.erf),
    "exponential": np.exp,
    "log1p": np.log1p,
    "divide_or": lambda a, b, c: np.where((b == 0.0) & ~np.isnan(a), c, a / b),
}


def test_every_operation_has_a_twin_here() -> None:
    assert list(OPERATIONS) == list(operations.OPERATIONS)


class Walker:
    """Evaluates expressions by plain NumPy and the twins of the kernels."""

    def __init__(self, rows: Bars) -> None:
        self.rows = rows
        self._known: dict[Expression, Array] = {}

    def value(self, part: Expression) -> Array:
        if part not in self._known:
            self._known[part] = self._value(part)
        return self._known[part]

    def _value(self, part: Expression) -> Array:
        if isinstance(part, Column):
            return self.rows.columns[COLUMN_NAMES.index(part.name)]
        if isinstance(part, Constant):
            return np.full(len(self.rows), part.value)
        operands = [self.value(operand) for operand in part.operands]
        if isinstance(part, Operation):
            with np.errstate(all="ignore"):
                return OPERATIONS[part.name](*operands)
        assert isinstance(part, Call)
        return self._call(part.kernel.names[part.output], operands, part.parameters)

    def _call(self, name: str, operands: list[Array], parameters: Sequence[float]) -> Array:
        if name.startswith(("day_", "week_")):
            return _clock(name, *operands)
        twin = {"elapsed": _elapsed, "decayed": _decayed}.get(name) or getattr(reference, name)
        return twin(*operands, *parameters)


@pytest.mark.parametrize(
    "names", [["quotes12", *OWN[:40]], ["ticks60", *OWN[40:]], ["alpha158"], ["alpha360"]], ids=lambda names: names[0]
)
def test_the_engine_computes_what_the_expressions_say(names: list[str]) -> None:
    plan = FeaturePlan([name if name != "fracdiff_40" else "fracdiff_90" for name in dict.fromkeys(expand(names))])
    rows = market_rows(plan.warmup + 150, seed=5)
    matrix, walker = whole(plan, rows), Walker(rows)
    for column, one in enumerate(plan.features):
        expected = walker.value(one.expression)
        np.testing.assert_array_equal(np.isnan(matrix[:, column]), np.isnan(expected), err_msg=one.name)
        np.testing.assert_allclose(matrix[:, column], expected, rtol=1e-6, atol=1e-9, err_msg=one.name)


def test_a_fallback_waits_until_the_numerator_is_known() -> None:
    """0 / 0 is the fallback, but nothing / 0 is nothing."""
    rows = flat_rows(5)
    rows.volume[:] = [np.nan, 0.0, 1.0, 1.0, 1.0]
    rows.dollar[:] = [0.0, 0.0, 0.0, 2.0, np.nan]
    program = compile_program([divide_or(bars.volume, bars.dollar, 7.0)])
    np.testing.assert_array_equal(_run(program, rows), [[np.nan, 7.0, 7.0, 0.5, np.nan]])


def _run(program: Program, rows: Bars) -> Array:
    out = np.empty((program.outputs, len(rows)), np.float32)
    engine.advance(program.steps, program.initial.copy(), *program.new_memory(), rows.columns[: program.inputs], out)
    return out


def calls_of(program: Program) -> Iterator[tuple[list[str], list[int], list[int]]]:
    """(names of what is made, places read, places written) of each step; an emission makes nothing."""
    named = {engine.address_of(update, 1 + arity(name) + 1): name for name, update in operations.OPERATIONS.items()}
    kernels = iter(program.kernels)
    for step in program.steps.tolist():
        columns, address = step[engine.COLUMNS], step[engine.ADDRESS]
        if columns == engine.EMIT:
            yield [], step[engine.PLACES : engine.PLACES + 1], step[engine.PLACES + 1 : engine.PLACES + 2]
            continue
        names = [named[address]] if address in named else list(next(kernels).names)
        places = step[engine.PLACES : engine.PLACES + columns]
        yield names, places[: -len(names)], places[-len(names) :]


def arity(operation: str) -> int:
    return len(inspect.signature(operations.OPERATIONS[operation].py_func).parameters) - 2  # type: ignore[attr-defined]


def name_of(part: Expression) -> str:
    """What a part computes, without parameters: kernels are called by address, which says nothing of them."""
    if isinstance(part, Column | Constant):
        return str(part)
    inner = ", ".join(map(name_of, part.operands))
    return f"{part.name if isinstance(part, Operation) else part.kernel.names[part.output]}({inner})"


@pytest.mark.parametrize("name", ALL_SETS)
def test_slots_are_used_again_but_never_too_early(name: str) -> None:
    """Runs the steps on names instead of numbers: a slot overwritten too early would show in what is emitted."""
    outputs = [parse_feature(member).expression for member in SETS[name]]
    program = compile_program(outputs)
    slots = program.inputs + len(outputs)
    held = dict(enumerate(COLUMN_NAMES[: program.inputs])) | {
        slots + slot: str(Constant(x)) for slot, x in program.constants.items()
    }
    emitted = {}
    for names, read, written in calls_of(program):
        inputs = ", ".join(held[place] for place in read)
        if not names:
            emitted[written[0] - program.inputs] = inputs
            continue
        assert not set(read) & set(written)
        assert min(written) >= slots
        held |= {place: f"{one}({inputs})" for place, one in zip(written, names, strict=True)}
    assert [emitted[column] for column in range(len(outputs))] == [name_of(output) for output in outputs]
    assert len(held) == program.inputs + program.slots
    assert program.slots < len({part for output in outputs for part in output.walk()}) / 2


@pytest.mark.parametrize("name", ALL_SETS)
def test_what_features_share_is_computed_once(name: str) -> None:
    outputs = [parse_feature(member).expression for member in SETS[name]]
    parts = {part for output in outputs for part in output.walk()}
    calls = {(part.kernel, part.parameters, part.parts) for part in parts if isinstance(part, Call)}
    made = [part for part in parts if isinstance(part, Operation)]
    assert len(compile_program(outputs).steps) == len(outputs) + len(calls) + len(made)


def test_equal_expressions_share_their_steps_wherever_they_were_written() -> None:
    c = bars.close
    once = compile_program([mean(c, 20) - lag(c, 3)])
    twice = compile_program([mean(c, 20) - lag(c, 3), mean(bars.close, 20) - lag(bars.close, 3)])
    assert len(twice.steps) == len(once.steps) + 1  # the second is emitted too


@pytest.mark.parametrize("window", [2, 20, 64])
@pytest.mark.parametrize("kind", ["market", "flat", "missing", "huge"])
def test_some_outputs_of_a_kernel_have_the_bits_of_all(window: int, kind: str) -> None:
    statistics = [statistic(bars.close, window) for statistic in (rolling_sum, mean, std, zscore)]
    rows = KINDS[kind]()
    together = _run(compile_program(statistics), rows)
    for count in (1, 2, 3):
        for some in itertools.combinations(range(4), count):
            program = compile_program([statistics[number] for number in some])
            assert len(program.kernels) == 1
            assert _run(program, rows).tobytes() == together[list(some)].tobytes()


def test_a_plan_takes_the_smallest_kernel_that_gives_what_it_needs() -> None:
    def made_for(*statistics: Callable[[Expression, int], Expression]) -> int:
        (kernel,) = compile_program([statistic(bars.close, 20) for statistic in statistics]).kernels
        return len(kernel.names)

    assert [made_for(one) for one in (rolling_sum, mean, std, zscore)] == [1, 1, 1, 1]
    assert [made_for(rolling_sum, mean), made_for(std, zscore), made_for(zscore, rolling_sum)] == [2, 3, 4]


def test_constants_and_inputs_can_be_outputs() -> None:
    rows = market_rows(30)
    made = _run(compile_program([Constant(2.5), bars.close, bars.close, 1.0 - bars.close]), rows)
    expected = [np.full(30, 2.5), rows.close, rows.close, 1.0 - rows.close]
    np.testing.assert_array_equal(made, np.array(expected, np.float32))


def test_a_fingerprint_tells_definitions_apart() -> None:
    c = bars.close
    definitions = [c * 0.1234567, c * 0.1234568, c - (c - c), (c - c) - c, ema(c, 5), ema(c, 6), rolling_sum(c, 5),
                   rolling_sum(absolute(c), 5), c / bars.open, bars.open / c]  # fmt: skip
    assert len({fingerprint([one]) for one in definitions}) == len(definitions)
    assert fingerprint([c, bars.open]) != fingerprint([bars.open, c])


def test_an_expression_prints_as_its_definition() -> None:
    c = bars.close
    assert str(c / mean(c, 20) - 1.0) == "close / rolling_mean(close, 20) - 1"
    assert str(c - (c - c) - 2.0 * (c + 1.0) / (c * c)) == "close - (close - close) - 2 · (close + 1) / (close · close)"
    assert str((c > 1.0) * c) == "(close > 1) · close"
    assert str(0.5 * divide_or(c, bars.volume, 0.1)) == "0.5 · divide_or(close, volume, 0.1)"
    with pytest.raises(AttributeError, match="bars have no column 'clse'; they have timestamp"):
        bars.clse  # noqa: B018


def doubled(state, x, out):
    out[:] = 2.0 * x


def returned(state, x, out):
    out[:] = 2.0 * x
    return out


def incomplete(state, x):
    pass


def untypable(state, x, out):
    out[:] = x + "a"


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (
            doubled,
            "update: expected a function compiled by numba.njit that takes 3 float64 vectors and returns nothing",
        ),
        (numba.njit(returned), "returned: expected .* received one that returns array"),
        (numba.njit(untypable), "untypable: expected .* Numba says: .*No implementation of function"),
        (numba.njit(incomplete), "incomplete: expected .* that takes 3 float64 vectors .*; Numba says: Signature mis"),
    ],
)
def test_kernels_of_another_form_are_refused(update: Callable[..., None], message: str) -> None:
    kernel = Kernel(("mine",), update, lambda: np.zeros(1))
    with pytest.raises(TypeError, match=message) as error:
        compile_program([kernel(bars.close)])
    assert "\n" not in str(error.value)


def test_kernels_with_too_many_inputs_are_refused() -> None:
    kernel = Kernel(("mine",), numba.njit(doubled), lambda: np.zeros(1), inputs=5)
    with pytest.raises(ValueError, match="kernel with 6 inputs and outputs: expected at most 5"):
        compile_program([kernel(*5 * [bars.close])])


def test_an_expression_is_neither_true_nor_false() -> None:
    """Or `max(a, b)` of Python would silently be one of the two."""
    with pytest.raises(TypeError, match="high > open: is one value a row and neither true nor false; use maximum"):
        max(bars.open, bars.high)


def test_columns_of_another_number_are_refused() -> None:
    """Else the engine would read and write outside of its arrays."""
    rows, out = market_rows(50), np.empty((1, 50), np.float32)
    program = compile_program([bars.close + 1.0])
    with pytest.raises(ValueError, match="columns or out: not as many as the program was made for"):
        engine.advance(program.steps, program.initial.copy(), *program.new_memory(), rows.columns, out)
    plan = FeaturePlan(["ofi_20"])
    with pytest.raises(ValueError, match="bars: expected 21 columns, received 8"):
        plan.update(plan.new_state(), Bars(rows.columns[:8].copy()))
