"""Every kernel as a Polars expression: the bits of the kernel itself, in each group, by every engine."""

import inspect
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import kernels
import pipelines.polars_namespace  # noqa: F401 - registers the namespace
from kernels.table import RowKernel, row_kernels

DOCS = Path(__file__).resolve().parents[2] / "docs" / "polars.md"
KERNELS = row_kernels()
every_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)


def ticks(rows: int = 400) -> pl.DataFrame:
    """Two symbols by turns, a price missing and another NaN."""
    rng = np.random.default_rng(1)
    price = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, rows)))
    columns = {name: price + rng.random(rows) for name in ("a", "b", "c", "d")}
    frame = pl.DataFrame({"symbol": rng.choice(["x", "y"], rows), **columns})
    row = pl.int_range(pl.len())
    return frame.with_columns(a=pl.when(row == 50).then(None).when(row == 90).then(float("nan")).otherwise("a"))


def arguments(kernel: RowKernel) -> list[float]:
    """A value for each parameter that has no default."""
    required = [part for part in kernel.parameters if part.default is part.empty]
    return [5 if part.annotation is int else 0.5 for part in required]


def expression(kernel: RowKernel) -> pl.Expr:
    return getattr(pl.col("a").stockbot, kernel.name)(*"bcd"[: len(kernel.inputs) - 1], *arguments(kernel))


def expected(kernel: RowKernel, frame: pl.DataFrame) -> list[np.ndarray]:
    inputs = [frame[name].fill_null(float("nan")).to_numpy(writable=True) for name in "abcd"[: len(kernel.inputs)]]
    result = kernel.function(*inputs, *arguments(kernel))
    return list(result) if isinstance(result, tuple) else [result]


def columns(kernel: RowKernel, result: pl.Series) -> list[np.ndarray]:
    parts = result.struct.unnest().get_columns() if len(kernel.outputs) > 1 else [result]
    if len(parts) > 1:
        assert tuple(part.name for part in parts) == kernel.outputs
    return [part.to_numpy() for part in parts]


def assert_same_bits(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    assert [part.tobytes() for part in ours] == [part.tobytes() for part in theirs]


@every_kernel
def test_a_column_gives_the_bits_of_the_kernel(kernel: RowKernel) -> None:
    frame = ticks()
    assert_same_bits(columns(kernel, frame.select(expression(kernel))["a"]), expected(kernel, frame))


@every_kernel
@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_each_group_gives_the_bits_of_the_kernel(kernel: RowKernel, engine: str) -> None:
    frame = ticks()
    lazy = frame.lazy().select("symbol", result=expression(kernel).over("symbol"))
    collected = lazy.collect(engine=engine)
    assert lazy.collect_schema() == collected.schema
    for (symbol,), group in frame.group_by("symbol"):
        result = collected.filter(symbol=symbol)["result"]
        assert_same_bits(columns(kernel, result), expected(kernel, group))


def test_eager_and_lazy_are_equal() -> None:
    frame = ticks()
    wanted = pl.col("a").stockbot.rsi(14).over("symbol")
    assert frame.select(wanted).equals(frame.lazy().select(wanted).collect())


def test_numbers_are_cast_and_nulls_are_nan() -> None:
    frame = pl.DataFrame({"n": [1, 2, None, 4, 5]})
    for dtype in (pl.Int8, pl.UInt64, pl.Float32, pl.Decimal(10, 2)):
        result = frame.select(pl.col("n").cast(dtype).stockbot.rolling_mean(2))["n"]
        assert result.dtype == pl.Float64
        np.testing.assert_array_equal(result.to_numpy(), [np.nan, 1.5, np.nan, np.nan, 4.5])
        assert result.null_count() == 0
    assert frame.select(pl.lit(None).alias("n").stockbot.rolling_sum(1))["n"].is_nan().all()


def test_several_columns_literals_and_empty_frames() -> None:
    frame = ticks(30)
    both = frame.select(pl.col("b", "c").stockbot.rolling_max(3))
    assert both.equals(frame.select(pl.col(name).stockbot.rolling_max(3) for name in ("b", "c")))
    repeated = frame.with_columns(two=2.0).select(pl.col("b").stockbot.vwap_deviation("two", 3))
    assert frame.select(pl.col("b").stockbot.vwap_deviation(pl.lit(2.0), 3)).equals(repeated)
    assert frame.clear().select(pl.col("b").stockbot.atr("c", "d").over("symbol")).schema == {"b": pl.Float64}


def test_wrong_columns_are_refused_by_name() -> None:
    frame = ticks(30)
    with pytest.raises(TypeError, match="rsi: x: expected a column of numbers, received String"):
        frame.select(pl.col("symbol").stockbot.rsi())
    with pytest.raises(TypeError, match="atr: close: expected a column of numbers, received Boolean"):
        frame.lazy().select(pl.col("a").stockbot.atr("b", pl.col("c") > 1.0)).collect(engine="streaming")
    with pytest.raises(ValueError, match="atr: low: expected 30 rows, received 7"):
        frame.select(pl.col("a").stockbot.atr(pl.col("b").head(7), "c"))


def test_wrong_arguments_are_refused_before_the_query_runs() -> None:
    namespace = pl.col("a").stockbot
    with pytest.raises(ValueError, match="rsi: period: expected at least 1, received 0"):
        namespace.rsi(0)
    with pytest.raises(TypeError, match=r"rolling_mean: window: .* received 2\.5"):
        namespace.rolling_mean(2.5)
    with pytest.raises(TypeError, match=r"atr: low: expected a column name or an expression, received 14"):
        namespace.atr(14, "c")
    with pytest.raises(
        TypeError, match=r"atr: missing a required argument: 'low'; expected atr\(low, close, period=14\)"
    ):
        namespace.atr()


@every_kernel
def test_methods_document_themselves(kernel: RowKernel) -> None:
    method = getattr(pl.Expr.stockbot, kernel.name)  # type: ignore[attr-defined]
    shown = inspect.signature(method).parameters
    assert [*shown][1:] == [*kernel.inputs[1:], *(part.name for part in kernel.parameters)]
    text = inspect.getdoc(method)
    assert text.startswith((kernel.function.__doc__ or "").split("\n")[0])
    assert f"`{kernel.inputs[0]}` is the expression itself" in text
    assert "out:" not in text
    if len(kernel.outputs) > 1:
        assert f"the fields {', '.join(kernel.outputs)}" in text


def test_every_public_kernel_of_rows_has_a_method() -> None:
    # These look forward, or give no rows.
    others = {"average_uniqueness", "direction", "gather_windows", "horizon_return", "outlier_prints", "permutation"}
    others |= {"sliding_windows", "window_rows"}
    bars = {"dollar_bars", "tick_bars", "time_bars", "volume_bars"}
    assert set(KERNELS) == set(kernels.__all__) - others - bars
    assert set(KERNELS) <= set(dir(pl.Expr.stockbot))  # type: ignore[attr-defined]


def test_the_example_of_the_docs_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    page = DOCS.read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, str(DOCS), "exec"), {})
    shown = re.search(r"```text\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    assert capsys.readouterr().out.strip() == shown[1].strip()
