"""Feature scaling: fitted by scikit-learn on training rows, kept as plain numbers, applied in float64."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from sklearn.preprocessing import RobustScaler, StandardScaler

from kernels.memory import aligned_empty
from pipelines.errors import DataError

ScalerKind = Literal["standard", "robust"]
BLOCK_ROWS = 65_536  # of the float64 copy that a float32 matrix passes through

FITTERS = {"standard": StandardScaler, "robust": RobustScaler}


@dataclass(frozen=True)
class Scaler:
    """`(value - center) / scale` for each feature column.

    Attributes:
        feature_columns: ordered names.
        center: (features,) float64.
        scale: (features,) float64; 1.0 where a column does not vary.
        variance: (features,) float64 of the training rows, standard scaler only.
        samples: training rows that the scaler saw.
    """

    kind: ScalerKind
    feature_columns: tuple[str, ...]
    center: np.ndarray
    scale: np.ndarray
    variance: np.ndarray | None
    samples: int

    @classmethod
    def fit(
        cls,
        rows: np.ndarray,
        columns: Sequence[str],
        *,
        kind: ScalerKind = "standard",
        row_name: Callable[[int], str] = "row {}".format,
    ) -> "Scaler":
        """Fit on training rows only, with scikit-learn.

        Args:
            rows: (rows, features) float32 or float64, all finite.
            row_name: says where row i comes from, for the error.

        Raises:
            DataError: no rows, a wrong number of columns, or a value that is not finite.
        """
        _check_rows(rows, columns, row_name)
        fitted = FITTERS[kind]().fit(rows.astype(np.float64))
        center = fitted.mean_ if kind == "standard" else fitted.center_
        variance = fitted.var_ if kind == "standard" else None
        return cls(kind, tuple(columns), center, fitted.scale_, variance, len(rows))

    @classmethod
    def fit_blocks(cls, blocks: Iterable[np.ndarray], columns: Sequence[str]) -> "Scaler":
        """The standard scaler of rows that come in blocks; it equals that of `fit` but for rounding.

        Raises:
            DataError: as `fit`.
        """
        fitted, samples = StandardScaler(), 0
        for block in blocks:
            _check_rows(block, columns, "row {} of a block".format)
            fitted.partial_fit(block.astype(np.float64))
            samples += len(block)
        if not samples:
            raise DataError("scaler: no training rows: expected at least one; use more data or change split.*")
        return cls("standard", tuple(columns), fitted.mean_, fitted.scale_, fitted.var_, samples)

    @classmethod
    def fit_columns(cls, values: Iterable[np.ndarray], columns: Sequence[str]) -> "Scaler":
        """The robust scaler of columns that come one after another, (rows,) float32 each, which are sorted in place: to
        the bit that of `fit`.

        Raises:
            DataError: as `fit`.
        """
        center, scale, samples = np.empty(len(columns)), np.empty(len(columns)), 0
        for number, column in enumerate(values):
            _check_rows(column[:, None], columns[number : number + 1], "training row {}".format)
            column.sort()
            samples = len(column)
            center[number] = column[(samples - 1) // 2 : samples // 2 + 1].astype(np.float64).mean()
            scale[number] = _sorted_quantile(column, 0.75) - _sorted_quantile(column, 0.25)
        scale[scale < 10 * np.finfo(np.float64).eps] = 1.0  # what scikit-learn takes for no spread at all
        return cls("robust", tuple(columns), center, scale, None, samples)

    def transform(self, matrix: np.ndarray) -> np.ndarray:
        """Scaled copy, (rows, features) float32, aligned, computed in float64; NaN stays NaN.

        Args:
            matrix: (rows, features) float32 or float64.

        Raises:
            DataError: the number of columns is not the fitted one.
        """
        if matrix.ndim != 2 or matrix.shape[1] != len(self.feature_columns):
            raise DataError(
                f"scaler: expected {len(self.feature_columns)} columns ({', '.join(self.feature_columns)}), "
                f"received an array of shape {matrix.shape}"
            )
        scaled = aligned_empty(matrix.shape, np.float32)
        for begin in range(0, len(matrix), BLOCK_ROWS):
            scaled[begin : begin + BLOCK_ROWS] = self.exact(matrix[begin : begin + BLOCK_ROWS])
        return scaled

    def exact(self, matrix: np.ndarray) -> np.ndarray:
        """The values before rounding, (rows, features) float64: to the last bit what scikit-learn gives."""
        return np.asarray((matrix.astype(np.float64) - self.center) / self.scale)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers; `json` writes the shortest text that reads back to the same float64."""
        return {
            "kind": self.kind,
            "feature_columns": list(self.feature_columns),
            "center": self.center.tolist(),
            "scale": self.scale.tolist(),
            "variance": None if self.variance is None else self.variance.tolist(),
            "samples": self.samples,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Scaler":
        """The scaler that `to_json` described. Raises DataError for a missing key or a wrong length."""
        try:
            columns = tuple(str(name) for name in content["feature_columns"])
            vectors = {key: _vector(content[key]) for key in ("center", "scale")}
            variance = None if content["variance"] is None else _vector(content["variance"])
            kind, samples = content["kind"], int(content["samples"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"scaler.json: expected the fields that training writes; {error}") from None
        if kind not in FITTERS:
            raise DataError(f"scaler.json: kind is {kind!r}, expected one of {', '.join(FITTERS)}")
        for name, vector in vectors.items():
            if vector.shape != (len(columns),):
                raise DataError(f"scaler.json: {name} has {len(vector)} numbers for {len(columns)} feature columns")
        return cls(cast(ScalerKind, kind), columns, vectors["center"], vectors["scale"], variance, samples)

    def to_sklearn(self) -> StandardScaler | RobustScaler:
        """A fitted scikit-learn object that transforms to the same float64 values; `scaler.pkl` holds it."""
        fitted = FITTERS[self.kind]()
        fitted.n_features_in_ = len(self.feature_columns)
        fitted.scale_ = self.scale.copy()
        if self.variance is None:
            fitted.center_ = self.center.copy()
            return fitted
        fitted.mean_, fitted.var_ = self.center.copy(), self.variance.copy()
        fitted.n_samples_seen_ = self.samples
        return fitted


def _sorted_quantile(column: np.ndarray, share: float) -> float:
    """As `numpy.quantile` of the float64 of a column, without these."""
    place, rest = divmod((len(column) - 1) * share, 1.0)
    near = column[int(place) : int(place) + 2].astype(np.float64)
    return float(np.quantile(near, rest))


def _vector(numbers: Sequence[float]) -> np.ndarray:
    return np.array(numbers, dtype=np.float64)


def _check_rows(rows: np.ndarray, columns: Sequence[str], row_name: Callable[[int], str]) -> None:
    if rows.ndim != 2 or rows.shape[1] != len(columns):
        raise DataError(f"scaler: expected rows of {len(columns)} columns, received shape {rows.shape}")
    if len(rows) == 0:
        raise DataError("scaler: no training rows: expected at least one; use more data or change split.*")
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        row, column = (int(index) for index in bad[0])
        raise DataError(
            f"scaler: {columns[column]} of {row_name(row)} is {rows[row, column]}, expected a finite number "
            f"({len(bad)} such values in {len(rows)} training rows): drop the feature or mend the source"
        )
