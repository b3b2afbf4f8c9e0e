"""Native stderr is held back, and shown after all when the block fails."""

import os

import pytest

from stockbot.native_output import native_stderr_held


def test_nothing_passes_when_the_block_succeeds(capfd: pytest.CaptureFixture[str]) -> None:
    with native_stderr_held():
        os.write(2, b"loading\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_everything_passes_when_the_block_fails(capfd: pytest.CaptureFixture[str]) -> None:
    def load() -> None:
        with native_stderr_held():
            os.write(2, b"libcuda.so is missing\n")
            raise ImportError

    with pytest.raises(ImportError):
        load()
    assert capfd.readouterr().err == "libcuda.so is missing\n"
