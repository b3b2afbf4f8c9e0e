"""qlib's Alpha158 and Alpha360 against their published formulas, evaluated as text by a plain pandas rendering."""

import re

import numpy as np
import pandas as pd
import pytest

from kernels.bars import COLUMN_NAMES
from pipelines.bars import Bars
from pipelines.catalogue import SETS
from pipelines.features import FeaturePlan
from tests.kernels.catalogue import market

ROWS = 400
WINDOWS = (5, 10, 20, 30, 60)

CANDLE = {
    "KMID": "($close-$open)/$open",
    "KLEN": "($high-$low)/$open",
    "KMID2": "($close-$open)/($high-$low+1e-12)",
    "KUP": "($high-Greater($open, $close))/$open",
    "KUP2": "($high-Greater($open, $close))/($high-$low+1e-12)",
    "KLOW": "(Less($open, $close)-$low)/$open",
    "KLOW2": "(Less($open, $close)-$low)/($high-$low+1e-12)",
    "KSFT": "(2*$close-$high-$low)/$open",
    "KSFT2": "(2*$close-$high-$low)/($high-$low+1e-12)",
    "OPEN": "$open/$close",
    "HIGH": "$high/$close",
    "LOW": "$low/$close",
    "VWAP": "$vwap/$close",
}
ROLLING = {
    "ROC": "Ref($close, d)/$close",
    "MA": "Mean($close, d)/$close",
    "STD": "Std($close, d)/$close",
    "BETA": "Slope($close, d)/$close",
    "RSQR": "Rsquare($close, d)",
    "RESI": "Resi($close, d)/$close",
    "MAX": "Max($high, d)/$close",
    "MIN": "Min($low, d)/$close",
    "QTLU": "Quantile($close, d, 0.8)/$close",
    "QTLD": "Quantile($close, d, 0.2)/$close",
    "RANK": "Rank($close, d)",
    "RSV": "($close-Min($low, d))/(Max($high, d)-Min($low, d)+1e-12)",
    "IMAX": "IdxMax($high, d)/d",
    "IMIN": "IdxMin($low, d)/d",
    "IMXD": "(IdxMax($high, d)-IdxMin($low, d))/d",
    "CORR": "Corr($close, Log($volume+1), d)",
    "CORD": "Corr($close/Ref($close, 1), Log($volume/Ref($volume, 1)+1), d)",
    "CNTP": "Mean(More($close, Ref($close, 1)), d)",
    "CNTN": "Mean(More(Ref($close, 1), $close), d)",
    "CNTD": "Mean(More($close, Ref($close, 1)), d)-Mean(More(Ref($close, 1), $close), d)",
    "SUMP": "Sum(Greater($close-Ref($close, 1), 0), d)/(Sum(Abs($close-Ref($close, 1)), d)+1e-12)",
    "SUMN": "Sum(Greater(Ref($close, 1)-$close, 0), d)/(Sum(Abs($close-Ref($close, 1)), d)+1e-12)",
    "SUMD": "(Sum(Greater($close-Ref($close, 1), 0), d)-Sum(Greater(Ref($close, 1)-$close, 0), d))"
    "/(Sum(Abs($close-Ref($close, 1)), d)+1e-12)",
    "VMA": "Mean($volume, d)/($volume+1e-12)",
    "VSTD": "Std($volume, d)/($volume+1e-12)",
    "WVMA": "Std(Abs($close/Ref($close, 1)-1)*$volume, d)/(Mean(Abs($close/Ref($close, 1)-1)*$volume, d)+1e-12)",
    "VSUMP": "Sum(Greater($volume-Ref($volume, 1), 0), d)/(Sum(Abs($volume-Ref($volume, 1)), d)+1e-12)",
    "VSUMN": "Sum(Greater(Ref($volume, 1)-$volume, 0), d)/(Sum(Abs($volume-Ref($volume, 1)), d)+1e-12)",
    "VSUMD": "(Sum(Greater($volume-Ref($volume, 1), 0), d)-Sum(Greater(Ref($volume, 1)-$volume, 0), d))"
    "/(Sum(Abs($volume-Ref($volume, 1)), d)+1e-12)",
}


def _line(values: np.ndarray) -> tuple[float, float]:
    slope, start = np.polyfit(np.arange(1, len(values) + 1), values - values[0], 1)
    return slope, start + values[0]


def _residual(values: np.ndarray) -> float:
    slope, start = _line(values)
    return float(values[-1] - (slope * len(values) + start))


def _rsquare(values: np.ndarray) -> float:
    return float(np.corrcoef(np.arange(len(values)), values)[0, 1] ** 2)


FUNCTIONS = {
    "Ref": lambda x, d: x.shift(d),
    "Mean": lambda x, d: x.rolling(d).mean(),
    "Sum": lambda x, d: x.rolling(d).sum(),
    "Std": lambda x, d: x.rolling(d).std(),
    "Max": lambda x, d: x.rolling(d).max(),
    "Min": lambda x, d: x.rolling(d).min(),
    "Quantile": lambda x, d, q: x.rolling(d).quantile(q),
    "Rank": lambda x, d: x.rolling(d).rank(pct=True),
    "IdxMax": lambda x, d: x.rolling(d).apply(lambda window: window.argmax() + 1, raw=True),
    "IdxMin": lambda x, d: x.rolling(d).apply(lambda window: window.argmin() + 1, raw=True),
    "Slope": lambda x, d: x.rolling(d).apply(lambda window: _line(window)[0], raw=True),
    "Resi": lambda x, d: x.rolling(d).apply(_residual, raw=True),
    "Rsquare": lambda x, d: x.rolling(d).apply(_rsquare, raw=True),
    "Corr": lambda x, y, d: x.rolling(d).corr(y),
    "Greater": lambda x, y: np.maximum(x, y),
    "Less": lambda x, y: np.minimum(x, y),
    "More": lambda x, y: (x > y).astype(float).where(x.notna() & y.notna()),
    "Abs": np.abs,
    "Log": np.log,
}


def published(formula: str, frame: pd.DataFrame, window: int = 0) -> np.ndarray:
    names = {name: frame[name] for name in frame.columns} | FUNCTIONS | {"d": window}
    return np.asarray(eval(re.sub(r"\$(\w+)", r"\1", formula), {}, names), dtype=float)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    data = market(ROWS, seed=8)
    volume = data["volume"] + 1.0  # the formulas divide by volume
    opened = np.clip(np.roll(data["price"], 1), data["low"], data["high"])
    return pd.DataFrame(
        {"open": opened, "high": data["high"], "low": data["low"], "close": data["price"], "volume": volume,
         "vwap": (data["high"] + data["low"]) / 2}
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows(frame: pd.DataFrame) -> Bars:
    made = Bars(np.zeros((len(COLUMN_NAMES), ROWS)))
    for name in ("open", "high", "low", "close", "volume"):
        getattr(made, name)[:] = frame[name]
    made.dollar[:] = frame["vwap"] * frame["volume"]
    return made


def check(name: str, ours: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected), err_msg=name)
    np.testing.assert_allclose(ours, expected.astype(np.float32), rtol=3e-6, atol=1e-6, err_msg=name)


def test_alpha158(frame: pd.DataFrame, rows: Bars) -> None:
    plan = FeaturePlan(["alpha158"])
    matrix = plan.update(plan.new_state(), rows)
    assert len(plan.names) == 158
    expected = {f"alpha_{name.lower()}": published(formula, frame) for name, formula in CANDLE.items()}
    for name, formula in ROLLING.items():
        expected |= {f"alpha_{name.lower()}_{window}": published(formula, frame, window) for window in WINDOWS}
    assert list(expected) == plan.names
    for column, name in enumerate(plan.names):
        check(name, matrix[:, column], expected[name])


def test_alpha360(frame: pd.DataFrame, rows: Bars) -> None:
    plan = FeaturePlan(["alpha360"])
    matrix = plan.update(plan.new_state(), rows)
    assert len(plan.names) == len(SETS["alpha360"]) == 360
    for column, name in enumerate(plan.names):
        _, field, _, lag = name.split("_")
        divisor = frame["volume"] + 1e-12 if field == "volume" else frame["close"]
        check(name, matrix[:, column], (frame[field].shift(int(lag)) / divisor).to_numpy())
