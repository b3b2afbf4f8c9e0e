"""The scaler is scikit-learn's to the last bit, also after a trip through JSON or pickle."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import RobustScaler, StandardScaler

from pipelines.errors import DataError
from pipelines.scaling import BLOCK_ROWS, Scaler, ScalerKind

SKLEARN = {"standard": StandardScaler, "robust": RobustScaler}
KINDS = st.sampled_from(["standard", "robust"])
NUMBERS = st.floats(-1e6, 1e6, width=32)


@given(arrays(np.float32, st.tuples(st.integers(1, 30), st.just(3)), elements=NUMBERS), KINDS)
def test_json_and_pickle_equal_scikit_learn_to_the_bit(rows: np.ndarray, kind: ScalerKind) -> None:
    fitted = SKLEARN[kind]().fit(rows.astype(np.float64))
    expected = fitted.transform(rows.astype(np.float64))
    scaler = Scaler.fit(rows, ["a", "b", "c"], kind=kind)
    read = Scaler.from_json(json.loads(json.dumps(scaler.to_json())))
    assert read.exact(rows).tobytes() == expected.tobytes()
    assert read.transform(rows).tobytes() == expected.astype(np.float32).tobytes()
    unpickled = pickle.loads(pickle.dumps(read.to_sklearn()))
    assert unpickled.transform(rows.astype(np.float64)).tobytes() == expected.tobytes()
    assert unpickled.inverse_transform(expected).tobytes() == fitted.inverse_transform(expected).tobytes()


@given(arrays(np.float32, st.tuples(st.integers(1, 30), st.just(3)), elements=NUMBERS))
def test_the_robust_scaler_of_columns_is_that_of_rows_to_the_bit(rows: np.ndarray) -> None:
    names = ["a", "b", "c"]
    expected = Scaler.fit(rows, names, kind="robust")
    found = Scaler.fit_columns(np.ascontiguousarray(rows.T), names)
    assert found.to_json() == expected.to_json()


@pytest.mark.parametrize(("column", "message"), [([], "no training rows"), ([1.0, np.inf], "b of training row 1 is")])
def test_a_column_that_cannot_be_fitted_is_named(column: list[float], message: str) -> None:
    good = np.ones(len(column), np.float32)
    with pytest.raises(DataError, match=message):
        Scaler.fit_columns([good, np.array(column, np.float32)], ["a", "b"])


@pytest.mark.parametrize("kind", ["standard", "robust"])
def test_a_column_that_never_moves_scales_to_zero(kind: ScalerKind) -> None:
    rows = np.column_stack([np.full(50, 3.0), np.arange(50.0)])
    scaled = Scaler.fit(rows, ["volume", "price"], kind=kind).transform(rows)
    assert np.all(scaled[:, 0] == 0.0)
    assert np.isfinite(scaled).all()


def test_transform_works_in_blocks_and_keeps_missing_values() -> None:
    rows = np.random.default_rng(0).normal(size=(BLOCK_ROWS + 5, 2)).astype(np.float32)
    scaler = Scaler.fit(rows, ["a", "b"])
    rows[BLOCK_ROWS + 1, 0] = np.nan
    scaled = scaler.transform(rows)
    np.testing.assert_array_equal(scaled, scaler.exact(rows).astype(np.float32))
    assert np.isnan(scaled).sum() == 1


def test_a_missing_training_value_names_row_and_column() -> None:
    rows = np.ones((4, 2))
    rows[2, 1] = np.inf
    with pytest.raises(DataError, match=r"rsi of EURUSD at row 2 is inf, expected a finite number \(1 such"):
        Scaler.fit(rows, ["ret", "rsi"], row_name="EURUSD at row {}".format)


@pytest.mark.parametrize(
    ("rows", "message"), [(np.ones((0, 2)), "no training rows"), (np.ones((3, 1)), "rows of 2 columns")]
)
def test_unfit_training_rows_are_refused(rows: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Scaler.fit(rows, ["a", "b"])


def test_transform_refuses_another_number_of_columns() -> None:
    with pytest.raises(DataError, match=r"expected 2 columns \(a, b\), received an array of shape \(3, 3\)"):
        Scaler.fit(np.eye(2), ["a", "b"]).transform(np.ones((3, 3)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "quantile"}, "kind is 'quantile', expected one of standard, robust"),
        ({"center": [1.0]}, "center has 1 numbers for 2 feature columns"),
        ({"scale": ["x", "y"]}, "expected the fields that training writes"),
        ({"samples": None}, "expected the fields that training writes"),
    ],
)
def test_a_damaged_scaler_json_is_refused(change: dict[str, object], message: str) -> None:
    content = Scaler.fit(np.eye(2), ["a", "b"]).to_json() | change
    with pytest.raises(DataError, match=message):
        Scaler.from_json(content)
