"""The compilation cache must never stop a program from starting."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import numpy as np, kernels
from kernels.compilation import CACHE_FOLDER
print(kernels.rolling_mean(np.arange(4.0), 2)[-1], CACHE_FOLDER or 'none')
"""


def run(environment: dict[str, str]) -> list[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_cache_is_private_and_named_after_the_sources(tmp_path: Path) -> None:
    value, folder = run({"XDG_CACHE_HOME": str(tmp_path)})
    assert value == "2.5"
    assert Path(folder).parent == tmp_path / "stockbot-hp"
    assert Path(folder).stat().st_mode & 0o077 == 0
    assert list(Path(folder).rglob("*.nbi"))


def test_an_unusable_cache_folder_only_costs_time(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert run({"XDG_CACHE_HOME": str(blocked)}) == ["2.5", "none"]
