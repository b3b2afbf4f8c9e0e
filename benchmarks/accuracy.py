"""Errors of kernels and peers against a long-double two-pass reference, on series that naive sums fail on.

The reference is computed for windows sampled from all rows. The error of an answer that is NaN
is None: it is over every budget.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import CASES, Case, Run
from benchmarks.data import HARD_SERIES, Arrays, hard

Windows = NDArray[np.longdouble]  # (sampled, window)
PeersOf = Callable[[Case, Arrays], Mapping[str, Run]]
SAMPLED = 2000


def _mean(x: Windows) -> Windows:
    return x.mean(axis=1, keepdims=True)


def _moment(x: Windows, power: int) -> Windows:
    return ((x - _mean(x)) ** power).sum(axis=1)


def _std(x: Windows) -> Windows:
    return np.sqrt(_moment(x, 2) / (x.shape[1] - 1))


def _zscore(x: Windows) -> Windows:
    return (x[:, -1] - _mean(x)[:, 0]) / _std(x)


def _skew(x: Windows) -> Windows:
    n = x.shape[1]
    return np.sqrt(np.longdouble(n) * (n - 1)) / (n - 2) * _moment(x, 3) / n / (_moment(x, 2) / n) ** 1.5


def _kurt(x: Windows) -> Windows:
    n = np.longdouble(x.shape[1])
    spread = n * (n + 1) * (n - 1) / ((n - 2) * (n - 3)) * _moment(x, 4) / _moment(x, 2) ** 2
    return spread - 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))


def _corr(x: Windows, y: Windows) -> Windows:
    together = ((x - _mean(x)) * (y - _mean(y))).sum(axis=1)
    return together / np.sqrt(_moment(x, 2) * _moment(y, 2))


@dataclass(frozen=True)
class Budget:
    """The largest error that a kernel may make, of its value when `relative`."""

    reference: Callable[..., Windows]
    error: float
    relative: bool = False


BUDGETS = {
    "rolling_mean": Budget(lambda x: _mean(x)[:, 0], 1e-15, relative=True),
    "rolling_std": Budget(_std, 1e-12, relative=True),
    "rolling_zscore": Budget(_zscore, 1e-9),
    "rolling_skew": Budget(_skew, 1e-9),
    "rolling_kurt": Budget(_kurt, 1e-9),
    "rolling_corr": Budget(_corr, 1e-9),
}


def no_peers(case: Case, data: Arrays) -> Mapping[str, Run]:
    return {}


def measured(rows: int, cases: Iterable[Case] = CASES, peers_of: PeersOf = no_peers) -> list[dict[str, Any]]:
    """Largest error of each contestant, for each of the cases that has a budget and each series."""
    found = []
    for series, (level, scale) in HARD_SERIES.items():
        data = hard(rows, level, scale)
        for case in (case for case in cases if case.kernel in BUDGETS):
            budget = BUDGETS[case.kernel]
            errors = _errors(case, data, {"ours": case.allocating(data), **peers_of(case, data)})
            within = errors["ours"] is not None and errors["ours"] <= budget.error
            entry = {"case": case.name, "series": series, "budget": budget.error, "errors": errors, "within": within}
            found.append(entry)
    return found


def _errors(case: Case, data: Arrays, contestants: Mapping[str, Run]) -> dict[str, float | None]:
    budget, window = BUDGETS[case.kernel], case.parameters[0]
    rows = len(data["price"])
    ends = np.unique(np.random.default_rng(3).integers(window - 1, rows, SAMPLED))
    spans = ends[:, None] + np.arange(1 - window, 1)
    truth = budget.reference(*(data[name][spans].astype(np.longdouble) for name in case.inputs))
    errors: dict[str, float | None] = {}
    for name, run in contestants.items():
        wrong = np.abs(np.asarray(run(), np.float64)[ends] - truth) / (np.abs(truth) if budget.relative else 1)
        errors[name] = float(wrong.max()) if np.isfinite(wrong).all() else None
    return errors


def show(found: list[dict[str, Any]]) -> str:
    """The table as text."""
    lines = [f"{'largest error':<18}{'series':<20}{'budget':>8}{'ours':>10}   peers"]
    for entry in found:
        said = {name: "NaN" if error is None else f"{error:.1e}" for name, error in entry["errors"].items()}
        ours = said.pop("ours")
        others = "  ".join(f"{name} {error}" for name, error in said.items())
        line = f"{entry['case']:<18}{entry['series']:<20}{entry['budget']:>8.0e}{ours:>10}   {others}"
        lines.append(line if entry["within"] else line + "   OVER BUDGET")
    return "\n".join(lines)
