"""All checks of one training set."""

from collections.abc import Callable
from typing import Any

from pipelines.store import FeatureStore
from stockbot.audit.copies import target_copy
from stockbot.audit.features import Progress, feature_checks
from stockbot.audit.report import Audit
from stockbot.audit.rows import labels, purge, scaler, stays_inside, windows
from stockbot.training_set import TrainingSet

SKIPPED: dict[str, Any] = {"skipped": True, "passed": None, "checks": []}


def audited(data: TrainingSet, store: FeatureStore, report: Callable[[str], None]) -> dict[str, Any]:
    """The audit as the manifest holds it, unless the settings say to do without.

    Args:
        data: made of `store`. report: called with the lines of the log.

    Raises:
        AuditError: a check failed.
    """
    if not data.config.training.audit:
        report("audit skipped, as the settings say: nothing proves that the future does not reach training")
        return SKIPPED
    found = audit(data, store)
    if not found.passed:
        for line in found.lines():
            report(line)
    found.require()
    report(f"audit passed: {', '.join(check.name for check in found.checks)}")
    return found.to_json()


def audit(data: TrainingSet, store: FeatureStore, *, progress: Progress | None = None) -> Audit:
    """Check what a training run is about to use.

    Args:
        data: made of `store`. progress: called with (rows done, rows).

    Raises:
        DataError: a feature that is not known here, or a file of the store that is not what was written.
    """
    checks = [*feature_checks(data.panel, store, progress), windows(data)]
    if stays_inside(data):  # the others go where windows point
        checks += [labels(data), purge(data), scaler(data), target_copy(data)]
    return Audit(tuple(checks))
