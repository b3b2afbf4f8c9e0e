"""A scorecard as text: a table of all figures, and a verdict on each baseline."""

from stockbot.scorecard import Scorecard
from stockbot.statistics.bootstrap import CONFIDENCE, DRAWS, Figure


def table(card: Scorecard) -> list[str]:
    """A head, then a line for each figure, each predictor in a column with its interval."""
    rows = [["", *card.figures]]
    names = next(iter(card.figures.values()))
    rows += [[name.replace("_", " "), *(_figure(said[name]) for said in card.figures.values())] for name in names]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [
        f"{card.windows:,} windows at {card.instants:,} instants; {CONFIDENCE:.0%} intervals of {DRAWS:,} draws in "
        f"blocks of {card.block:.1f} instants; trials {card.trials:,}",
        *lines,
        *_reliability(card),
    ]


def verdicts(card: Scorecard) -> list[tuple[bool, str]]:
    """For each baseline, whether the model beats it beyond chance, and what is said of that."""
    unbeaten = card.unbeaten
    return [
        (
            name not in unbeaten,
            f"the model {'does NOT beat' if name in unbeaten else 'beats'} {name}: loss difference {_figure(figure)}"
            + (", which chance explains" if name in unbeaten and (figure.value or 0.0) < 0.0 else ""),
        )
        for name, figure in card.ahead.items()
    ]


def _figure(figure: Figure) -> str:
    if figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.4g}"
    return f"{figure.value:.4g} [{figure.low:.4g}, {figure.high:.4g}]"


def _reliability(card: Scorecard) -> list[str]:
    return [
        f"said {one.low:.1f} to {one.high:.1f}: {one.predicted:.3f}, came {one.observed:.3f} in {one.count:,} windows"
        for one in card.reliability
    ]
