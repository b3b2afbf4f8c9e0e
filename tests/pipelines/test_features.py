"""Named features and sets: how names are read, what a plan refuses, and the same bits for every cut of the ticks."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.bars import BarSpec
from pipelines.catalogue import FAMILIES, SETS, expand, feature, feature_set, parse_feature
from pipelines.catalogue.functions import bars, rolling_mean
from pipelines.errors import DataError
from pipelines.expressions import Expression
from pipelines.features import FeaturePlan, FeatureStream
from tests.pipelines.market_rows import market_rows

ALL = [family.example for family in FAMILIES.values()]
TICKS = 500


@pytest.mark.parametrize("kind", ["none", "time", "tick"])
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, TICKS), max_size=8))
@settings(max_examples=15, deadline=None)
def test_any_cut_of_the_ticks_gives_the_same_bits(kind: str, seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    stamps = 10**18 + np.cumsum(rng.integers(0, 10**9, TICKS))
    price = 100.0 + 0.01 * np.cumsum(rng.choice([-1.0, 0.0, 1.0], TICKS))
    quotes = np.stack([price - 0.01, price + 0.01, *rng.integers(1, 9, (2, TICKS)).astype(float)])
    volume = rng.exponential(1.0, TICKS)
    spec = BarSpec(kind, {"none": 1, "time": 5 * 10**9, "tick": 3}[kind])
    plan = FeaturePlan(ALL)

    def run(edges: list[int]) -> np.ndarray:
        stream = FeatureStream(spec, plan)
        parts = []
        for start, stop in itertools.pairwise(edges):
            resumed = FeatureStream(spec, plan)
            resumed.restore(stream.state)
            stream = resumed
            rows = slice(start, stop)
            parts.append(stream.push_ticks(stamps[rows], price[rows], volume[rows], None, quotes[:, rows])[1])
        return np.concatenate([*parts, stream.flush()[1]])

    whole, cut = run([0, TICKS]), run(sorted({0, *cuts, TICKS}))
    assert whole.tobytes("C") == cut.tobytes("C")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["rsi_14"], "feature 'rsi_14' is not known; did you mean rsi_wilder_14"),
        (["core18"], "feature 'core18' is not known; did you mean core17"),
        (["logret_05"], "feature 'logret_05' is not known; did you mean logret_1"),
        (["logret"], "feature 'logret': expected 1 whole numbers from 1 to 1000000 as in 'logret_1', received []"),
        (["zscore_1"], "feature 'zscore_1': expected 1 whole numbers from 2 to"),
        (["zscore_99999999999"], "feature 'zscore_99999999999': expected 1 whole numbers from 2 to 1000000"),
        (["macd_hist_26_12_9"], "feature 'macd_hist_26_12_9': fast: expected fewer rows than slow (12), received 26"),
        (["fracdiff_100"], "feature 'fracdiff_100': order: expected a number between 0 and 1, received 1.0"),
        (["adx_1"], "feature 'adx_1': expected 1 whole numbers from 2 to"),
        (["alpha_std_1"], "feature 'alpha_std_1': expected 1 whole numbers from 2 to"),
        (["kmid", "kmid"], "features: kmid listed twice"),
        ([], "features: expected at least one name"),
    ],
)
def test_bad_names_are_explained(names: list[str], message: str) -> None:
    with pytest.raises(DataError) as error:
        FeaturePlan(names)
    assert message in str(error.value)


def test_sets_and_features_mix_in_order_each_once() -> None:
    plan = FeaturePlan(["rsi_wilder_30", "core17", "logret_5", "rsi_wilder_14"])
    assert plan.names == ["rsi_wilder_30", *SETS["core17"]]


def test_a_plan_knows_its_warmup_and_inputs() -> None:
    plan = FeaturePlan(["logret_5", "zscore_20", "spread_bps"])
    assert (plan.warmup, plan.inputs) == (19, ["ask", "bid", "close"])
    assert [one.warmup for one in plan.features] == [5, 19, 0]


def test_a_stream_refuses_the_state_of_another_plan() -> None:
    stream = FeatureStream(BarSpec("none", 1), FeaturePlan(["zscore_20"]))
    other = FeatureStream(BarSpec("none", 1), FeaturePlan(["zscore_21"]))
    with pytest.raises(DataError, match="'features' does not fit this plan"):
        stream.restore(other.state)


@pytest.mark.parametrize("layout", ["update", "update_rows"])
@pytest.mark.parametrize("others", [["zscore_21"], ["std_rel_20"], ["zscore_20", "kmid"], ["core17"]])
def test_a_plan_refuses_the_state_of_another(layout: str, others: list[str]) -> None:
    plan = FeaturePlan(["zscore_20"])
    with pytest.raises(ValueError, match="state: made by another plan or version of the features; start from"):
        getattr(plan, layout)(FeaturePlan(others).new_state(), market_rows(5))


def test_a_plan_refuses_a_state_of_another_type() -> None:
    plan = FeaturePlan(["zscore_20"])
    with pytest.raises(ValueError, match="state: made by another plan"):
        plan.update(plan.new_state().astype(np.float32), market_rows(5))


def _read_only(shape: tuple[int, int]) -> np.ndarray:
    out = np.empty(shape, np.float32)
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    ("layout", "out"),
    [
        ("update", np.empty((2, 5), np.float64)),
        ("update", np.empty((5, 2), np.float32)),
        ("update", np.empty((2, 10), np.float32)[:, ::2]),
        ("update", np.empty((5, 2), np.float32).T),
        ("update", _read_only((2, 5))),
        ("update_rows", np.empty((5, 2), np.float64)),
        ("update_rows", np.empty((2, 5), np.float32)),
        ("update_rows", np.empty((2, 5), np.float32).T),
        ("update_rows", np.empty((5, 3), np.float32)[:, :2]),
        ("update_rows", np.empty(10, np.float32)),
        ("update_rows", _read_only((5, 2))),
    ],
)
def test_a_result_array_that_does_not_fit_is_refused_before_the_state_changes(layout: str, out: np.ndarray) -> None:
    plan = FeaturePlan(["kmid", "zscore_20"])
    state = plan.new_state()
    shape = r"\(2, 5\)" if layout == "update" else r"\(5, 2\)"
    with pytest.raises(ValueError, match=f"out: expected a writable, contiguous float32 array {shape}, received"):
        getattr(plan, layout)(state, market_rows(5), out)
    assert state.tobytes() == plan.new_state().tobytes()


def test_results_go_where_they_are_asked_to_go() -> None:
    plan = FeaturePlan(["kmid", "zscore_20"])
    expected = plan.update(plan.new_state(), market_rows(30))
    part = np.full((2, 50), 7.0, np.float32)
    for out in (np.empty((2, 30), np.float32), part[:, 10:40]):
        assert np.shares_memory(plan.update(plan.new_state(), market_rows(30), out), out)
        np.testing.assert_array_equal(out.T, expected)
    assert (part[:, :10] == 7.0).all()
    assert (part[:, 40:] == 7.0).all()


@pytest.mark.usefixtures("catalogue")
def test_own_features_and_sets_are_used_by_name() -> None:
    @feature("open_dev_5", "open over its mean, minus 1")
    def open_dev(window: int) -> Expression:
        return bars.open / rolling_mean(bars.open, window) - 1.0

    feature_set("mine", ["open_dev_9", "kmid"])
    assert expand(["mine", "open_dev_5"]) == ["open_dev_9", "kmid", "open_dev_5"]
    rows = market_rows(30)
    ours = FeaturePlan(["mine"]).update(FeaturePlan(["mine"]).new_state(), rows)[:, 0]
    np.testing.assert_allclose(ours[8:], [rows.open[i] / rows.open[i - 8 : i + 1].mean() - 1 for i in range(8, 30)],
                               rtol=1e-6, atol=1e-9)  # fmt: skip


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(
    ("example", "message"),
    [
        ("zscore_20", "feature 'zscore_20': the name 'zscore' is taken"),
        ("mine", "feature 'mine': expected lower-case words, then 1 numbers"),
        ("Mine_5", "feature 'Mine_5': expected lower-case words, then 1 numbers"),
        ("mine_5_6", "feature 'mine_5_6': expected lower-case words, then 1 numbers"),
    ],
)
def test_names_that_cannot_be_entered_are_explained(example: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        feature(example, "of no use")(lambda window: bars.open / rolling_mean(bars.open, window))
    assert message in str(error.value)


@pytest.mark.usefixtures("catalogue")
def test_a_set_cannot_take_the_name_of_another() -> None:
    with pytest.raises(ValueError, match="set 'core17': the name is taken; choose another"):
        feature_set("core17", ["kmid"])


@pytest.mark.usefixtures("catalogue")
def test_a_set_cannot_take_the_name_of_a_feature() -> None:
    with pytest.raises(ValueError, match="set 'kmid': the name is taken; choose another"):
        feature_set("kmid", ["klen"])


def test_every_example_is_a_feature_of_its_family() -> None:
    for name, family in FAMILIES.items():
        one = parse_feature(family.example)
        assert one.family is family
        assert family.example.startswith(name)
