"""Features of a user's own module, which lives outside the package: the very example of docs/features.md."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipelines.bars import BarSpec, tick_arrays
from pipelines.catalogue import FAMILIES, SETS
from pipelines.features import FeaturePlan, FeatureStream
from pipelines.ingest import read_archive
from pipelines.schema import SourceHints
from pipelines.store import FeatureStore
from stockbot.errors import ConfigError
from stockbot.feature_modules import load_feature_modules
from tests.pipelines.test_build import write_ticks
from tests.stockbot.test_cli import stockbot
from tests.stockbot.world import make_world

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "features.md").read_text(encoding="utf-8")
OWN = PAGE.partition("## Your own")[2]


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", OWN, re.DOTALL)
    assert found is not None
    return found[1]


def write_module(folder: Path) -> Path:
    path = folder / "my_features.py"
    path.write_text(block("python"), encoding="utf-8")
    return path


@pytest.fixture
def catalogue() -> Iterator[None]:
    """What a test enters is taken out again."""
    families, sets, modules = dict(FAMILIES), dict(SETS), set(sys.modules)
    yield
    for registry, saved in ((FAMILIES, families), (SETS, sets)):
        registry.clear()
        registry.update(saved)
    for name in set(sys.modules) - modules:
        if name.endswith(".py"):
            del sys.modules[name]


def fading_peak(close: np.ndarray, rows: int) -> np.ndarray:
    peaks, peak = [], 0.0
    for value in close:
        peak = max(value, peak * (1.0 - 1.0 / rows))
        peaks.append(peak)
    return np.array(peaks)


@pytest.mark.usefixtures("catalogue")
def test_the_documented_example_is_built_and_replayed(tmp_path: Path) -> None:
    write_ticks(tmp_path / "ticks.csv", 0, 3000)
    path = write_module(tmp_path)
    (tmp_path / "config.yaml").write_text(block("yaml") + "bars: {kind: tick, size: 7}\n", encoding="utf-8")
    done = stockbot("build-features", "ticks.csv", "--out", "store", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    store = FeatureStore.open(tmp_path / "store")
    assert store.features == [*SETS["core17"], "peak_dev_60", "peak_dev_240"]

    load_feature_modules([str(path)], "config.yaml")
    plan = FeaturePlan(yaml.safe_load(block("yaml"))["features"])
    ticks = read_archive([tmp_path / "ticks.csv"], SourceHints()).frame
    for symbol in store.symbols:
        saved = store.read(symbol)
        peak_dev = saved["close"].to_numpy() / fading_peak(saved["close"].to_numpy(), 60) - 1.0
        np.testing.assert_allclose(saved["peak_dev_60"], peak_dev, rtol=1e-6, atol=1e-9)
        replayed = replay(plan, ticks.filter(symbol=symbol))
        assert replayed.tobytes("C") == saved.select(store.features).to_numpy(order="c").tobytes()


def replay(plan: FeaturePlan, ticks: object) -> np.ndarray:
    """The features of the ticks, as they come one at a time."""
    timestamp, price, volume, side, quotes = tick_arrays(ticks)
    assert quotes is None
    stream = FeatureStream(BarSpec("tick", 7), plan)
    rows = [slice(row, row + 1) for row in range(len(price))]
    return np.concatenate([stream.push_ticks(timestamp[r], price[r], volume[r], side[r])[1] for r in rows])


@pytest.mark.usefixtures("catalogue")
def test_a_model_of_own_features_runs_with_the_settings_that_name_their_module(tmp_path: Path) -> None:
    load_feature_modules([str(write_module(tmp_path))], "config.yaml")
    world = make_world(tmp_path / "world", features=["logret_1", "peak_dev_60"])
    arguments = ["run", *world.today, "--artifacts", world.artifacts, "--warm-start", world.store.path]
    unknown = stockbot(*arguments, cwd=tmp_path)
    assert unknown.returncode == 1
    assert "feature 'peak_dev_60' is not known" in unknown.stderr
    assert "`feature_modules`" in unknown.stderr
    (tmp_path / "config.yaml").write_text("feature_modules: [my_features.py]\n")
    done = stockbot(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert stockbot("features", "peak_dev_9", "--no-cost", cwd=tmp_path).stdout.startswith("peak_dev_9\n")


@pytest.mark.usefixtures("catalogue")
def test_a_file_is_imported_once_and_never_takes_the_name_of_another_module(tmp_path: Path) -> None:
    path = tmp_path / "json.py"
    path.write_text("from pathlib import Path\nPath(__file__ + '.runs').mkdir()\n")
    known = sys.modules["json"]
    load_feature_modules([str(path), str(path), "json"], "config.yaml")
    assert sys.modules["json"] is known
    assert (tmp_path / "json.py.runs").is_dir()


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("absent.py", None, r"FileNotFoundError: .*absent\.py"),
        ("no.such.module", None, r"ModuleNotFoundError: No module named 'no'"),
        ("broken.py", "def f(:\n", r"SyntaxError: .*broken\.py, line 1"),
        ("taken.py", "from pipelines.catalogue import feature\nfeature('zscore_20', '')(lambda n: n)\n",
         r"ValueError: feature 'zscore_20': the name 'zscore' is taken; choose another"),
        ("wordy.py", "raise RuntimeError('one\\ntwo')\n", r"RuntimeError: one two"),
    ],
)  # fmt: skip
def test_a_module_that_cannot_be_imported_is_one_line(
    tmp_path: Path, name: str, text: str | None, problem: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    wanted = str(tmp_path / name) if name.endswith(".py") else name
    with pytest.raises(ConfigError, match=problem) as error:
        load_feature_modules([wanted], "mine.yaml")
    assert str(error.value).startswith(f"mine.yaml: `feature_modules`: {wanted!r} cannot be imported (")
    assert "\n" not in str(error.value)
    assert wanted not in sys.modules


def test_the_settings_are_named_when_a_module_is_missing(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("feature_modules: [absent.py]\n")
    done = stockbot("build-features", "ticks.csv", "--config", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: mine.yaml: `feature_modules`: 'absent.py' cannot be imported")


def test_sets_are_spelled_out_where_a_model_is_trained(tmp_path: Path) -> None:
    from stockbot.training_set import make_training_set
    from tests.stockbot.markets import make_store, tiny_config, wave

    store = make_store(tmp_path, {"A": wave(600)}, ["core17", "rsi_wilder_30"])
    made = make_training_set(tiny_config(features=["core17", "rsi_wilder_30"]), store)
    assert made.panel.features == (*SETS["core17"], "rsi_wilder_30")
