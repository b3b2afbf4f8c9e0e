"""Whether a feature is what it is to foresee, or a price that nobody knew, in another unit or order."""

from collections.abc import Iterator

import numpy as np

from kernels.arrays import Floats, Integers
from pipelines.window_runs import WindowRuns
from stockbot.audit.report import Check
from stockbot.statistics.ranking import correlations, ranks
from stockbot.training_set import TrainingSet

# A copy in float32 correlates by 1 - 1e-7, one with noise of a twentieth of its spread by 0.9988. Of `ticks60` the most
# is 0.60 on 26 real sources, and 0.96 on the smooth synthetic waves of our tests.
COPY = 0.995
LEAST = 30  # windows: chance alone gives no correlation like that from here on
SAMPLED = 50_000
AHEAD = 8  # distances between 1 and HORIZON that are looked at, all where there are no more


def target_copy(data: TrainingSet) -> Check:
    """No feature of the row that decides correlates with a move of the rows ahead as a copy of it does.

    Moves ahead are log returns over 1 to HORIZON rows, by their values and by their ranks (whatever grows with them).
    Prices ahead are compared by their changes from row to row: prices themselves hardly differ from row to row.
    """
    starts = _sampled(data.split.train)
    decision = starts + data.config.windows.lookback - 1
    if len(decision) < LEAST:
        return Check.of("target_copy", f"{len(decision)} training windows, too few to tell", ())
    nearest = list(_nearest(data, decision))
    problems = [f"{name} is {ahead} (correlation {found:.4f})" for name, ahead, found in nearest if abs(found) >= COPY]
    feature, ahead, most = max(nearest, key=lambda one: abs(one[2]))
    seen = f"{len(data.panel.features)} features at {len(decision):,} training windows"
    alike = f"; most alike: {feature} and {ahead}, {most:.2f}"
    return Check.of("target_copy", seen + alike, dict.fromkeys(problems))


def _nearest(data: TrainingSet, decision: np.ndarray) -> Iterator[tuple[str, str, float]]:
    """For each feature what ahead of it it is most like, and the correlation: by value, by rank, and by its changes."""
    panel, horizon = data.panel, data.config.labels.horizon
    steps = np.unique(np.geomspace(1, horizon, AHEAD).round().astype(np.int64))
    values = panel.at(decision).astype(np.float64)
    ahead = np.column_stack([panel.close[decision + step] for step in steps])
    moves = np.column_stack([data.labels[decision], np.log(ahead / panel.close[decision][:, None])])
    names = ["the target", *(f"the log return over {step} rows ahead" for step in steps)]
    yield from _correlated(panel.features, values, names, moves)
    yield from _correlated(panel.features, _ranked(values), names, _ranked(moves))
    before = np.column_stack([panel.close[decision + step - 1] for step in steps])
    changes = values - panel.at(decision - 1)
    yield from _correlated(panel.features, changes, [f"the price {step} rows ahead" for step in steps], ahead - before)


def _correlated(
    features: tuple[str, ...], values: Floats, names: list[str], ahead: Floats
) -> Iterator[tuple[str, str, float]]:
    found = correlations(values, ahead)
    for column, feature in enumerate(features):
        nearest = int(np.argmax(np.abs(found[column])))
        yield feature, names[nearest], float(found[column, nearest])


def _ranked(columns: Floats) -> Floats:
    return np.column_stack([ranks(column) for column in columns.T])


def _sampled(runs: WindowRuns) -> Integers:
    """First rows of evenly spread windows, of those that follow one a row before."""
    followers = WindowRuns.of_counts(runs.first + 1, runs.counts - 1)
    if len(followers) <= SAMPLED:
        return followers.starts()
    return followers.at(np.linspace(0, len(followers) - 1, SAMPLED).astype(np.int64))
