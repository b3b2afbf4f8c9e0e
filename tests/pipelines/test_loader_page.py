"""The program in docs/loader.md runs as it stands, with smaller numbers, and learns what it says."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.batches import WindowLoader
from tests.stockbot.markets import make_store, wave

PAGE = Path(__file__).resolve().parents[2] / "docs" / "loader.md"
LOOKBACK, HORIZONS = 8, (1, 2, 5)


def program() -> str:
    """The block of several horizons."""
    found = re.search(r"## Several horizons\n.*?```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    text, changed = re.subn(
        r"^lookback, horizons, batch, epochs = .*$",
        f"lookback, horizons, batch, epochs = {LOOKBACK}, {HORIZONS}, 16, 3",
        found[1],
        flags=re.MULTILINE,
    )
    assert changed == 1
    return text


def test_one_network_learns_several_horizons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prices = {"AAA": wave(400), "BBB": wave(300, seed=1)}
    store = make_store(tmp_path, prices, ["logret_1", "rsi_wilder_14"])
    (tmp_path / "data").mkdir()
    Path(str(store.path)).rename(tmp_path / "data" / "features")
    monkeypatch.chdir(tmp_path)
    made: dict[str, Any] = {}
    exec(compile(program(), str(PAGE), "exec"), made)
    train, test, scale = made["train"], made["test"], made["scale"]
    _, targets, _ = next(iter(WindowLoader(train, batch_size=len(train), seed=None).batches()))
    close, offsets = made["panel"].close, made["panel"].offsets
    decided = train.runs.starts() + LOOKBACK - 1
    for column, horizon in enumerate(HORIZONS):
        moves = np.log(close[decided + horizon] / close[decided])
        np.testing.assert_allclose(targets[:, column] * scale[column], moves, rtol=1e-5, atol=1e-9)
        assert moves.std() == pytest.approx(scale[column])
    last = made["parts"].train.starts() + LOOKBACK - 1 + max(HORIZONS)
    first = made["parts"].validation.starts()
    for begin, end in pairwise(offsets):
        assert last[(last >= begin) & (last < end)].max() < first[(first >= begin) & (first < end)].min()
    assert made["predicted"].shape == (len(test), len(HORIZONS))
    losses = made["history"].history["loss"]
    assert len(losses) == 3
    assert losses[-1] < losses[0]
