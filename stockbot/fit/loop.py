"""The loop over epochs: steps, validation, checkpoints, and the moment to stop."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipelines.batches import Metered
from stockbot.config import TrainingConfig
from stockbot.errors import StockbotError
from stockbot.fit.checkpoints import Checkpoints, Position
from stockbot.fit.events import Events
from stockbot.fit.feed import Feed
from stockbot.fit.step import Steps, restore, snapshot

Progress = Callable[[int, int], None]
Report = Callable[[str], None]
OnEpoch = Callable[[int, dict[str, float]], None]


@dataclass
class Loop:
    """A training from a position to its end.

    Attributes:
        position: where it is; it goes on from there.
        train, validation: what each step gets.
        checkpoints: None keeps none. identity: what the process that goes on from one must have in common.
        best: variables of the model and its optimizer after the best epoch.
        waited, worked: seconds that training waited for batches, and computed.
    """

    steps: Steps
    train: Feed
    validation: Feed
    config: TrainingConfig
    position: Position
    checkpoints: Checkpoints | None
    events: Events
    identity: dict[str, Any]
    progress: Progress | None = None
    report: Report | None = None
    on_epoch: OnEpoch | None = None
    best: list[Any] | None = None
    waited: float = 0.0
    worked: float = 0.0

    def run(self) -> None:
        """Train until the last epoch, or until the validation loss no longer falls.

        Raises:
            StockbotError: the loss is no longer a number.
        """
        while self.position.epoch < self.config.epochs and not self._is_patience_over():
            self._train()
            self._end_epoch({**self.steps.figures.results(), **self._validate()})

    @property
    def wait_share(self) -> float:
        """Of the time of all steps, what was spent waiting for their batches."""
        whole = self.waited + self.worked
        return self.waited / whole if whole else 0.0

    @property
    def about(self) -> dict[str, Any]:
        """How it was computed, for the manifest."""
        bytes_per_window = self.train.bytes_per_window
        return {"xla": self.steps.xla, "input_wait_share": self.wait_share, "bytes_per_window": bytes_per_window}

    def _is_patience_over(self) -> bool:
        best = self.position.best
        return best is not None and len(self.position.history) - 1 - best >= self.config.patience

    def _train(self) -> None:
        position, loader = self.position, self.train.loader
        shares = self.train.shares(epochs=position.epoch + 1, epoch=position.epoch, step=position.step)
        metered = Metered(shares, time.perf_counter)
        for batch in metered:
            self.steps.train(batch, _size(loader, position.step), self._number)
            del batch  # its memory is the next one's
            position.step += 1
            self._tell(position)
            if self._number % self.config.checkpoint_steps == 0 and position.step < loader.steps_per_epoch:
                self._keep()
        self.waited += metered.waited
        self.worked += metered.worked

    @property
    def _number(self) -> int:
        """Of the next step, over all epochs."""
        return self.position.epoch * self.train.loader.steps_per_epoch + self.position.step

    def _validate(self) -> dict[str, float]:
        loader = self.validation.loader
        self.steps.figures.reset()
        for step, batch in enumerate(self.validation.shares()):
            self.steps.evaluate(batch, _size(loader, step))
        return self.steps.figures.results("val_")

    def _end_epoch(self, figures: dict[str, float]) -> None:
        position = self.position
        _require_numbers(figures, position.epoch + 1, self.config.learning_rate)
        position.history.append(figures)
        if self.report is not None:
            told = "  ".join(f"{name} {value:.6g}" for name, value in figures.items())
            self.report(f"epoch {position.epoch + 1}/{self.config.epochs}  {told}")
        self.events.write(self._number, {**figures, "input_wait_share": self.wait_share})
        self.steps.figures.reset()
        is_best = position.best == position.epoch
        position.epoch, position.step = position.epoch + 1, 0
        if is_best:
            self._keep_best(position.epoch - 1)
        self._keep()
        if self.on_epoch is not None:
            self.on_epoch(position.epoch, figures)

    def _keep_best(self, epoch: int) -> None:
        self.best = snapshot(self.steps.exported)
        if self.checkpoints is not None:
            self.checkpoints.save_best(epoch, self.best)

    def _keep(self) -> None:
        if self.checkpoints is not None:
            self.checkpoints.save(self.position, snapshot(self.steps.variables), self.identity)

    def _tell(self, position: Position) -> None:
        if self.progress is not None:
            windows = len(self.train.loader.windows)
            seen = min(position.step * self.train.loader.batch_size, windows)
            self.progress(position.epoch * windows + seen, self.config.epochs * windows)

    def restore_best(self) -> None:
        """Give the model the weights of the best epoch."""
        if self.best is not None:
            restore(self.steps.exported, self.best)


def _size(loader: Any, step: int) -> int:
    """Windows of a batch, of all devices together."""
    return int(min(loader.batch_size, len(loader.windows) - step * loader.batch_size))


def _require_numbers(figures: dict[str, float], epoch: int, learning_rate: float) -> None:
    if not (math.isfinite(figures["loss"]) and math.isfinite(figures["val_loss"])):
        raise StockbotError(
            f"training diverged: loss {figures['loss']}, val_loss {figures['val_loss']} in epoch {epoch}, "
            f"expected numbers; lower training.learning_rate ({learning_rate})"
        )
