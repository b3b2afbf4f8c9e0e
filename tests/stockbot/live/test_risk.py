"""The kill switch stops on a file, on a signal, and whenever it cannot tell."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from stockbot.errors import UsageError
from stockbot.live.risk import AgeLimit, HaltedError, KillSwitch, require_live_allowed


def test_it_lets_pass_until_the_kill_file_appears(tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path)
    assert switch.check()
    (tmp_path / "KILL").write_text("")
    with pytest.raises(HaltedError, match=r"halted by .*KILL; remove"):
        switch.check()


def test_a_dangling_link_named_kill_counts(tmp_path: Path) -> None:
    (tmp_path / "KILL").symlink_to(tmp_path / "nowhere")
    with pytest.raises(HaltedError, match="halted by"):
        KillSwitch(tmp_path).check()


def test_a_folder_that_cannot_be_read_halts(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    folder.mkdir()
    switch = KillSwitch(folder)
    assert switch.check()
    shutil.rmtree(folder)
    with pytest.raises(HaltedError, match="is gone"):
        switch.check()
    folder.write_text("now a file")
    with pytest.raises(HaltedError, match="cannot be read"):
        switch.check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_ends_the_run_and_handlers_return(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    switch = KillSwitch(tmp_path)
    with switch.listening():
        os.kill(os.getpid(), number)
        assert not switch.check()
        assert switch.stop_signal == number.name
        assert signal.getsignal(number) == before  # the second signal acts at once
    assert signal.getsignal(number) == before


def test_live_needs_the_configuration_too() -> None:
    require_live_allowed(live=False, enabled=False)
    require_live_allowed(live=True, enabled=True)
    with pytest.raises(UsageError, match=r"live\.enabled"):
        require_live_allowed(live=True, enabled=False)


def test_a_signal_is_void_once_it_is_older_than_the_limit() -> None:
    limit = AgeLimit(60, clock=lambda: 1_000)
    assert [limit.is_over(known_at) for known_at in (939, 940, 1_000, 1_001)] == [True, False, False, False]
    assert AgeLimit(10**9).is_over(0)
