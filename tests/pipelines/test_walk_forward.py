"""Folds of a purged walk: nothing that trains knows a row that tests, and every window tests once."""

import re
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from pipelines.errors import DataError
from pipelines.scan import Scan, walk_runs
from pipelines.splits import Boundaries, Scheme, Split, walk_forward
from pipelines.window_runs import Parts, WindowRuns
from tests.pipelines.test_splits import Rows

SCHEMES = get_args(Scheme)


def folds_of(rows: Rows, folds: int, scheme: Scheme, embargo: int = 0) -> list[tuple[Split, Boundaries]]:
    return walk_forward(
        rows.starts(),
        rows.time,
        rows.offsets,
        span=rows.span,
        folds=folds,
        scheme=scheme,
        validation=0.3,
        embargo=embargo,
    )


def drawn_folds(rows: Rows, folds: int, scheme: Scheme, embargo: int) -> list[tuple[Split, Boundaries]]:
    """Of a drawn market; another is drawn where gaps leave a part without windows."""
    try:
        return folds_of(rows, folds, scheme, embargo)
    except DataError:
        reject()


@st.composite
def markets(draw: st.DrawFn) -> Rows:
    """One to three symbols over overlapping times, long enough for a few folds, with equal stamps, gaps and holes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    lengths = draw(st.lists(st.integers(150, 260), min_size=1, max_size=3))
    times = [
        np.cumsum([rng.integers(0, 60), *rng.choice([0, 1, 2, 40], rows - 1, p=[0.1, 0.7, 0.17, 0.03])])
        for rows in lengths
    ]
    finite = rng.random(sum(lengths)) > 0.01
    return Rows(
        np.concatenate(times), np.cumsum([0, *lengths]), finite, draw(st.integers(1, 3)), draw(st.integers(1, 3))
    )


@given(markets(), st.integers(1, 4), st.sampled_from(SCHEMES), st.integers(0, 3))
def test_windows_that_are_counted_are_parted_as_those_that_are_listed(
    rows: Rows, folds: int, scheme: Scheme, embargo: int
) -> None:
    windows = WindowRuns.of_starts(rows.starts())
    found = Scan(windows, rows.time, rows.time, rows.time, rows.offsets, 0)

    def counted() -> list[tuple[Parts, Boundaries]]:
        return walk_runs(found, windows, span=rows.span, folds=folds, scheme=scheme, validation=0.3, embargo=embargo)

    try:
        expected = folds_of(rows, folds, scheme, embargo)
    except DataError as error:  # gaps leave a part empty
        with pytest.raises(DataError, match=f"^{re.escape(str(error))}$"):
            counted()
        return
    received = counted()
    assert [boundaries for _, boundaries in received] == [boundaries for _, boundaries in expected]
    for (parts, _), (split, _) in zip(received, expected, strict=True):
        for name, runs in vars(parts).items():
            np.testing.assert_array_equal(runs.starts(), getattr(split, name))


@given(markets(), st.integers(1, 3), st.sampled_from(SCHEMES), st.integers(0, 3))
def test_no_label_span_reaches_into_what_is_not_to_be_known(
    rows: Rows, folds: int, scheme: Scheme, embargo: int
) -> None:
    for split, boundaries in drawn_folds(rows, folds, scheme, embargo):
        ends = {part: getattr(split, part) + rows.span - 1 for part in ("train", "validation")}
        assert (rows.time[ends["train"]] < boundaries.validation_ns).all()
        assert (rows.time[split.validation] >= boundaries.validation_ns).all()
        assert (rows.time[ends["validation"]] < boundaries.test_ns).all()
        assert (rows.time[ends["train"]] < boundaries.test_ns).all()
        assert (rows.time[split.test] >= boundaries.test_ns).all()


@given(markets(), st.integers(1, 3), st.sampled_from(SCHEMES), st.integers(0, 3))
def test_the_embargo_lies_between_the_parts_of_each_symbol(
    rows: Rows, folds: int, scheme: Scheme, embargo: int
) -> None:
    for split, _ in drawn_folds(rows, folds, scheme, embargo):
        for begin, end in zip(rows.offsets[:-1], rows.offsets[1:], strict=True):
            mine = {part: getattr(split, part) for part in ("train", "validation", "test")}
            mine = {part: starts[(starts >= begin) & (starts < end)] for part, starts in mine.items()}
            for before, after in (("train", "validation"), ("validation", "test"), ("train", "test")):
                if len(mine[before]) and len(mine[after]):
                    assert mine[after].min() - (mine[before].max() + rows.span) >= embargo


@given(markets(), st.integers(1, 3), st.sampled_from(SCHEMES), st.integers(0, 3))
def test_every_window_after_the_first_cut_tests_once(rows: Rows, folds: int, scheme: Scheme, embargo: int) -> None:
    found = drawn_folds(rows, folds, scheme, embargo)
    starts = rows.starts()
    tested = np.concatenate([split.test for split, _ in found])
    first = found[0][1].test_ns
    assert sorted(tested) == starts[rows.time[starts] >= first].tolist()
    cuts = [boundaries.test_ns for _, boundaries in found]
    assert cuts == sorted(set(cuts))


def test_sliding_trains_on_as_much_each_time_and_expanding_on_all_before() -> None:
    rows = Rows(np.arange(1000), np.array([0, 1000]), np.ones(1000, bool), 3, 2)
    grown, slid = (folds_of(rows, 4, scheme) for scheme in SCHEMES)
    assert [len(split.test) for split, _ in slid] == [199, 199, 199, 200]
    assert [int(split.train[0]) for split, _ in grown] == [0, 0, 0, 0]
    assert [int(split.train[0]) for split, _ in slid] == [0, 199, 398, 597]
    assert len({len(split.train) for split, _ in slid}) == 1
    lengths = [len(split.train) for split, _ in grown]
    assert lengths == sorted(set(lengths))
    for split, _ in grown:
        assert len(split.validation) == pytest.approx(0.3 * (len(split.train) + len(split.validation)), abs=6)
        assert split.train.max() + rows.span <= split.validation.min()


@pytest.mark.parametrize(
    ("folds", "embargo", "message"),
    [
        (40, 0, "split: 26 windows cannot be cut into 40 folds"),
        (2, 9, r"split: no training window .* 14 unbroken rows"),
    ],
)
def test_too_many_folds_are_named(folds: int, embargo: int, message: str) -> None:
    rows = Rows(np.arange(30), np.array([0, 30]), np.ones(30, bool), 4, 1)
    with pytest.raises(DataError, match=message) as caught:
        folds_of(rows, folds, "expanding", embargo)
    assert "\n" not in str(caught.value)
