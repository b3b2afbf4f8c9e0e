"""The scheduled job: append what is new, train, compare with the current model, promote or refuse, write it down."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipelines.build import append_store
from pipelines.files import sha256_file
from pipelines.ingest import expand_sources, read_archive
from pipelines.store import MANIFEST, FeatureStore
from stockbot.build import build_features, source_hints
from stockbot.bundle import Bundle, current, resolve
from stockbot.compare import compare, verdict
from stockbot.config import Config
from stockbot.errors import PromotionRefusedError
from stockbot.promote import append_line, exclusive, promote
from stockbot.provenance import utc_now
from stockbot.train import train

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
    """Run the whole job once; `outcome` is `promoted` or `refused`, and `retrain_log.txt` gains one line either way.

    The current model stays as it is until the last step, and a second run at the same time is turned away.

    Raises:
        Whatever the steps raise; it is logged first. StockbotError: another run is at work.
    """
    with exclusive(artifacts / ".retrain.lock", timeout=0.0):
        result = RetrainResult()
        try:
            store = _refresh_store(sources, config, store_path, result)
            if report is not None:
                report(f"{result.new_rows} new rows" if result.new_rows else "no new rows: training on what is there")
            trained = train(config, store, artifacts, device=device, progress=progress, report=report)
            result.candidate = trained.model_id
            _decide(Bundle.load(trained.path), store, artifacts, config, result)
        except BaseException as error:
            result.reason = str(error) or type(error).__name__
            raise
        finally:
            append_line(artifacts / LOG, _log_line(result))
    return result


def _refresh_store(
    sources: Sequence[str | Path], config: Config, store_path: Path, result: RetrainResult
) -> FeatureStore:
    """Append the files that the store has not seen, or build it when this is the first run."""
    if not (store_path / MANIFEST).is_file():
        built, _ = build_features(sources, config, store_path)
    else:
        store = FeatureStore.open(store_path)
        known = {source["sha256"] for source in store.manifest["sources"]}
        unseen = [path for path in expand_sources(sources) if sha256_file(path) not in known]
        if not unseen:
            return store
        built = append_store(store, read_archive(unseen, source_hints(config.source)))
    result.new_rows = built.rows_out
    return built.store


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
        return "no current model"
    comparison = compare(candidate, resolve(artifacts, result.incumbent), store)
    result.comparison = {**asdict(comparison), "improvement": comparison.improvement if comparison.windows else None}
    return verdict(comparison, config.promotion)


def _log_line(result: RetrainResult) -> str:
    return (
        f"{utc_now()} {result.outcome} new_rows={result.new_rows} candidate={result.candidate} "
        f"incumbent={result.incumbent} windows={result.comparison.get('windows', 0)} reason={result.reason}"
    )
