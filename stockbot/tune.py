"""A search over settings: trials chosen by Optuna, the hopeless ones ended early, all of them runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna

from pipelines.errors import DataError
from pipelines.files import canonical_json, make_folder, pretty_json, sha256_bytes, sole_writer, write_atomic
from pipelines.splits import Boundaries
from pipelines.store import FeatureStore
from stockbot.config import Config
from stockbot.errors import ConfigError, PrunedError, StockbotError, UsageError
from stockbot.run_folder import new_run, record_run
from stockbot.search_space import Space
from stockbot.training_set import make_training_set
from stockbot.trial import try_out

DATABASE, SUMMARY, BEST = "study.db", "study.json", "best.yaml"
STATES = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed"}
JUDGED_AFTER = 3  # whole trials: the median of fewer says little
JUDGED_FROM = 3  # epochs: a small learning rate begins slowly
OWN_ERROR = "error"  # of a trial that failed or was pruned; one whose process was killed has none, and does not count
RUN = "run"

State = optuna.trial.TrialState

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Tuned:
    """A search that came to its end.

    Attributes:
        folder: database, summary and the winner's settings, `best.yaml`.
        trials: of each its number, state, settings that were drawn, validation loss or None, and error or None.
        best: the one with the least loss. config: its settings.
    """

    folder: Path
    trials: tuple[dict[str, Any], ...]
    best: dict[str, Any]
    config: Config


def tune(
    space: Space,
    store: FeatureStore,
    artifacts: Path,
    *,
    trials: int,
    device: str = "auto",
    report: Callable[[str], None],
) -> Tuned:
    """Try settings until the study holds so many trials; one that was killed goes on where it was.

    The objective is the least validation loss. No window of the test part of any configuration in the space is
    looked at: all trials are cut where the longest LOOKBACK begins its test part, which is the earliest.

    Args:
        trials: in all, those of an earlier call with the same space, settings and rows included.
        report: called with a line for each trial.

    Raises:
        DataError: the store does not hold what the settings need. StockbotError: every trial failed.
    """
    boundaries = make_training_set(space.longest, store).boundaries
    folder = artifacts / "tune" / _study_id(space, store)
    with sole_writer(folder, "tuning"), _opened(folder) as study:
        search = _Search(study, space, store, artifacts, boundaries, device)
        while (done := len(_counted(study))) < trials:
            search.go_on(done + 1)
            told = _all_told(study)
            _summarise(folder, told, space, store)
            report(_line(told[-1], trials))
        return _tuned(folder, _all_told(study), space)


@dataclass(frozen=True)
class _Search:
    study: optuna.Study
    space: Space
    store: FeatureStore
    artifacts: Path
    boundaries: Boundaries
    device: str

    def go_on(self, number: int) -> None:
        """Carry out a trial, counted from 1, and record what came of it; wrong usage would be wrong in every one."""
        # What is drawn follows from the seed and from what is known: a kill changes nothing of the search.
        self.study.sampler = optuna.samplers.TPESampler(seed=self.space.base.training.seed + number)
        trial = self.study.ask()
        try:
            self.study.tell(trial, self._loss(trial, number))
        except (StockbotError, DataError) as error:
            if isinstance(error, UsageError) and not isinstance(error, ConfigError):
                raise
            trial.set_user_attr(OWN_ERROR, str(error))
            self.study.tell(trial, state=State.PRUNED if isinstance(error, PrunedError) else State.FAIL)

    def _loss(self, trial: optuna.Trial, number: int) -> float:
        config = self.space.config(self.space.draw(trial))
        run = new_run(self.artifacts, config)
        trial.set_user_attr(RUN, run.name)
        record_run(run, {"state": "running", "study": self.study.study_name, "trial": number})
        return try_out(run, config, self.store, self.boundaries, device=self.device, on_epoch=partial(_judge, trial))


def _judge(trial: optuna.Trial, epoch: int, figures: dict[str, float]) -> None:
    trial.report(figures["val_loss"], epoch)
    if trial.should_prune():
        raise PrunedError(
            f"after epoch {epoch}: val_loss {figures['val_loss']:.6g} is behind the median of other trials"
        )


@contextmanager
def _opened(folder: Path) -> Iterator[optuna.Study]:
    """The study in a folder; trials that are under way there are those of a process that was killed."""
    make_folder(folder)
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / DATABASE}")
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=folder.name,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=JUDGED_AFTER, n_warmup_steps=JUDGED_FROM),
            load_if_exists=True,
        )
        for trial in study.get_trials(deepcopy=False, states=[State.RUNNING]):
            study.tell(trial.number, state=State.FAIL)
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _study_id(space: Space, store: FeatureStore) -> str:
    """Equal where space, settings and rows are: the same command finds the study that it left."""
    settings = space.base.model_dump(mode="json", exclude={"tune", "paths"})
    axes = {name: axis.model_dump() for name, axis in space.axes.items()}
    return sha256_bytes(canonical_json({"settings": settings, "axes": axes, "snapshot": store.snapshot}))[:12]


def _counted(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that came to an end of their own."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state == State.COMPLETE or OWN_ERROR in trial.user_attrs]


def _all_told(study: optuna.Study) -> list[dict[str, Any]]:
    return [
        {
            "trial": number,
            "run": trial.user_attrs.get(RUN),
            "state": STATES[trial.state.name],
            "settings": dict(trial.params),
            "val_loss": min(trial.intermediate_values.values(), default=None),
            "epochs": len(trial.intermediate_values),
            "error": trial.user_attrs.get(OWN_ERROR),
        }
        for number, trial in enumerate(_counted(study), start=1)
    ]


def _line(told: dict[str, Any], trials: int) -> str:
    loss = "-" if told["val_loss"] is None else f"{told['val_loss']:.6g}"
    drawn = "  ".join(f"{name} {_short(value)}" for name, value in told["settings"].items())
    why = f"  {told['error']}" if told["state"] == "failed" else ""
    return f"trial {told['trial']}/{trials}  {told['state']:<6}  val_loss {loss}  epochs {told['epochs']}  {drawn}{why}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _summarise(folder: Path, told: list[dict[str, Any]], space: Space, store: FeatureStore) -> None:
    axes = {name: axis.model_dump(exclude_none=True) for name, axis in space.axes.items()}
    summary = {"study": folder.name, "snapshot": store.snapshot, "space": axes, "count": len(told), "trials": told}
    write_atomic(folder / SUMMARY, pretty_json(summary))


def _tuned(folder: Path, told: list[dict[str, Any]], space: Space) -> Tuned:
    done = [trial for trial in told if trial["state"] == "done"]
    if not done:
        raise StockbotError(f"{folder}: none of {len(told)} trials came to its end, the last one: {told[-1]['error']}")
    best = min(done, key=lambda trial: (trial["val_loss"], trial["trial"]))
    config = space.config(space.draw(optuna.trial.FixedTrial(best["settings"])))
    write_atomic(folder / BEST, config.to_yaml().encode())
    return Tuned(folder, tuple(told), best, config)
