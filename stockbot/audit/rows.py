"""Which rows the windows of each part hold, what they are to foresee, and what scaled them.

Windows are looked at a block at a time, so that those of rows which do not fit into memory are proven as well.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipelines.batches import Piece
from pipelines.columns import blocks_of
from pipelines.errors import DataError
from pipelines.splits import auto_max_gap, iso
from pipelines.stored_panel import StoredPanel
from pipelines.window_runs import WindowRuns
from stockbot.audit.report import Check
from stockbot.training_set import TrainingSet, max_gap, spread

PARTS = ("train", "validation", "test")
LABEL_TOLERANCE = 1e-12  # of a log return: what another order of the same operations may change
TARGET_TOLERANCE = 1e-6  # relative, of float32 targets
BLOCK_TOLERANCE = 1e-9  # of a scale: what a fit block by block may change

Rows = NDArray[np.int64]


def runs_of(data: TrainingSet) -> dict[str, WindowRuns]:
    """The windows of each part, from what training is given."""
    return {part: data.windows(getattr(data.split, part)).runs for part in PARTS}


def stays_inside(data: TrainingSet) -> bool:
    """Whether every window, its label included, lies among the rows."""
    return _all_inside(data, vars(data.split).values()) and _all_inside(data, runs_of(data).values())


def windows(data: TrainingSet) -> Check:
    """No window, its label included, spans two symbols, two sessions, a gap or a row without a value; each once."""
    panel, span = data.panel, _span(data)
    if not stays_inside(data):
        problem = f"a window of {span} rows, its label included, leaves the {len(panel):,} rows"
        return Check.of("windows", "the first and the last", [problem])
    parts = runs_of(data)
    first: dict[str, int] = {}
    counts: Counter[str] = Counter()
    for runs in parts.values():
        for starts in _blocks(runs, len(panel)):
            for what, bad in _crossing(data, starts):
                first.setdefault(what, int(bad[0]))
                counts[what] += len(bad)
    problems = [
        f"a window of {panel.row_name(row)} spans {what}" + (f" ({counts[what]:,} do)" if counts[what] > 1 else "")
        for what, row in first.items()
    ]
    problems += _other_gap(data)
    every = sum(map(len, parts.values()))
    again = every - _distinct(list(parts.values()))
    if again:
        problems.append(f"{again:,} windows are in a part twice, or in two parts")
    seen = f"{every:,} windows of {span} rows, labels included" + (f"; {data.left_out}" if data.left_out else "")
    return Check.of("windows", seen, problems)


def labels(data: TrainingSet) -> Check:
    """What each window is to foresee is the move from its last row over HORIZON rows, and nothing else."""
    horizon = data.config.labels.horizon
    problems = []
    for part in PARTS:
        given = data.windows(getattr(data.split, part))
        if given.lookback != data.config.windows.lookback:
            problems.append(f"{part}: windows of {given.lookback} rows, expected {data.config.windows.lookback}")
        said, wrong = "", 0
        for starts, piece, own in _pieces(data, part):
            problem, more = _other_targets(data, starts + given.lookback - 1, piece.targets[own + given.lookback - 1])
            said, wrong = said or problem, wrong + more
        if wrong:
            problems.append(f"{part}: {said} ({wrong:,} of {len(given.runs):,} differ)")
    if data.config.labels.objective == "regression" and not problems:
        scale = spread(data.labels, data.split.train.moved(data.config.windows.lookback - 1)) or 1.0
        if data.target_scale != scale:
            problems.append(f"targets are in units of {data.target_scale:.7g}, training labels spread by {scale:.7g}")
    return Check.of("labels", f"horizon {horizon}, {data.config.labels.objective}", problems)


def purge(data: TrainingSet) -> Check:
    """No label of a part reaches into the rows of a later one, in any symbol; none is known when that begins."""
    panel, span, parts = data.panel, _span(data), runs_of(data)
    problems: list[str] = []
    for before, after in combinations(PARTS, 2):
        problems += _overlaps(data, parts, (before, after), span)
    cuts = {"validation": data.boundaries.validation_ns, "test": data.boundaries.test_ns}
    for part, cut in cuts.items():
        begins = np.sort(parts[part].first)
        early = begins[panel.known[begins] < cut]
        if len(early):
            problems.append(f"{part}: the window at {panel.row_name(int(early[0]))} begins before {iso(cut)}, its cut")
    spans = "  ".join(f"{part} {len(runs):,}" for part, runs in parts.items())
    return Check.of("purge", f"{spans}; embargo {data.config.split.embargo}", problems)


def scaler(data: TrainingSet) -> Check:
    """The scaler is what a fit on the rows of training windows gives, and what scaled all rows that train."""
    panel, given = data.panel, data.windows(data.split.train)
    rows = given.runs.rows(given.lookback)
    seen = f"{data.config.scaler}, {len(rows):,} training rows of {len(panel):,}"
    late = (held[panel.known[held] >= data.boundaries.validation_ns] for held in _blocks(rows, len(panel)))
    problems = [
        f"{panel.row_name(int(row))} trains, and validation begins at {iso(data.boundaries.validation_ns)}"
        for row in next(filter(len, late), ())[:1]
    ]
    problems += _fitted_otherwise(data, rows)
    problems += _scaled_otherwise(data)
    return Check.of("scaler", seen, problems)


def _all_inside(data: TrainingSet, parts: Iterable[WindowRuns]) -> bool:
    last = len(data.panel) - _span(data)
    return all(((runs.first >= 0) & (runs.ends - 1 <= last)).all() for runs in parts)


def _span(data: TrainingSet) -> int:
    return data.config.windows.lookback + data.config.labels.horizon


def _blocks(runs: WindowRuns, rows: int) -> Iterator[Rows]:
    """First rows of windows, those of a block of rows at a time."""
    for part in blocks_of(rows):
        if len(near := runs.clipped(part.start, part.stop)):
            yield near.starts()


def _pieces(data: TrainingSet, part: str) -> Iterator[tuple[Rows, Piece, Rows]]:
    """First rows of windows among all rows, the piece that training gets them from, and their first rows in that."""
    given = data.windows(getattr(data.split, part))
    done = 0
    for piece in given.pieces(None, 0, 0):
        yield given.runs.starts(done, done + len(piece.runs)), piece, piece.starts(0, len(piece.runs))
        done += len(piece.runs)


def _distinct(parts: Sequence[WindowRuns]) -> int:
    """How many windows there are, each counted once."""
    first, ends = (np.concatenate([getattr(runs, name) for runs in parts]) for name in ("first", "ends"))
    order = np.argsort(first, kind="stable")
    reached = np.maximum.accumulate(ends[order])
    return int(np.maximum(reached - np.maximum(first[order], np.append(0, reached[:-1])), 0).sum())


def _other_gap(data: TrainingSet) -> Iterator[str]:
    stated = max_gap(data.config)
    allowed = auto_max_gap(data.panel.timestamp, data.panel.offsets) if stated is None else stated
    if data.max_gap_ns != allowed:
        yield f"pauses of {data.max_gap_ns / 1e9:g} s may lie in windows, windows.max_gap says {allowed / 1e9:g} s"


def _other_targets(data: TrainingSet, decision: Rows, targets: NDArray[np.float32]) -> tuple[str, int]:
    """The first target that is not what the prices say, in words, and how many are not."""
    horizon, close = data.config.labels.horizon, data.panel.close
    moves = np.log(close[decision + horizon] / close[decision])
    expected = moves if data.config.labels.objective == "regression" else (moves > 0.0).astype(np.float64)
    received = targets[:, 0].astype(np.float64) * data.target_scale
    allowed = LABEL_TOLERANCE + TARGET_TOLERANCE * np.abs(expected)
    wrong = np.flatnonzero(~(np.abs(received - expected) <= allowed))
    if not len(wrong):
        return "", 0
    first = int(wrong[0])
    return (
        f"the target of the window that ends with {data.panel.row_name(int(decision[first]))} is "
        f"{received[first]:.7g}, but the {horizon} rows after it give {expected[first]:.7g}"
    ), len(wrong)


def _crossing(data: TrainingSet, starts: Rows) -> Iterator[tuple[str, Rows]]:
    """What windows span that none may, and the first rows of those that do."""
    begin, end = int(starts.min()), int(starts.max()) + _span(data)
    for what, breaks in _breaks(data, begin, end).items():
        before = np.concatenate([[0], np.cumsum(breaks)])
        bad = starts[before[starts - begin + _span(data)] > before[starts - begin + 1]]
        if len(bad):
            yield what, bad


def _breaks(data: TrainingSet, begin: int, end: int) -> dict[str, NDArray[np.bool_]]:
    """For each reason, whether a window that holds a row and the one before it is broken there, of a block of rows."""
    panel, rows = data.panel, slice(begin, end)
    close, stamps, session = panel.close[rows], panel.timestamp[rows], panel.session_of(begin, end)
    missing = ~(np.isfinite(panel.between(begin, end)).all(axis=1) & np.isfinite(close) & (close > 0.0))
    symbol = np.searchsorted(panel.offsets, np.arange(begin, end), side="right")
    step, other = np.diff(stamps, prepend=stamps[:1]), np.diff(symbol, prepend=symbol[:1]) != 0
    return {
        "two symbols": other,
        "two sessions": np.diff(session, prepend=session[:1]) != 0,
        f"a gap of more than {data.max_gap_ns / 1e9:g} s": step > data.max_gap_ns,
        "a step back in time": (step < 0) & ~other,
        "a row without a value": missing | np.append(False, missing[:-1]),
    }


def _overlaps(data: TrainingSet, parts: dict[str, WindowRuns], pair: tuple[str, str], span: int) -> Iterator[str]:
    """Where labels of the earlier part end later than EMBARGO rows before the first window of the later one."""
    panel, embargo, (before, after) = data.panel, data.config.split.embargo, pair
    # Of runs: the last label, the first window.
    ends, begins = np.sort(parts[before].ends) + span - 2, np.sort(parts[after].first)
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


def _fitted_otherwise(data: TrainingSet, rows: WindowRuns) -> Iterator[str]:
    panel, used = data.panel, data.scaler
    try:
        fitted = panel.fitted_scaler(data.config.scaler, rows)
    except DataError as error:
        yield str(error)
        return
    if used.samples != fitted.samples:
        yield f"it was fitted on {used.samples:,} rows, expected the {fitted.samples:,} of training windows"
    allowed = BLOCK_TOLERANCE * fitted.scale if isinstance(panel, StoredPanel) else np.zeros(len(fitted.scale))
    for name, ours, theirs in (("center", used.center, fitted.center), ("scale", used.scale, fitted.scale)):
        for column in np.flatnonzero(~(np.abs(ours - theirs) <= allowed))[:1]:
            yield (
                f"{name} of {panel.features[column]} is {ours[column]:.7g}, but the training rows give "
                f"{theirs[column]:.7g}: other rows were in the fit"
            )


def _scaled_otherwise(data: TrainingSet) -> Iterator[str]:
    panel = data.panel
    for starts, piece, own in _pieces(data, "train"):
        offset = int(starts[0] - own[0])
        for part in blocks_of(len(piece.matrix)):
            given = piece.matrix[part]
            expected = data.scaler.transform(panel.between(offset + part.start, offset + part.stop))
            wrong = np.argwhere(~((given == expected) | (np.isnan(given) & np.isnan(expected))))
            if len(wrong):
                row, column = (int(index) for index in wrong[0])
                yield (
                    f"{panel.features[column]} of {panel.row_name(offset + part.start + row)} reaches the model as "
                    f"{given[row, column]:.7g}, but the scaler gives {expected[row, column]:.7g}"
                )
                return
