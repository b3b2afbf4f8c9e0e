"""What predictions are worth on some windows: every figure with its interval, beside those of the baselines."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernels.arrays import Floats
from pipelines.columns import Column
from pipelines.window_runs import WindowRuns
from stockbot.config import Config
from stockbot.statistics.bootstrap import CONFIDENCE, DRAWS, Figure, block_length, resampled_sums
from stockbot.statistics.calibration import BINS, Bin, calibration_error, line, reliability
from stockbot.statistics.ranking import correlation
from stockbot.statistics.sharpe import expected_best, probabilistic_sharpe, sharpe, skew_and_kurtosis
from stockbot.tally import Tally, columns_of
from stockbot.training_set import TrainingSet

MODEL = "model"

Sums = Mapping[str, Floats]


@dataclass(frozen=True)
class Scorecard:
    """Figures of the model and of each baseline on the same windows.

    Attributes:
        instants: bars of all symbols together, a period of the returns each.
        block: mean length of the blocks that were drawn, in instants. trials: runs, of which this is one.
        figures: of `model` and each baseline, by name.
        ahead: loss of the model less that of each baseline; below 0 where the model is better.
        reliability: bins of the model's probabilities; empty for a regression.
    """

    windows: int
    instants: int
    block: float
    trials: int
    figures: Mapping[str, Mapping[str, Figure]]
    ahead: Mapping[str, Figure]
    reliability: tuple[Bin, ...]

    @property
    def unbeaten(self) -> list[str]:
        """Baselines that the model does not beat beyond chance: the interval of the difference reaches 0."""
        return [name for name, figure in self.ahead.items() if figure.high is None or not figure.high < 0.0]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, None where something is not defined."""
        return {
            "windows": self.windows,
            "instants": self.instants,
            "block": self.block,
            "trials": self.trials,
            "draws": DRAWS,
            "confidence": CONFIDENCE,
            "figures": {who: {name: asdict(one) for name, one in said.items()} for who, said in self.figures.items()},
            "ahead": {name: asdict(figure) for name, figure in self.ahead.items()},
            "unbeaten": self.unbeaten,
            "reliability": [asdict(one) for one in self.reliability],
        }


def scorecard(
    data: TrainingSet, runs: WindowRuns, predictions: Mapping[str, Column], *, config: Config, trials: int
) -> Scorecard:
    """Score `model` and whatever else predicted the same windows.

    Args:
        runs: the windows, ascending, such as `TrainingSet.all_windows` gives.
        predictions: (windows,) float64 in natural units, all finite, of `model` and of each baseline.
        config: its `live` and `costs` say how a prediction becomes a position and what that costs.
        trials: runs that were made, this one included.
    """
    tally = Tally.of(data, runs)
    direction = data.config.labels.objective == "direction"
    columns = {who: columns_of(tally, said, config, direction) for who, said in predictions.items()}
    names = [(who, name) for who, held in columns.items() for name in held]
    grouped = np.column_stack([columns[who][name] for who, name in names])
    block = _block(tally, columns[MODEL], data.config.labels.horizon)
    sums = dict(zip(names, resampled_sums(grouped, block).T, strict=True))
    own = {who: {name: sums[who, name] for name in held} for who, held in columns.items()}
    model = own[MODEL]
    return Scorecard(
        windows=int(model["windows"][0]),
        instants=tally.instants,
        block=block * tally.group_size,
        trials=trials,
        figures={
            who: {name: Figure.of(values) for name, values in _figures(held, tally, trials, direction).items()}
            for who, held in own.items()
        },
        ahead={
            who: Figure.of((model["loss"] - held["loss"]) / held["windows"])
            for who, held in own.items()
            if who != MODEL
        },
        reliability=_reliability(predictions[MODEL][:], data.labels_of(runs.starts())) if direction else (),
    )


def _reliability(predictions: Floats, labels: Floats) -> tuple[Bin, ...]:
    known = np.isfinite(labels)
    return tuple(reliability(predictions[known], labels[known]))


def count_runs(artifacts: Path) -> int:
    """Trainings that were begun under these artifacts, failed ones included; at least 1."""
    return max(1, sum(path.is_dir() and not path.name.startswith(".") for path in (artifacts / "runs").glob("*")))


def _block(tally: Tally, columns: Mapping[str, Floats], horizon: int) -> float:
    """Mean block length in groups: what the model's losses, hits and returns ask for, at least a label's length."""
    longest = int(np.diff(tally.edges).max())
    least = horizon * tally.instants / longest / tally.group_size
    wanted = [block_length(columns[name]) for name in ("loss", "hits", "pnl")]
    return float(min(max(least, 1.0, *wanted), max(tally.groups / 3.0, 1.0)))


def _figures(sums: Sums, tally: Tally, trials: int, direction: bool) -> dict[str, Floats]:
    """Each figure of the rows and of each draw, (1 + draws,); NaN where it is not defined."""
    windows, instants = sums["windows"], sums["instants"]
    with np.errstate(invalid="ignore", divide="ignore"):
        figures = {
            "loss": sums["loss"] / windows,
            "mae": sums["error"] / windows,
            "directional_accuracy": sums["hits"] / sums["moved"],
            "information_coefficient": correlation(*_central(sums, "rank", "predicted")),
            **(_probability_figures if direction else _return_figures)(sums),
            "turnover": sums["turnover"] / instants,
            "pnl_before_costs": sums["pnl_before_costs"] / instants * tally.instants,
            "pnl": sums["pnl"] / instants * tally.instants,
        }
    return figures | _sharpe_figures(sums, tally, trials)


def _central(sums: Sums, name: str, count: str) -> tuple[Floats, Floats, Floats]:
    """Mean product and both variances; 0 where a variance is no more than rounding."""
    left, right, squares, other, products = (
        sums[f"{name}_{power}"] / sums[count] for power in ("l", "r", "ll", "rr", "lr")
    )
    variances = (square - mean**2 for square, mean in ((squares, left), (other, right)))
    first, second = (np.where(one > 1e-14 * of, one, 0.0) for one, of in zip(variances, (squares, other), strict=True))
    return products - left * right, first, second


def _return_figures(sums: Sums) -> dict[str, Floats]:
    products, variance, _ = _central(sums, "said", "windows")
    slope, intercept = line(products, variance, sums["said_l"] / sums["windows"], sums["said_r"] / sums["windows"])
    return {"calibration_slope": slope, "calibration_intercept": intercept}


def _probability_figures(sums: Sums) -> dict[str, Floats]:
    gaps = np.stack([sums[f"bin_{one}"] for one in range(BINS)], axis=-1)
    return {"brier": sums["squared"] / sums["windows"], "calibration_error": calibration_error(gaps, sums["windows"])}


def _sharpe_figures(sums: Sums, tally: Tally, trials: int) -> dict[str, Floats]:
    mean, square, cube, fourth = (sums[name] / sums["instants"] for name in ("pnl", "pnl_2", "pnl_3", "pnl_4"))
    ratio = sharpe(mean, square)
    shape = skew_and_kurtosis(mean, square, cube, fourth)
    # Failed runs left no ratio: their spread is taken to be that of an estimate without skill.
    best = expected_best(trials, 1.0 / max(tally.instants - 1, 1))
    a_year = np.sqrt(tally.instants / tally.years) if tally.years > 0.0 else np.nan
    return {
        "sharpe": ratio,
        "sharpe_a_year": ratio * a_year,
        "probabilistic_sharpe": probabilistic_sharpe(ratio, *shape, tally.instants),
        "deflated_sharpe": probabilistic_sharpe(ratio, *shape, tally.instants, best),
    }
