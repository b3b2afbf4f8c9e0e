"""Two sealed models on the same windows, none of which either of them trained on or was stopped by."""

from dataclasses import dataclass

import numpy as np

from pipelines.labels import label_rows
from pipelines.panel import Panel, load_panel, panel_windows
from pipelines.store import FeatureStore
from stockbot.bundle import Bundle
from stockbot.config import PromotionConfig
from stockbot.errors import PromotionRefusedError
from stockbot.evaluate import score


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


def compare(candidate: Bundle, incumbent: Bundle, store: FeatureStore) -> Comparison:
    """Score both models on the windows of the store that begin after the later of their two test boundaries.

    Raises:
        PromotionRefusedError: they foresee different things, so that no loss compares them.
        DataError: the store lacks a feature of either.
    """
    _require_comparable(candidate, incumbent)
    cut = max(candidate.unseen_from_ns, incumbent.unseen_from_ns)
    panels = {bundle.id: load_panel(store, bundle.features) for bundle in (candidate, incumbent)}
    labels = label_rows(
        panels[candidate.id].close,
        candidate.config.labels.objective,
        horizon=candidate.horizon,
        dead_zone=candidate.config.labels.dead_zone,
    )
    decisions = np.intersect1d(
        _decision_rows(candidate, panels[candidate.id], cut), _decision_rows(incumbent, panels[incumbent.id], cut)
    )
    decisions = decisions[np.isfinite(labels[decisions])]
    scores = [
        _score(bundle, panels[bundle.id], decisions, labels) if len(decisions) else {}
        for bundle in (candidate, incumbent)
    ]
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


def _decision_rows(bundle: Bundle, panel: Panel, cut: int) -> np.ndarray:
    starts, _ = panel_windows(panel, lookback=bundle.lookback, horizon=bundle.horizon, max_gap_ns=bundle.max_gap_ns)
    return np.asarray(starts[panel.known[starts] >= cut] + bundle.lookback - 1)


def _score(bundle: Bundle, panel: Panel, decisions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    predictions = bundle.predict_at(bundle.scaler.transform(panel.matrix), decisions - bundle.lookback + 1)
    return score(predictions, labels[decisions], bundle.objective)
