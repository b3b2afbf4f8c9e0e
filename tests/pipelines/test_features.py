"""Named features: definitions, names, and the same bits for every cut."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import reference
from kernels.bars import COLUMN_NAMES
from pipelines.bars import Bars, BarSpec
from pipelines.errors import DataError
from pipelines.features import FAMILIES, FeaturePlan, FeatureStream, parse_feature
from tests.kernels.catalogue import market

ALL = [family.example for family in FAMILIES.values()]
HOUR = 3600 * 10**9


def rows(count: int, seed: int = 0) -> Bars:
    data = market(count, seed)
    bars = Bars(np.zeros((len(COLUMN_NAMES), count)))
    bars.timestamp[:] = 1_700_000_000 * 10**9 + HOUR * np.arange(count)
    bars.last_timestamp[:] = bars.timestamp + HOUR // 2
    bars.open[:] = np.clip(np.roll(data["price"], 1), data["low"], data["high"])
    bars.high[:], bars.low[:], bars.close[:] = data["high"], data["low"], data["price"]
    bars.volume[:] = data["volume"]
    bars.dollar[:] = data["price"] * data["volume"]
    bars.buy_volume[:] = data["volume"] * (data["sign"] > 0)
    bars.sell_volume[:] = data["volume"] - bars.buy_volume
    bars.ticks[:] = 1.0
    return bars


def definitions(b: Bars) -> dict[str, np.ndarray]:
    """Every feature written from its definition, in plain NumPy and the reference kernels."""
    o, h, l, c, v = b.open, b.high, b.low, b.close, b.volume  # noqa: E741
    mean, var = reference.rolling_mean(c, 20), reference.rolling_var(c, 20)
    top, bottom = reference.rolling_max(h, 20), reference.rolling_min(l, 20)
    line, _, histogram = reference.macd(c)
    flow = reference.rolling_sum(b.buy_volume - b.sell_volume, 20)
    day = (b.timestamp % (24 * HOUR)) / (24 * HOUR)
    week = ((b.timestamp // HOUR + 3 * 24) % (7 * 24) + (b.timestamp % HOUR) / HOUR) / (7 * 24)
    before = np.concatenate([[np.nan], c[:-1]])
    return {
        "ret_1": reference.returns(c, 1),
        "logret_5": reference.log_returns(c, 5),
        "gap_co": o / before - 1,
        "kmid": (c - o) / o,
        "klen": (h - l) / o,
        "kup": (h - np.maximum(o, c)) / o,
        "klow": (np.minimum(o, c) - l) / o,
        "ksft": (2 * c - h - l) / o,
        "ma_dev_20": c / mean - 1,
        "std_rel_20": np.sqrt(var) / mean,
        "min_dev_20": bottom / c - 1,
        "max_dev_20": top / c - 1,
        "zscore_20": (c - mean) / np.sqrt(var),
        "ema_dev_12": c / reference.ema(c, 12) - 1,
        "rsi_wilder_14": reference.rsi(c, 14),
        "macd_line_12_26_9": line / c,
        "macd_hist_12_26_9": histogram / c,
        "atr_wilder_14": reference.atr(h, l, c, 14) / c,
        "bb_pos_20": (c - mean) / (2 * np.sqrt(var * 19 / 20)),
        "rsv_20": (c - bottom) / (top - bottom),
        "rvol_20": reference.realized_volatility(c, 20),
        "vwap_dev_20": reference.vwap_deviation(c, v, 20),
        "vol_z_20": reference.volume_zscore(v, 20),
        "ofi_20": flow / reference.rolling_sum(v, 20),
        "dt_log": np.log1p(np.concatenate([[np.nan], np.full(len(c) - 1, 3600.0)])),
        "tod_sin": np.sin(2 * np.pi * day),
        "tod_cos": np.cos(2 * np.pi * day),
        "dow_sin": np.sin(2 * np.pi * week),
        "dow_cos": np.cos(2 * np.pi * week),
    }


def test_every_feature_is_its_definition() -> None:
    bars = rows(400)
    expected = definitions(bars)
    assert list(expected) == ALL
    plan = FeaturePlan(ALL)
    matrix = plan.update(plan.new_state(), bars)
    assert matrix.dtype == np.float32
    for column, name in enumerate(ALL):
        ours, theirs = matrix[:, column], expected[name]
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs), err_msg=name)
        np.testing.assert_allclose(ours, theirs, rtol=2e-7, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", ALL)
def test_warmup_is_what_it_says(name: str) -> None:
    plan = FeaturePlan([name])
    column = plan.update(plan.new_state(), rows(100))[:, 0]
    assert np.isnan(column[: plan.warmup]).all()
    assert np.isfinite(column[plan.warmup :]).all()


@pytest.mark.parametrize("kind", ["none", "time", "tick"])
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 500), max_size=8))
@settings(max_examples=15)
def test_any_cut_of_the_ticks_gives_the_same_bits(kind: str, seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    stamps = 10**18 + np.cumsum(rng.integers(0, 10**9, 500))
    price = 100.0 + 0.01 * np.cumsum(rng.choice([-1.0, 0.0, 1.0], 500))
    volume = rng.exponential(1.0, 500)
    spec = BarSpec(kind, {"none": 1, "time": 5 * 10**9, "tick": 3}[kind])  # type: ignore[arg-type]
    plan = FeaturePlan(ALL)

    def run(edges: list[int]) -> np.ndarray:
        stream = FeatureStream(spec, plan)
        parts = []
        for start, stop in itertools.pairwise(edges):
            resumed = FeatureStream(spec, plan)
            resumed.restore(stream.state)
            stream = resumed
            parts.append(stream.push_ticks(stamps[start:stop], price[start:stop], volume[start:stop])[1])
        return np.concatenate([*parts, stream.flush()[1]])

    whole, cut = run([0, 500]), run(sorted({0, *cuts, 500}))
    assert whole.tobytes("C") == cut.tobytes("C")


def test_a_market_without_volume_or_movement_gives_numbers() -> None:
    bars = rows(100)
    for name in ("open", "high", "low", "close"):
        getattr(bars, name)[:] = 5.0
    for name in ("volume", "dollar", "buy_volume", "sell_volume"):
        getattr(bars, name)[:] = 0.0
    plan = FeaturePlan(ALL)
    assert np.isfinite(plan.update(plan.new_state(), bars)[plan.warmup :]).all()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["rsi_14"], "feature 'rsi_14' is not known; did you mean rsi_wilder_14"),
        (["logret"], "feature 'logret': expected 1 whole numbers of at least 1 as in 'logret_5', received []"),
        (["zscore_1"], "feature 'zscore_1': expected 1 whole numbers of at least 2"),
        (["macd_hist_26_12_9"], "feature 'macd_hist_26_12_9': fast: expected fewer rows than slow (12), received 26"),
        (["kmid", "kmid"], "features: kmid listed twice"),
        ([], "features: expected at least one name"),
    ],
)
def test_bad_names_are_explained(names: list[str], message: str) -> None:
    with pytest.raises(DataError) as error:
        FeaturePlan(names)
    assert message in str(error.value)


def test_a_state_of_another_plan_is_refused() -> None:
    stream = FeatureStream(BarSpec("none", 1), FeaturePlan(["zscore_20"]))
    other = FeatureStream(BarSpec("none", 1), FeaturePlan(["zscore_21"]))
    with pytest.raises(DataError, match="'features' does not fit this plan"):
        stream.restore(other.state)


def test_parameters_are_read_from_the_name() -> None:
    assert parse_feature("macd_line_3_7_4").parameters == (3, 7, 4)
