"""The windows of a store that a sealed model never saw, parted as its training parted them."""

from pipelines.errors import DataError
from pipelines.scan import split_runs
from pipelines.splits import Boundaries, iso
from pipelines.store import FeatureStore
from stockbot.baselines import baselines, predictions
from stockbot.bundle import Bundle
from stockbot.config import Config, LoaderConfig
from stockbot.scorecard import Scorecard, scorecard
from stockbot.trained_on import require_store
from stockbot.training_set import TrainingSet, labelled_rows


def score_unseen(bundle: Bundle, store: FeatureStore, *, config: Config, trials: int) -> Scorecard:
    """Score a model on all windows of a store that begin after what it trained on and was stopped by.

    The linear baseline is fitted on the windows of this store that the model trained on; it is left out where the
    store has none.

    Args:
        config: its `live` and `costs` say how a prediction becomes a position, its `loader` where rows are meanwhile.
        trials: runs that were made.

    Raises:
        ArtifactError: the store is not what the model was trained on. DataError: no window that it did not see.
    """
    require_store(store, bundle)
    data = unseen_set(bundle, store, config.loader)
    runs = data.all_windows(data.split.test)
    guesses = baselines(data)
    if len(data.split.train) == 0:
        del guesses["least_squares"]
    said = predictions(data, bundle.model, runs, guesses)
    return scorecard(data, runs, said, config=config, trials=trials)


def unseen_set(bundle: Bundle, store: FeatureStore, loader: LoaderConfig) -> TrainingSet:
    """As `sealed_set`, where the model has not seen all of the store.

    Raises:
        DataError: no window begins after what it has seen.
    """
    data = sealed_set(bundle, store, loader)
    if len(data.split.test) == 0:
        raise DataError(
            f"{store.path}: no window of {bundle.lookback + bundle.horizon} rows begins after "
            f"{iso(bundle.unseen_from_ns)}, which model {bundle.short_id} has seen; give a store of later data"
        )
    return data


def sealed_set(bundle: Bundle, store: FeatureStore, loader: LoaderConfig) -> TrainingSet:
    """The store's rows with the model's own scaler, its `test` part all that the model has not seen.

    Args:
        loader: where the rows are, whatever it was in training.

    Raises:
        DataError: no window, or none with a label.
    """
    config = bundle.config.model_copy(update={"loader": loader})
    rows = labelled_rows(_with_gap(config, bundle.max_gap_ns), store, bundle.features)
    boundaries = Boundaries(int(bundle.manifest["data"]["validation_start_ns"]), bundle.unseen_from_ns)
    span = bundle.lookback + bundle.horizon
    split = split_runs(rows.panel, rows.windows, boundaries, span=span, embargo=config.split.embargo)
    scaler, scale = bundle.scaler, bundle.target_scale
    return TrainingSet(config, rows.panel, rows.labels, rows.every, split, boundaries, scaler, scale, bundle.max_gap_ns)


def _with_gap(config: Config, max_gap_ns: int) -> Config:
    """The same settings with the gap that training found, stated."""
    return config.model_copy(update={"windows": config.windows.model_copy(update={"max_gap": f"{max_gap_ns}ns"})})
