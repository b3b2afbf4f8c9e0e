"""Which rows the windows of each part hold, what they are to foresee, and what scaled them."""

from collections.abc import Iterable, Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import DataError
from pipelines.panel import Panel
from pipelines.scaling import BLOCK_ROWS, Scaler
from pipelines.splits import auto_max_gap, iso
from stockbot.audit.report import Check
from stockbot.training_set import TrainingSet, max_gap

PARTS = ("train", "validation", "test")
LABEL_TOLERANCE = 1e-12  # of a log return: what another order of the same operations may change
TARGET_TOLERANCE = 1e-6  # relative, of float32 targets

Rows = NDArray[np.int64]


def starts_of(data: TrainingSet) -> dict[str, Rows]:
    """First rows of the windows of each part, from what training is given."""
    return {part: data.windows(getattr(data.split, part)).runs.starts() for part in PARTS}


def stays_inside(data: TrainingSet) -> bool:
    """Whether every window, its label included, lies among the rows."""
    split = [getattr(data.split, part) for part in PARTS]
    return _all_inside(data, split) and _all_inside(data, starts_of(data).values())


def windows(data: TrainingSet) -> Check:
    """No window, its label included, spans two symbols, two sessions, a gap or a row without a value; each once."""
    panel, span = data.panel, _span(data)
    if not stays_inside(data):
        problem = f"a window of {span} rows, its label included, leaves the {len(panel.matrix):,} rows"
        return Check.of("windows", "the first and the last", [problem])
    every = np.concatenate(list(starts_of(data).values()))
    problems = [
        f"a window of {panel.row_name(int(bad[0]))} spans {what}" + (f" ({len(bad):,} do)" if len(bad) > 1 else "")
        for what, breaks in _breaks(panel, data.max_gap_ns).items()
        if len(bad := every[_crossing(breaks, every, span)])
    ]
    problems += _other_gap(data)
    again = len(every) - len(np.unique(every))
    if again:
        problems.append(f"{again:,} windows are in a part twice, or in two parts")
    return Check.of("windows", f"{len(every):,} windows of {span} rows, labels included", problems)


def labels(data: TrainingSet) -> Check:
    """What each window is to foresee is the move from its last row over HORIZON rows, and nothing else."""
    horizon, panel = data.config.labels.horizon, data.panel
    problems = []
    for part in PARTS:
        given = data.windows(getattr(data.split, part))
        decision = given.runs.starts() + given.lookback - 1
        moves = _log_return(panel.close, decision, horizon)
        expected = moves if data.config.labels.objective == "regression" else (moves > 0.0).astype(np.float64)
        received = given.targets[decision, 0].astype(np.float64) * data.target_scale
        allowed = LABEL_TOLERANCE + TARGET_TOLERANCE * np.abs(expected)
        wrong = np.flatnonzero(~(np.abs(received - expected) <= allowed))
        if given.lookback != data.config.windows.lookback:
            problems.append(f"{part}: windows of {given.lookback} rows, expected {data.config.windows.lookback}")
        if len(wrong):
            first = int(wrong[0])
            problems.append(
                f"{part}: the target of the window that ends with {panel.row_name(int(decision[first]))} is "
                f"{received[first]:.7g}, but the {horizon} rows after it give {expected[first]:.7g} "
                f"({len(wrong):,} of {len(decision):,} differ)"
            )
    if data.config.labels.objective == "regression" and not problems:
        scale = float(np.std(data.labels_of(data.split.train))) or 1.0
        if data.target_scale != scale:
            problems.append(f"targets are in units of {data.target_scale:.7g}, training labels spread by {scale:.7g}")
    return Check.of("labels", f"horizon {horizon}, {data.config.labels.objective}", problems)


def purge(data: TrainingSet) -> Check:
    """No label of a part reaches into the rows of a later one, in any symbol; none is known when that begins."""
    panel, span, starts = data.panel, _span(data), starts_of(data)
    problems: list[str] = []
    for before, after in combinations(PARTS, 2):
        problems += _overlaps(panel, starts, (before, after), span, data.config.split.embargo)
    cuts = {"validation": data.boundaries.validation_ns, "test": data.boundaries.test_ns}
    for part, cut in cuts.items():
        early = starts[part][panel.known[starts[part]] < cut]
        if len(early):
            problems.append(f"{part}: the window at {panel.row_name(int(early[0]))} begins before {iso(cut)}, its cut")
    spans = "  ".join(f"{part} {len(rows):,}" for part, rows in starts.items())
    return Check.of("purge", f"{spans}; embargo {data.config.split.embargo}", problems)


def scaler(data: TrainingSet) -> Check:
    """The scaler is what a fit on the rows of training windows gives, to the bit, and what scaled all rows."""
    panel, given = data.panel, data.windows(data.split.train)
    rows = _held(given.runs.starts(), given.lookback, len(panel.matrix))
    seen = f"{data.config.scaler}, {len(rows):,} training rows of {len(panel.matrix):,}"
    late = rows[panel.known[rows] >= data.boundaries.validation_ns]
    problems = [
        f"{panel.row_name(int(row))} trains, and validation begins at {iso(data.boundaries.validation_ns)}"
        for row in late[:1]
    ]
    problems += _fitted_otherwise(data, rows)
    problems += _scaled_otherwise(data, given.matrix)
    return Check.of("scaler", seen, problems)


def _all_inside(data: TrainingSet, parts: Iterable[Rows]) -> bool:
    last = len(data.panel.matrix) - _span(data)
    return all(((starts >= 0) & (starts <= last)).all() for starts in parts)


def _span(data: TrainingSet) -> int:
    return data.config.windows.lookback + data.config.labels.horizon


def _other_gap(data: TrainingSet) -> Iterator[str]:
    stated = max_gap(data.config)
    allowed = auto_max_gap(data.panel.timestamp, data.panel.offsets) if stated is None else stated
    if data.max_gap_ns != allowed:
        yield f"pauses of {data.max_gap_ns / 1e9:g} s may lie in windows, windows.max_gap says {allowed / 1e9:g} s"


def _held(starts: Rows, lookback: int, rows: int) -> Rows:
    """Rows that a window holds: those less than LOOKBACK after the last start before them."""
    last = np.full(rows, -lookback)
    last[starts] = starts
    return np.flatnonzero(np.arange(rows) - np.maximum.accumulate(last) < lookback)


def _log_return(close: NDArray[np.float64], rows: Rows, horizon: int) -> NDArray[np.float64]:
    return np.asarray(np.log(close[rows + horizon] / close[rows]))


def _breaks(panel: Panel, max_gap_ns: int) -> dict[str, NDArray[np.bool_]]:
    """For each reason, whether a window that holds a row and the one before it is broken there, (rows,) bool."""
    missing = ~panel.finite
    symbol = np.repeat(np.arange(len(panel.symbols)), np.diff(panel.offsets))
    step = np.diff(panel.timestamp, prepend=panel.timestamp[:1])
    return {
        "two symbols": np.diff(symbol, prepend=0) != 0,
        "two sessions": np.diff(panel.session, prepend=panel.session[:1]) != 0,
        f"a gap of more than {max_gap_ns / 1e9:g} s": step > max_gap_ns,
        "a step back in time": (step < 0) & (np.diff(symbol, prepend=0) == 0),
        "a row without a value": missing | np.roll(missing, 1),
    }


def _crossing(breaks: NDArray[np.bool_], starts: Rows, span: int) -> NDArray[np.bool_]:
    """Which windows hold a break after their first row, (windows,) bool."""
    before = np.concatenate([[0], np.cumsum(breaks)])
    return np.asarray(before[starts + span] > before[starts + 1])


def _overlaps(panel: Panel, starts: dict[str, Rows], pair: tuple[str, str], span: int, embargo: int) -> Iterator[str]:
    """Where labels of the earlier part end later than EMBARGO rows before the first window of the later one."""
    before, after = pair
    ends, begins = starts[before] + span - 1, starts[after]
    for symbol, name in enumerate(panel.symbols):
        first, stop = panel.offsets[symbol : symbol + 2]
        ours = ends[(ends >= first) & (ends < stop)]
        theirs = begins[(begins >= first) & (begins < stop)]
        if len(ours) and len(theirs) and ours.max() + embargo >= theirs.min():
            less = f" less the embargo of {embargo}" if embargo else ""
            yield (
                f"{name}: a label of {before} ends in row {ours.max() - first}, {iso(panel.known[ours.max()])}, "
                f"expected before row {theirs.min() - first - embargo}, where {after} begins{less}"
            )
    if len(ends) and len(begins) and panel.known[ends].max() >= panel.known[begins].min():
        yield (
            f"a label of {before} is known at {iso(panel.known[ends].max())}, expected before {after} begins at "
            f"{iso(panel.known[begins].min())}"
        )


def _fitted_otherwise(data: TrainingSet, rows: Rows) -> Iterator[str]:
    panel, used = data.panel, data.scaler
    try:
        fitted = Scaler.fit(
            panel.matrix[rows],
            panel.features,
            kind=data.config.scaler,
            row_name=lambda row: panel.row_name(int(rows[row])),
        )
    except DataError as error:
        yield str(error)
        return
    if used.samples != fitted.samples:
        yield f"it was fitted on {used.samples:,} rows, expected the {fitted.samples:,} of training windows"
    for name, ours, theirs in (("center", used.center, fitted.center), ("scale", used.scale, fitted.scale)):
        for column in np.flatnonzero(ours != theirs)[:1]:
            yield (
                f"{name} of {panel.features[column]} is {ours[column]:.7g}, but the training rows give "
                f"{theirs[column]:.7g}: other rows were in the fit"
            )


def _scaled_otherwise(data: TrainingSet, matrix: NDArray[np.float32]) -> Iterator[str]:
    for begin in range(0, len(matrix), BLOCK_ROWS):
        block = slice(begin, begin + BLOCK_ROWS)
        expected = data.scaler.transform(data.panel.matrix[block])
        wrong = np.argwhere(~((matrix[block] == expected) | (np.isnan(matrix[block]) & np.isnan(expected))))
        if len(wrong):
            row, column = (int(index) for index in wrong[0])
            yield (
                f"{data.panel.features[column]} of {data.panel.row_name(begin + row)} reaches the model as "
                f"{matrix[begin + row, column]:.7g}, but the scaler gives {expected[row, column]:.7g}"
            )
            return
