"""Two sealed models on the same windows, none of which either of them trained on or was stopped by."""

from dataclasses import dataclass

import numpy as np

from kernels.arrays import Floats, Integers
from pipelines.scan import begun_from
from pipelines.store import FeatureStore
from pipelines.window_runs import WindowRuns
from stockbot.baselines import predictions
from stockbot.bundle import Bundle
from stockbot.config import LoaderConfig, PromotionConfig
from stockbot.errors import PromotionRefusedError
from stockbot.evaluate import score
from stockbot.scorecard import MODEL
from stockbot.training_set import TrainingSet
from stockbot.unseen import sealed_set


@dataclass(frozen=True)
class Comparison:
    """Scores of both on `windows` windows; `improvement` is the relative drop of the loss, above 0 for better."""

    windows: int
    candidate: dict[str, float]
    incumbent: dict[str, float]

    @property
    def improvement(self) -> float:
        """1 - candidate loss / incumbent loss; 0 when both are exact."""
        worse = self.incumbent["loss"]
        return 1.0 - self.candidate["loss"] / worse if worse > 0.0 else 0.0


def compare(candidate: Bundle, incumbent: Bundle, store: FeatureStore, loader: LoaderConfig) -> Comparison:
    """Score both models on the windows of the store that begin after the later of their two test boundaries.

    Args:
        loader: where the rows are meanwhile.

    Raises:
        PromotionRefusedError: they foresee different things, so that no loss compares them.
        DataError: the store lacks a feature of either, or has no window for it.
    """
    _require_comparable(candidate, incumbent)
    cut = max(candidate.unseen_from_ns, incumbent.unseen_from_ns)
    ours, theirs = (sealed_set(bundle, store, loader) for bundle in (candidate, incumbent))
    decisions = _decisions(ours, cut).shared_with(_decisions(theirs, cut)).starts()
    decisions = decisions[np.isfinite(ours.labels[decisions])]
    if not len(decisions):
        return Comparison(0, {}, {})
    labels = ours.labels[decisions]
    scores = [_score(candidate, ours, decisions, labels), _score(incumbent, theirs, decisions, labels)]
    return Comparison(len(decisions), *scores)


def verdict(comparison: Comparison, rule: PromotionConfig) -> str:
    """Why the candidate earns the place, in one line.

    Raises:
        PromotionRefusedError: it does not; the message says why.
    """
    if comparison.windows < rule.min_windows:
        raise PromotionRefusedError(
            f"only {comparison.windows} windows lie after what both models have seen, "
            f"expected {rule.min_windows} (promotion.min_windows): wait for more data"
        )
    figures = (
        f"loss {comparison.candidate['loss']:.6g} against {comparison.incumbent['loss']:.6g} of the current model "
        f"on {comparison.windows} windows: improvement {comparison.improvement:.4g}"
    )
    if not comparison.improvement > rule.min_improvement:
        raise PromotionRefusedError(
            f"{figures}, needed more than {rule.min_improvement:.4g} (promotion.min_improvement)"
        )
    return figures


def _require_comparable(candidate: Bundle, incumbent: Bundle) -> None:
    for name in ("objective", "horizon", "source_kind", "bars"):
        ours, theirs = candidate.manifest[name], incumbent.manifest[name]
        if ours != theirs:
            raise PromotionRefusedError(
                f"{name} is {ours} for the candidate and {theirs} for the current model: no loss compares them; "
                f"promote {candidate.short_id} by hand if it is meant to take over"
            )


def _decisions(data: TrainingSet, cut: int) -> WindowRuns:
    """Last rows of the windows that begin at the cut or later, as windows of one row."""
    return begun_from(data.panel, data.every, cut).moved(data.config.windows.lookback - 1)


def _score(bundle: Bundle, data: TrainingSet, decisions: Integers, labels: Floats) -> dict[str, float]:
    windows = WindowRuns.of_starts(decisions - bundle.lookback + 1)
    said = predictions(data, bundle.model, windows, {})[MODEL]
    return score(said[:], labels, bundle.objective)
