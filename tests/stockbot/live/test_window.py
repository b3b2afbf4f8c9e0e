"""The live window says where whole windows end exactly as the batch rule does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.splits import segments, window_starts
from stockbot.live.window import Window

LOOKBACK, MAX_GAP = 4, 300


@given(
    st.lists(
        st.tuples(
            st.sampled_from([60, 300, 301]), st.sampled_from([0.5, np.nan, np.inf, 1.5]), st.sampled_from([0, 0, 0, 9])
        ),
        max_size=60,
    )
)
def test_gaps_sessions_and_rows_that_are_not_finite_silence_the_same_rows_as_in_the_batch(
    steps: list[tuple[int, float, int]],
) -> None:
    labels = np.cumsum([step for step, _, _ in steps], dtype=np.int64)
    session = np.cumsum([more for _, _, more in steps], dtype=np.int64)
    matrix = np.array([[value, 1.0] for _, value, _ in steps], np.float32).reshape(-1, 2)
    segment = segments(labels, np.array([0, len(steps)]), np.isfinite(matrix).all(axis=1), MAX_GAP, session)
    window = Window(LOOKBACK, 2, max_gap_ns=MAX_GAP, warmup=0)
    whole = [row for row, label in enumerate(labels) if window.push(int(label), matrix[row], int(session[row])) is None]
    assert whole == (window_starts(segment, LOOKBACK, 0) + LOOKBACK - 1).tolist()


def test_a_row_that_is_not_finite_is_named_until_the_window_is_whole_again() -> None:
    window = Window(LOOKBACK, 1, max_gap_ns=MAX_GAP, warmup=2)
    values = [np.nan, np.nan, 1, 2, 3, 4, np.nan, 5, 6, 7, 8, 9]
    told = [window.push(60 * row, np.array([value], np.float32)) for row, value in enumerate(values)]
    assert told == ["warm_up"] * 5 + [None] + ["non_finite"] * 4 + [None] * 2
    np.testing.assert_array_equal(window.rows[0, :, 0], [6, 7, 8, 9])
