"""The scheduled job: append what is new, train, compare with the current model, promote or refuse, write it down."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.build import append_store
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.files import sha256_file
from pipelines.ingest import expand_sources, read_archive
from pipelines.store import MANIFEST, FeatureStore
from stockbot.baselines import TRIVIAL, unbeaten
from stockbot.build import build_features, source_hints
from stockbot.bundle import Bundle, current, list_models, resolve
from stockbot.compare import compare, verdict
from stockbot.config import Config
from stockbot.errors import PromotionRefusedError
from stockbot.promote import append_line, exclusive, promote
from stockbot.provenance import utc_now
from stockbot.train import TrainResult, train

LOG = "retrain_log.txt"


@dataclass
class RetrainResult:
    """What one run did; filled as it goes, so that a failed run still says how far it came.

    Attributes:
        new_rows: accepted input rows that the store did not hold before.
        comparison: windows, and scores of both models on them; empty without a current model.
    """

    outcome: str = "failed"
    reason: str = ""
    new_rows: int = 0
    candidate: str | None = None
    incumbent: str | None = None
    comparison: dict[str, Any] = field(default_factory=dict)


def retrain_once(
    sources: Sequence[str | Path],
    config: Config,
    store_path: Path,
    artifacts: Path,
    *,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    report: Callable[[str], None] | None = None,
) -> RetrainResult:
    """Run the whole job once; `retrain_log.txt` gains one line whatever happens.

    `outcome` is `promoted`, `refused`, or `unchanged` when no rows are new since a model was trained on the store.
    The current model stays as it is until the last step, and a second run at the same time is turned away.

    Raises:
        Whatever the steps raise; it is logged first. StockbotError: another run is at work.
    """
    result = RetrainResult()
    train_on = partial(train, device=device, progress=progress, report=report)
    try:
        with exclusive(artifacts / ".retrain.lock", timeout=0.0):
            store, before = _refresh_store(sources, config, store_path, result)
            trained = None if result.new_rows else _trained_on(artifacts, {store.snapshot, before})
            if trained is None:
                _train_and_decide(train_on, store, artifacts, config, result)
            else:
                result.outcome, result.reason = "unchanged", f"nothing new: {trained} was trained on these rows"
    except BaseException as error:
        result.reason = str(error) or type(error).__name__
        with suppress(DataError):  # no log where nothing can be written: the error says why
            append_line(artifacts / LOG, _log_line(result))
        raise
    append_line(artifacts / LOG, _log_line(result))
    return result


def _refresh_store(
    sources: Sequence[str | Path], config: Config, store_path: Path, result: RetrainResult
) -> tuple[FeatureStore, str | None]:
    """Append the files that the store has not seen, or build it when this is the first run.

    Returns:
        The store, and its snapshot before.
    """
    if not (store_path / MANIFEST).is_file():
        built, _ = build_features(sources, config, store_path)
        result.new_rows = built.rows_out
        return built.store, None
    store = FeatureStore.open(store_path)
    known = {source["sha256"] for source in store.manifest["sources"]}
    unseen = [path for path in expand_sources(sources) if sha256_file(path) not in known]
    if not unseen:
        return store, store.snapshot
    if store.manifest["materialize"] == "none":  # its rows are those of its sources, which are part of the archive
        held = [Path(source["path"]) for source in store.manifest["sources"]]
        whole, _ = build_features([*held, *unseen], config, store_path)
        result.new_rows = whole.rows_out - store.manifest["rows_out"]
        return whole.store, store.snapshot
    needs = FeaturePlan(store.features).quotes_needed
    built = append_store(store, read_archive(unseen, source_hints(config), needs=needs))
    result.new_rows = built.rows_out
    return built.store, store.snapshot


def _trained_on(artifacts: Path, snapshots: set[str | None]) -> str | None:
    """The newest model that was trained on one of these states of the store."""
    trained = [manifest["id"] for manifest in list_models(artifacts) if manifest["data_snapshot"] in snapshots]
    return str(trained[-1]) if trained else None


def _train_and_decide(
    train_on: Callable[[Config, FeatureStore, Path], TrainResult],
    store: FeatureStore,
    artifacts: Path,
    config: Config,
    result: RetrainResult,
) -> None:
    trained = train_on(config, store, artifacts)
    result.candidate = trained.model_id
    _decide(Bundle.load(trained.path), store, artifacts, config, result)


def _decide(candidate: Bundle, store: FeatureStore, artifacts: Path, config: Config, result: RetrainResult) -> None:
    result.incumbent = current(artifacts)
    try:
        result.reason = _earned(candidate, store, artifacts, config, result)
        promote(artifacts, candidate.id, result.reason, result.comparison or None, instead_of=result.incumbent)
    except PromotionRefusedError as refusal:
        result.outcome, result.reason = "refused", str(refusal)
        return
    result.outcome = "promoted"


def _earned(candidate: Bundle, store: FeatureStore, artifacts: Path, config: Config, result: RetrainResult) -> str:
    if result.incumbent is None:
        _require_better_than_guessing(candidate)
        return "no current model"
    comparison = compare(candidate, resolve(artifacts, result.incumbent), store, config.loader)
    result.comparison = {**asdict(comparison), "improvement": comparison.improvement if comparison.windows else None}
    reason = verdict(comparison, config.promotion)
    _require_better_than_guessing(candidate)
    return reason


def _require_better_than_guessing(candidate: Bundle) -> None:
    """Better than the current model is not good enough when chance explains why both are better than no model."""
    test = candidate.manifest["metrics"]["test"]
    behind = [name for name in TRIVIAL if name in unbeaten(test)]
    if behind:
        losses = ", ".join(f"{test['baselines'][name]['loss']:.6g} of `{name}`" for name in behind)
        raise PromotionRefusedError(
            f"loss {test['loss']:.6g} against {losses} on {test['windows']} test windows: no better than guessing "
            f"beyond chance; promote {candidate.short_id} by hand if it is meant to take over"
        )


def _log_line(result: RetrainResult) -> str:
    return (
        f"{utc_now()} {result.outcome} new_rows={result.new_rows} candidate={result.candidate} "
        f"incumbent={result.incumbent} windows={result.comparison.get('windows', 0)} reason={result.reason}"
    )
