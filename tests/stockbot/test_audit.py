"""Every planted leak is caught by the check that is meant to catch it; what is clean passes whole."""

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.bars import BarSpec
from pipelines.build import build_store
from pipelines.catalogue import FAMILIES
from pipelines.features import FeaturePlan
from pipelines.ingest import read_archive
from pipelines.panel import WindowSet
from pipelines.scaling import Scaler
from pipelines.schema import SourceHints
from pipelines.splits import split_windows
from pipelines.store import FeatureStore
from pipelines.window_runs import Parts, WindowRuns
from stockbot.audit import audit
from stockbot.build import build_features
from stockbot.cli import main
from stockbot.config import load_config
from stockbot.errors import AuditError
from stockbot.feature_modules import load_feature_modules
from stockbot.train import train
from stockbot.training_set import TrainingSet, make_training_set
from tests.stockbot.leaks import MODULE
from tests.stockbot.markets import make_store, tiny_config, wave
from tests.stockbot.world import candle_world, make_world

CHECKS = ["truncation", "outside", "replay", "windows", "labels", "purge", "scaler", "target_copy"]


@pytest.fixture
def leaky(tmp_path: Path) -> Iterator[Path]:
    """A module whose features look forward; they are unknown again afterwards."""
    path = tmp_path / "leaky.py"
    path.write_text(MODULE)
    families = dict(FAMILIES)
    load_feature_modules([str(path)], "config.yaml")
    yield path
    FAMILIES.clear()
    FAMILIES.update(families)
    del sys.modules[str(path)]


def store_of(folder: Path, features: list[str]) -> FeatureStore:
    return make_store(folder, {"AAA": wave(260), "BBB": wave(260, seed=1)}, features)


def checked(data: TrainingSet, store: FeatureStore) -> dict[str, tuple[str, ...]]:
    """Problems of the checks that failed, by name."""
    found = audit(data, store)
    assert [check.name for check in found.checks] == CHECKS
    return {check.name: check.problems for check in found.checks if not check.passed}


@pytest.mark.parametrize(
    ("feature", "check", "said"),
    [
        ("leak_centred", "truncation", "it looks forward"),
        ("leak_backfill", "truncation", "it looks forward"),
        ("leak_normalised", "truncation", "it looks forward"),
        ("leak_join", "truncation", "it looks forward"),
        ("leak_reference", "outside", "of the same rows 28 years later: it reads what is not in them"),
    ],
)
@pytest.mark.usefixtures("leaky")
def test_a_feature_that_looks_forward_is_named(tmp_path: Path, feature: str, check: str, said: str) -> None:
    features = ["logret_1", feature]
    store = store_of(tmp_path / "store", features)
    failed = checked(make_training_set(tiny_config(features=features), store), store)
    assert [feature in problem and said in problem for problem in failed[check]] == [True]
    assert not any("logret_1" in problem for problems in failed.values() for problem in problems)


@pytest.mark.usefixtures("leaky")
def test_a_feature_that_looks_forward_only_where_it_pays_is_named(tmp_path: Path) -> None:
    """Two rows of 4,000 know what comes: a cut at random meets one of them in a few audits of a hundred."""
    features = ["logret_1", "leak_jump"]
    price = wave(4000)
    price[1234:], price[3210:] = price[1234:] * 1.2, price[3210:] * 0.8
    store = make_store(tmp_path / "store", {"AAA": price}, features)
    failed = checked(make_training_set(tiny_config(features=features), store), store)
    assert [("leak_jump" in problem, "it looks forward" in problem) for problem in failed["truncation"]] == [
        (True, True)
    ]


def store_of_vendor(folder: Path, price: np.ndarray, volume: np.ndarray) -> FeatureStore:
    """Ticks with a column as somebody else filled it."""
    lines = [f"{1_704_067_200 + row},AAA,{price[row]},{volume[row]}" for row in range(len(volume))]
    (folder / "ticks.csv").write_text("timestamp,symbol,price,volume\n" + "\n".join(lines) + "\n")
    rows, plan = read_archive([folder / "ticks.csv"], SourceHints()), FeaturePlan(["logret_1", "volume_now"])
    return build_store(rows, bars=BarSpec("none", 1), plan=plan, out=folder / "store", config_text="").store


@pytest.mark.usefixtures("leaky")
def test_a_column_of_the_archive_that_is_the_next_price_is_a_copy(tmp_path: Path) -> None:
    """A vendor's file, wrong before it came here: only what the values say can tell."""
    price = wave(300)
    store = store_of_vendor(tmp_path, price[:-1], price[1:])
    failed = checked(make_training_set(tiny_config(features=["logret_1", "volume_now"]), store), store)
    assert list(failed) == ["target_copy"]
    assert failed["target_copy"] == ("volume_now is the price 1 rows ahead (correlation 1.0000)",)


@pytest.mark.usefixtures("leaky")
def test_what_is_most_like_the_future_is_told_when_it_is_no_copy(tmp_path: Path) -> None:
    """The same, blurred: it may be honest, and whoever reads the table knows better than a bound."""
    price = 100.0 * np.exp(np.random.default_rng(0).normal(0.0, 1e-3, 301).cumsum())
    blurred = price[1:] + np.random.default_rng(1).normal(0.0, 0.03, 300)
    store = store_of_vendor(tmp_path, price[:-1], blurred)
    found = audit(make_training_set(tiny_config(features=["logret_1", "volume_now"]), store), store)
    assert found.passed
    assert re.search(
        r"training windows; most alike: volume_now and the price 1 rows ahead, 0\.9\d$", found.checks[-1].seen
    )


def scaler_of_all_rows(data: TrainingSet) -> TrainingSet:
    rows = data.panel.matrix[data.panel.finite]
    return dataclasses.replace(data, scaler=Scaler.fit(rows, data.panel.features))


def scaler_of_other_parts(data: TrainingSet) -> TrainingSet:
    """As many rows as train, so that only the numbers tell."""
    rows = data.panel.matrix[data.panel.finite][-data.scaler.samples :]
    return dataclasses.replace(data, scaler=Scaler.fit(rows, data.panel.features))


def shuffled_split(data: TrainingSet) -> TrainingSet:
    parts = [part.starts() for part in vars(data.split).values()]
    mixed = np.random.default_rng(0).permutation(np.concatenate(parts))
    ends = np.cumsum([len(part) for part in parts])
    return dataclasses.replace(
        data, split=Parts(*(WindowRuns.of_starts(np.sort(part)) for part in np.split(mixed, ends[:-1])))
    )


def without_purge(data: TrainingSet) -> TrainingSet:
    """Windows are kept apart, and the labels behind them are forgotten."""
    starts = np.arange(5, 520 - 7)
    starts = starts[(starts % 260 >= 5) & (starts % 260 < 260 - 7)]
    split = split_windows(starts, data.panel.known, data.panel.offsets, data.boundaries, span=6)
    return dataclasses.replace(data, split=Parts.of(split))


def without_embargo(data: TrainingSet) -> TrainingSet:
    settings = data.config.model_copy(update={"split": data.config.split.model_copy(update={"embargo": 4})})
    return dataclasses.replace(data, config=settings)


def labels_one_row_later(data: TrainingSet) -> TrainingSet:
    return dataclasses.replace(data, labels=np.nan_to_num(np.roll(data.labels, -1)))


def labels_one_row_earlier(data: TrainingSet) -> TrainingSet:
    return dataclasses.replace(data, labels=np.nan_to_num(np.roll(data.labels, 1)))


def labels_of_a_longer_horizon(data: TrainingSet) -> TrainingSet:
    """HORIZON + 1, while the purge still counts HORIZON."""
    close = data.panel.close
    longer = np.append(np.log(close[3:] / close[:-3]), np.zeros(3))
    return dataclasses.replace(data, labels=longer)


def targets_in_units_of_all_labels(data: TrainingSet) -> TrainingSet:
    return dataclasses.replace(data, target_scale=float(np.nanstd(data.labels)))


class OneRowAhead(TrainingSet):
    """Windows begin one row late: the row after the decision is in them."""

    def windows(self, runs: WindowRuns, weights: np.ndarray | None = None) -> WindowSet:
        given = super().windows(runs, weights)
        assert isinstance(given, WindowSet)
        runs = WindowRuns.of_starts(np.minimum(given.runs.starts() + 1, 520 - 8))
        return dataclasses.replace(given, runs=runs, targets=np.roll(given.targets, 1, axis=0))


class MatrixOneRowAhead(TrainingSet):
    """The same by way of the rows that windows are cut from."""

    @property
    def matrix(self) -> np.ndarray:  # type: ignore[override]
        return np.roll(self.scaler.transform(self.panel.matrix), -1, axis=0)


class NormalisedByWindow(TrainingSet):
    """Rows are centred by the mean of the eight rows that begin with them: window by window, labels and all."""

    def windows(self, runs: WindowRuns, weights: np.ndarray | None = None) -> WindowSet:
        given = super().windows(runs, weights)
        assert isinstance(given, WindowSet)
        ahead = np.lib.stride_tricks.sliding_window_view(given.matrix, 8, axis=0).mean(axis=2)
        matrix = given.matrix.copy()
        matrix[: len(ahead)] -= ahead
        return dataclasses.replace(given, matrix=matrix)


def as_class(kind: type[TrainingSet]) -> Callable[[TrainingSet], TrainingSet]:
    def change(data: TrainingSet) -> TrainingSet:
        return kind(**{field.name: getattr(data, field.name) for field in dataclasses.fields(data)})

    change.__name__ = kind.__name__
    return change


def with_column(data: TrainingSet, values: np.ndarray) -> TrainingSet:
    matrix = data.panel.matrix.copy()
    matrix[:, 0] = values
    return dataclasses.replace(data, panel=dataclasses.replace(data.panel, matrix=matrix))


def filled_from_behind(data: TrainingSet) -> TrainingSet:
    column = pl.Series(data.panel.matrix[:, 0]).fill_nan(None).fill_null(strategy="backward")
    return with_column(data, column.to_numpy())


def joined_with_the_bar_under_way(data: TrainingSet) -> TrainingSet:
    """The other symbol's return, joined as of the end of a bar on labels that are the begin of a bar."""
    panel = data.panel
    mine, other = (pl.DataFrame({"time": panel.timestamp[part]}) for part in (slice(0, 260), slice(260, 520)))
    late = mine.with_columns(pl.col("time") + 10**9)
    joined = late.join_asof(other.with_columns(value=pl.Series(panel.matrix[260:, 0])), on="time")["value"].to_numpy()
    return with_column(data, np.concatenate([joined, panel.matrix[260:, 0]]))


def shifted_by_a_row(data: TrainingSet) -> TrainingSet:
    return with_column(data, np.roll(data.panel.matrix[:, 0], -1))


def the_target_itself(data: TrainingSet) -> TrainingSet:
    noise = np.random.default_rng(0).normal(0.0, 1e-5, len(data.labels))
    return with_column(data, 3.0 - 2.0 * data.labels + noise)


def prices_of_another_time(data: TrainingSet) -> TrainingSet:
    return dataclasses.replace(data, panel=dataclasses.replace(data.panel, close=np.roll(data.panel.close, -1)))


def appended(split: Parts, **rows: int) -> Parts:
    """With a window more in a part."""
    ((part, row),) = rows.items()
    return dataclasses.replace(split, **{part: WindowRuns.of_starts(np.append(getattr(split, part).starts(), row))})


def window_over_two_symbols(data: TrainingSet) -> TrainingSet:
    return dataclasses.replace(data, split=appended(data.split, test=256))


def window_over_a_gap(data: TrainingSet) -> TrainingSet:
    return dataclasses.replace(data, max_gap_ns=10**9 - 1)


def any_gap_at_all(data: TrainingSet) -> TrainingSet:
    return dataclasses.replace(data, max_gap_ns=10**18)


def window_over_two_sessions(data: TrainingSet) -> TrainingSet:
    session = np.arange(520) // 50
    return dataclasses.replace(data, panel=dataclasses.replace(data.panel, session=session))


def window_without_a_value(data: TrainingSet) -> TrainingSet:
    return dataclasses.replace(data, split=appended(data.split, train=4))


def window_that_leaves_the_rows(data: TrainingSet) -> TrainingSet:
    return dataclasses.replace(data, split=appended(data.split, test=515))


def test_windows_that_leave_the_rows_are_told_before_anything_follows_them(wave_store: FeatureStore) -> None:
    found = audit(window_that_leaves_the_rows(make_training_set(tiny_config(), wave_store)), wave_store)
    assert found.failed == ["windows"]
    assert found.checks[-1].problems == ("a window of 8 rows, its label included, leaves the 520 rows",)


def windows_twice(data: TrainingSet) -> TrainingSet:
    return dataclasses.replace(
        data, split=dataclasses.replace(data.split, test=WindowRuns.of_starts(np.repeat(data.split.test.starts(), 2)))
    )


@pytest.mark.parametrize(
    ("plant", "check", "said"),
    [
        (scaler_of_all_rows, "scaler", "other rows were in the fit"),
        (scaler_of_other_parts, "scaler", "other rows were in the fit"),
        (shuffled_split, "purge", "AAA: a label of train ends in row"),
        (without_purge, "purge", "AAA: a label of train ends in row"),
        (without_embargo, "purge", "less the embargo of 4"),
        (labels_one_row_later, "labels", "but the 2 rows after it give"),
        (labels_one_row_earlier, "labels", "but the 2 rows after it give"),
        (labels_of_a_longer_horizon, "labels", "but the 2 rows after it give"),
        (targets_in_units_of_all_labels, "labels", "training labels spread by"),
        (as_class(OneRowAhead), "labels", "but the 2 rows after it give"),
        (as_class(MatrixOneRowAhead), "scaler", "reaches the model as"),
        (as_class(NormalisedByWindow), "scaler", "reaches the model as"),
        (filled_from_behind, "replay", "in training, but its definition gives nan"),
        (joined_with_the_bar_under_way, "replay", "something changed it on the way"),
        (shifted_by_a_row, "replay", "something changed it on the way"),
        (the_target_itself, "target_copy", "logret_1 is the target (correlation -1.0000)"),
        (the_target_itself, "replay", "something changed it on the way"),
        (prices_of_another_time, "replay", "close of AAA at 2024-01-01T00:00:00Z is"),
        (window_over_two_symbols, "windows", "spans two symbols"),
        (window_over_a_gap, "windows", "spans a gap of more than 1 s"),
        (any_gap_at_all, "windows", "pauses of 1e+09 s may lie in windows, windows.max_gap says 300 s"),
        (window_over_two_sessions, "windows", "spans two sessions"),
        (window_without_a_value, "windows", "spans a row without a value"),
        (windows_twice, "windows", "74 windows are in a part twice, or in two parts"),
    ],
)
def test_a_planted_leak_is_caught_by_its_check(
    wave_store: FeatureStore, plant: Callable[[TrainingSet], TrainingSet], check: str, said: str
) -> None:
    clean = make_training_set(tiny_config(), wave_store)
    assert checked(clean, wave_store) == {}
    failed = checked(plant(clean), wave_store)
    assert any(said in problem for problem in failed[check]), failed


def test_labels_of_the_wrong_direction_are_caught(wave_store: FeatureStore) -> None:
    clean = make_training_set(tiny_config(labels__objective="direction"), wave_store)
    assert checked(clean, wave_store) == {}
    failed = checked(dataclasses.replace(clean, labels=1.0 - clean.labels), wave_store)
    assert list(failed) == ["labels"]


@pytest.mark.usefixtures("leaky")
def test_a_store_of_older_definitions_is_told(leaky: Path, tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", ["logret_1", "volume_now"])
    del sys.modules[str(leaky)]
    leaky.write_text(MODULE.replace("bars.volume * 1.0", "bars.volume * 2.0"))
    load_feature_modules([str(leaky)], "config.yaml")
    data = make_training_set(tiny_config(features=["logret_1"]), store)
    assert list(checked(data, store)) == ["replay"]
    assert "built with other definitions" in checked(data, store)["replay"][0]


@pytest.mark.parametrize(
    "changes",
    [
        {"features": ["core17"]},
        {"features": ["ticks60"], "scaler": "robust", "labels__objective": "direction"},
        {"features": ["core17"], "bars__kind": "tick", "bars__size": 5, "windows__lookback": 1, "labels__horizon": 20},
        {"features": ["core17"], "bars__kind": "none", "split__embargo": 7},
    ],
)
def test_a_clean_market_passes(tmp_path: Path, changes: dict[str, Any]) -> None:
    dotted = {name.replace("__", "."): value for name, value in changes.items()}
    base = {"windows.lookback": 8, "labels.horizon": 3, "bars.kind": "time", "bars.size": "1m"}
    world = make_world(tmp_path, features=["logret_1"])
    config = load_config(None, base | dotted)
    store = build_features(world.history, config, tmp_path / "own")[0].store
    assert checked(make_training_set(config, store), store) == {}


def test_candles_are_replayed_whole(tmp_path: Path) -> None:
    world = candle_world(tmp_path)
    found = audit(make_training_set(world.config, world.store), world.store)
    assert found.passed
    assert found.checks[2].seen == "2 features in 200 rows"


def test_what_cannot_be_replayed_is_said(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    found = audit(make_training_set(world.config, world.store), world.store)
    assert found.checks[2].seen.endswith("; not those of columns the store does not keep: ofi_5")


def test_the_audit_says_how_far_it_is(wave_store: FeatureStore) -> None:
    seen: list[tuple[int, int]] = []
    data = make_training_set(tiny_config(), wave_store)
    audit(data, wave_store, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(260, 520), (520, 520)]


@pytest.mark.usefixtures("leaky")
def test_training_refuses_and_says_how_to_do_without(tmp_path: Path) -> None:
    features = ["logret_1", "leak_centred"]
    store = store_of(tmp_path / "store", features)
    said: list[str] = []
    config = tiny_config(features=features, model__factory="linear")
    with pytest.raises(AuditError, match=r"truncation: leak_centred of AAA .* `--no-audit` trains all") as caught:
        train(config, store, tmp_path / "artifacts", report=said.append)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "artifacts" / "models").exists()
    assert any(line.startswith("FAIL  truncation") for line in said)
    done = train(tiny_config(features=features, model__factory="linear", training__audit=False), store, tmp_path / "no")
    assert done.manifest["audit"] == {"skipped": True, "passed": None, "checks": []}
    assert "audit skipped" in (done.path / "training_log.txt").read_text()


def test_the_manifest_holds_the_audit(sealed: Path) -> None:
    held = json.loads((sealed / "manifest.json").read_text())["audit"]
    assert (held["skipped"], held["passed"], [check["name"] for check in held["checks"]]) == (False, True, CHECKS)


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = int(str(stop.code))
    return code, capsys.readouterr().out


def test_the_command_prints_a_table_and_fails_where_a_check_does(
    leaky: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    store = store_of(tmp_path / "store", ["logret_1", "leak_centred"])
    clean = tiny_config(features=["logret_1"], feature_modules=[str(leaky)])
    Path("config.yaml").write_text(clean.to_yaml())
    code, out = run(capsys, "audit", store.path)
    assert (code, [line.split()[:2] for line in out.splitlines()]) == (0, [["ok", name] for name in CHECKS])
    Path("config.yaml").write_text(clean.model_copy(update={"features": ["logret_1", "leak_centred"]}).to_yaml())
    code, out = run(capsys, "audit", store.path)
    assert (code, out.splitlines()[0].split()[:2]) == (1, ["FAIL", "truncation"])
    code, out = run(capsys, "audit", store.path, "--json")
    answer = json.loads(out.splitlines()[-1])
    assert (code, answer["passed"], answer["snapshot"]) == (1, False, store.snapshot)
    assert len(answer["checks"][0]["problems"]) == 1
    code, _ = run(capsys, "train", store.path, "--no-audit", "--model", "linear", "--json")
    assert code == 0
