"""What stops the runner: a `KILL` file, SIGINT, SIGTERM, in doubt too; and the age past which a signal is void."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from stockbot.errors import StockbotError, UsageError

KILL_FILE = "KILL"


class HaltedError(StockbotError):
    """The kill file is present, or the folder that would hold it cannot be read."""


@dataclass(frozen=True)
class AgeLimit:
    """How late a signal may be and still be acted on; `clock` tells the time, ns UTC."""

    max_age_ns: int
    clock: Callable[[], int] = time.time_ns

    def is_over(self, known_at_ns: int) -> bool:
        """Whether a bar that was complete then is too old by now."""
        return self.clock() - known_at_ns > self.max_age_ns


class KillSwitch:
    """Asked before every emission; a stop signal ends the run cleanly, a kill file ends it as halted.

    Attributes:
        stop_signal: name of the stop signal that came, or None.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = str(folder), str(folder / KILL_FILE)
        self.stop_signal: str | None = None

    def check(self) -> bool:
        """Whether to go on; false after a stop signal.

        Raises:
            HaltedError: a kill file is there, whatever it holds, or the folder cannot be read.
        """
        try:
            os.stat(self._folder)  # noqa: PTH116 - asked at every row; pathlib costs 20 us. A folder that vanished
            os.lstat(self._file)  # must not read as "no kill file"
        except FileNotFoundError as error:
            if error.filename != self._file:
                raise HaltedError(f"halted: {self._folder} is gone, so the kill switch cannot be read") from error
            return self.stop_signal is None
        except OSError as error:
            raise HaltedError(f"halted: {self._file} cannot be read: {error.strerror}") from error
        raise HaltedError(f"halted by {self._file}; remove the file to run again")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as a wish to end cleanly; a second one acts as it did before."""
        previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def stop(number: int, frame: FrameType | None) -> None:
            self.stop_signal = signal.Signals(number).name
            signal.signal(number, previous[signal.Signals(number)])

        for number in previous:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def require_live_allowed(*, live: bool, enabled: bool) -> None:
    """Refuse `--live` unless the configuration says so too.

    Raises:
        UsageError: `live` is asked for and `enabled` is false.
    """
    if live and not enabled:
        raise UsageError("--live: `live.enabled` is false in the configuration; set it to true first")
