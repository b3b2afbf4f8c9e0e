"""Ranks and correlations."""

import numpy as np

from kernels.arrays import Floats

_AT_ONCE = 65_536  # different values


def ranks(values: Floats) -> Floats:
    """Ranks from 1, equal values share their mean rank, (n,) float64; NaN ranks last."""
    count, order = len(values), np.argsort(values, kind="stable")
    ordered = values[order]
    begins = np.append(True, (ordered[1:] != ordered[:-1]) & ~(np.isnan(ordered[1:]) & np.isnan(ordered[:-1])))
    del values, ordered  # of millions, this and the blocks below halve the memory
    first = np.append(np.flatnonzero(begins[:count]), count)
    found = np.empty(count)
    for begin in range(0, len(first) - 1, _AT_ONCE):
        edges = first[begin : begin + _AT_ONCE + 1]
        found[order[edges[0] : edges[-1]]] = np.repeat((edges[:-1] + edges[1:] + 1) / 2.0, np.diff(edges))
    return found


def correlations(left: Floats, right: Floats) -> Floats:
    """Pearson's correlation of each column of `left` with each of `right`, (left columns, right columns) float64.

    Args:
        left, right: (rows, columns), all finite.

    Returns:
        0.0 where a column does not vary.
    """
    unit_left, unit_right = _unit_columns(left), _unit_columns(right)
    return np.asarray(unit_left.T @ unit_right)


def correlation(products: Floats, left: Floats, right: Floats) -> Floats:
    """Pearson's from central moments: the mean product, and both variances; NaN where one does not vary."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where((left > 0.0) & (right > 0.0), products / np.sqrt(left * right), np.nan))


def _unit_columns(columns: Floats) -> Floats:
    centred = columns - columns.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    # A column that is constant but for rounding has no direction.
    flat = length <= 1e-12 * np.abs(columns).max(axis=0, initial=0.0) * np.sqrt(len(columns))
    return np.asarray(centred / np.where(flat, np.inf, length))
