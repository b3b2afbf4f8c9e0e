"""The live loop says the same however its input is cut, agrees with the store to the bit, and stops when told."""

import dataclasses
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.bars import BarBuilder, Bars, tick_arrays
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.schema import SourceHints
from pipelines.store import FeatureStore
from stockbot.build import bar_spec, build_features
from stockbot.config import Config, load_config
from stockbot.errors import ArtifactError, UsageError
from stockbot.evaluate import Rule, predict_rows
from stockbot.live.feeds import Chunk, ReplayFeed
from stockbot.live.lane import Lane
from stockbot.live.replay import ReplayRequest, replay
from stockbot.live.risk import HaltedError, KillSwitch
from stockbot.live.runner import Runner
from stockbot.live.signals import SignalLog, read_signals
from stockbot.scored import scored_rows
from stockbot.trained_on import require_store
from stockbot.training_set import with_store_bars
from tests.pipelines.test_sessions import every_day
from tests.stockbot.world import World, candle_world, copy_artifacts, make_world, write_candles

__all__ = ["every_day"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def request(world: World, log: Path, **changes: object) -> ReplayRequest:
    known: dict[str, object] = {
        "sources": world.today, "hints": SourceHints(), "artifacts": world.artifacts, "signals": log,
        "settings": Config(), "chunk": 500,
    }  # fmt: skip
    return ReplayRequest(**(known | changes))  # type: ignore[arg-type]


def lines_of(world: World, log: Path, **changes: object) -> bytes:
    replay(request(world, log, **changes))
    return log.read_bytes()


def test_every_cut_of_the_feed_gives_the_same_lines(world: World, tmp_path: Path) -> None:
    whole = lines_of(world, tmp_path / "whole.txt", chunk=10**9)
    assert whole.count(b"\n") > 500
    for chunk in (1, 7, 1000):
        assert lines_of(world, tmp_path / f"{chunk}.txt", chunk=chunk) == whole


@pytest.mark.parametrize(("kind", "size"), [("tick", 10), ("none", 1), ("dollar", 1000.0)])
def test_every_cut_gives_the_same_lines_for_other_bars(tmp_path: Path, kind: str, size: float) -> None:
    world = make_world(tmp_path / "world", bars__kind=kind, bars__size=size)
    few = tmp_path / "few.csv"
    pl.concat(pl.read_csv(path, infer_schema=False).head(700) for path in world.today).write_csv(few)
    for start in (None, world.store.path):
        cut = {
            chunk: lines_of(
                world, tmp_path / f"{start is None}-{chunk}.txt", chunk=chunk, sources=[few], warm_start=start
            )
            for chunk in (1, 13, 10**9)
        }
        assert cut[1] == cut[13] == cut[10**9]
        assert cut[1].count(b"\n") > 10


@pytest.fixture(scope="module")
def world_of_prices(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Its features read prices alone, but bars must still tell of how many ticks they are."""
    return make_world(tmp_path_factory.mktemp("prices"), features=["logret_1", "zscore_20"])


@pytest.mark.parametrize(("kind", "size"), [("time", "1m"), ("tick", 7), ("volume", 9.5), ("dollar", 5e4), ("none", 1)])
def test_a_bar_knows_the_row_that_closed_it(world_of_prices: World, kind: str, size: str | float) -> None:
    world = world_of_prices
    config = load_config(None, {"bars.kind": kind, "bars.size": size})
    spec, plan = bar_spec(config.bars), FeaturePlan(world.config.features)
    feed = ReplayFeed([world.today[0]], SourceHints(), chunk=1)
    single = Lane("ALFA", world.bundle, spec, plan)
    closing = [number for number, chunk in zip(range(800), feed, strict=False) if single.push(chunk) is not None]
    whole = next(iter(ReplayFeed([world.today[0]], SourceHints(), chunk=800)))
    lane, found = Lane("ALFA", world.bundle, spec, plan), []
    for start, stop in ((0, 3), (3, 150), (150, 151), (151, 800)):  # the open bar is carried over each cut
        columns = {name: values[start:stop] for name, values in whole.columns.items()}
        part = Chunk(whole.kind, whole.symbols, whole.code[start:stop], whole.timestamp[start:stop], columns)
        rows = lane.push(part)
        found += [] if rows is None else (start + rows.closed_by).tolist()
    assert found == closing
    assert len(found) > 5


def test_ticks_of_one_instant_are_signals_of_their_own(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", bars__kind="none")
    report = replay(request(world, tmp_path / "log.txt", sources=world.today[:1]))
    log = read_signals(tmp_path / "log.txt")
    assert log["bar"].is_duplicated().any()
    assert log["signal_id"].n_unique() == log.height == sum(report["signals"].values())
    assert "already_logged" not in report["skipped"]


def test_live_features_equal_the_store_to_the_bit(world: World, tmp_path: Path) -> None:
    everything = build_features([*world.history, *world.today], world.config, tmp_path / "all")[0].store
    feed = ReplayFeed([*world.history, *world.today], SourceHints(), chunk=997)
    spec, plan = bar_spec(world.config.bars), FeaturePlan(world.config.features)
    lanes = {name: Lane(name, world.bundle, spec, plan) for name in world.store.symbols}
    seen: dict[str, list[np.ndarray]] = {name: [] for name in lanes}
    for chunk in feed:
        for code, name in enumerate(chunk.symbols):
            mine = chunk.code == code
            columns = {column: values[mine] for column, values in chunk.columns.items()}
            rows = lanes[name].push(Chunk(chunk.kind, chunk.symbols, chunk.code[mine], chunk.timestamp[mine], columns))
            if rows is not None:
                seen[name].append(rows.features)
    for name, parts in seen.items():
        stored = everything.read(name, everything.features, closed_only=True).to_numpy()
        live = np.concatenate(parts)
        assert live.dtype == stored.dtype == np.float32
        assert live.tobytes() == np.ascontiguousarray(stored).tobytes()


def test_live_bars_of_quotes_equal_research_to_the_bit(world: World, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    stamps = 1_700_000_000_000 + np.cumsum(rng.integers(1, 5_000, 300))
    bid = np.round(10.0 + 0.01 * np.cumsum(rng.integers(-1, 2, 300)), 2)
    sizes = {name: rng.integers(1, 9, 300) for name in ("bid_size", "ask_size")}
    frame = pl.DataFrame({"timestamp": stamps, "symbol": "ALFA", "bid": bid, "ask": bid + 0.02, **sizes})
    frame.write_csv(tmp_path / "quotes.csv")
    feed = ReplayFeed([tmp_path / "quotes.csv"], SourceHints(), chunk=1)
    spec = bar_spec(world.config.bars)
    lane = Lane("ALFA", world.bundle, spec, FeaturePlan(world.config.features))
    live = [rows.bars for chunk in feed if (rows := lane.push(chunk)) is not None]
    research = BarBuilder(spec).update(*tick_arrays(feed.ingested.frame))
    assert len(research) > 5
    assert np.isfinite(research.quote_flow).all()
    assert Bars.concatenate(live).columns.tobytes() == research.columns.tobytes()


def test_a_warm_start_equals_a_replay_of_the_whole_history(world: World, tmp_path: Path) -> None:
    lines_of(world, tmp_path / "cold.txt", sources=[*world.history, *world.today])
    lines_of(world, tmp_path / "warm.txt", warm_start=world.store.path)
    cold, warm = (read_signals(tmp_path / name).drop("seq") for name in ("cold.txt", "warm.txt"))
    ends = {name: world.store.read(name, closed_only=True)["timestamp"][-1] for name in world.store.symbols}
    later = cold.filter(pl.col("bar") > pl.col("symbol").replace_strict(ends, return_dtype=cold["bar"].dtype))
    assert warm.height > 500
    assert warm.equals(later)


def test_lines_agree_with_the_batch_predictions_of_the_store(world: World, tmp_path: Path) -> None:
    lines_of(world, tmp_path / "log.txt", sources=[*world.history, *world.today])
    everything = build_features([*world.history, *world.today], world.config, tmp_path / "all")[0].store
    rule = Rule.of(world.bundle.config)
    for name in everything.symbols:
        frame = everything.read(name, closed_only=True)
        stamps = frame["timestamp"].to_physical().to_numpy()
        batch = predict_rows(world.bundle, frame.select(world.bundle.features).to_numpy(order="c"), stamps)
        live = read_signals(tmp_path / "log.txt").filter(pl.col("symbol") == name)
        assert live["bar"].to_list() == frame["timestamp"].filter(pl.Series(np.isfinite(batch))).to_list()
        np.testing.assert_allclose(live["prediction"].to_numpy(), batch[np.isfinite(batch)], atol=1e-9)
        named = {1: "LONG", 0: "FLAT", -1: "SHORT"}
        assert live["action"].to_list() == [named[int(p)] for p in rule.positions(batch[np.isfinite(batch)])]
        assert set(live["action"]) == {"LONG", "SHORT", "FLAT"}


@pytest.mark.usefixtures("every_day")
def test_the_lines_of_a_model_of_sessions_are_those_of_its_windows(world: World, tmp_path: Path) -> None:
    config = load_config(None, world.config.model_dump() | {"source": {"calendar": "XNYS"}})
    bundle = dataclasses.replace(world.bundle, config=config)
    feed = ReplayFeed([*world.history, *world.today], SourceHints(), chunk=500)
    with SignalLog(tmp_path / "log.txt", mode="DRY") as log:
        Runner(bundle, Rule.of(config), log=log, kill=KillSwitch(world.artifacts)).run(feed)
    store = build_features([*world.history, *world.today], config, tmp_path / "store")[0].store
    require_store(store, bundle)
    assert with_store_bars(world.config, store).source.calendar == "XNYS"
    said = read_signals(tmp_path / "log.txt")
    for name in store.symbols:
        rows = scored_rows(store, name, bundle, Rule.of(config))
        known = rows.frame["timestamp"].filter(pl.Series(np.isfinite(rows.prediction)))
        assert said.filter(pl.col("symbol") == name)["bar"].to_list() == known.to_list()
        matrix = rows.frame.select(bundle.features).to_numpy(order="c")
        plain = predict_rows(bundle, matrix, rows.frame["timestamp"].to_physical().to_numpy())
        assert len(known) < np.isfinite(plain).sum()  # some windows lay across an open or a close


def test_nothing_is_said_during_warm_up_nor_after_a_gap(world: World, tmp_path: Path) -> None:
    report = replay(request(world, tmp_path / "log.txt", sources=world.history))
    log = read_signals(tmp_path / "log.txt")
    warming = 19 + world.bundle.lookback - 1  # zscore_20 has its first value in the 20th row
    for name in world.store.symbols:
        frame = world.store.read(name, closed_only=True)
        assert log.filter(pl.col("symbol") == name)["bar"][0] == frame["timestamp"][warming]
        after = frame["timestamp"].filter(frame["timestamp"].diff() > timedelta(minutes=5))
        said = set(log.filter(pl.col("symbol") == name)["bar"])
        assert len(after) > 0
        assert not said & set(after)
    assert report["skipped"]["warm_up"] == 2 * warming
    assert report["skipped"]["gap"] > 0
    assert report["bars"] == sum(report["signals"].values()) + sum(report["skipped"].values())


def test_a_second_run_adds_only_what_is_missing(world: World, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    whole = lines_of(world, log)
    log.write_bytes(whole[: len(whole) // 2])
    report = replay(request(world, log))
    assert log.read_bytes() == whole
    assert report["skipped"]["already_logged"] > 100


class KillingFeed:
    """Passes chunks on, and acts once after some of them."""

    def __init__(self, feed: ReplayFeed, after: int, act: object) -> None:
        self._feed, self._after, self._act = feed, after, act
        self.closed = False

    def __iter__(self) -> Iterator[Chunk]:
        for number, chunk in enumerate(self._feed):
            if number == self._after:
                self._act()  # type: ignore[operator]
            yield chunk

    def close(self) -> None:
        self.closed = True


def run_until(world: World, folder: Path, act: object) -> tuple[Runner, KillingFeed, Path]:
    artifacts = copy_artifacts(world, folder)
    kill = KillSwitch(artifacts)
    feed = KillingFeed(ReplayFeed(world.today, SourceHints(), chunk=100), 20, act)
    with SignalLog(folder / "log.txt", mode="DRY") as log, kill.listening():
        runner = Runner(world.bundle, Rule.of(world.bundle.config), log=log, kill=kill)
        try:
            runner.run(feed)
        finally:
            assert feed.closed
    return runner, feed, artifacts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_ends_the_run_cleanly(world: World, tmp_path: Path, number: signal.Signals) -> None:
    runner, _, _ = run_until(world, tmp_path, lambda: os.kill(os.getpid(), number))
    assert runner.report.stopped_by == number.name
    assert runner.report.rows == 2000
    assert read_signals(tmp_path / "log.txt").height == sum(runner.report.signals.values())


def test_a_kill_file_halts_before_the_next_line(world: World, tmp_path: Path) -> None:
    with pytest.raises(HaltedError, match="halted by"):
        run_until(world, tmp_path, lambda: (tmp_path / "artifacts" / "KILL").touch())
    written = read_signals(tmp_path / "log.txt")
    with SignalLog(tmp_path / "reference.txt", mode="DRY") as log:
        runner = Runner(world.bundle, Rule.of(world.bundle.config), log=log, kill=KillSwitch(world.artifacts))
        for number, chunk in enumerate(ReplayFeed(world.today, SourceHints(), chunk=100)):
            if number < 20:
                runner._take(chunk)
    assert written.equals(read_signals(tmp_path / "reference.txt"))


def test_the_kill_file_is_asked_between_the_bars_of_one_chunk(world: World, tmp_path: Path) -> None:
    artifacts = copy_artifacts(world, tmp_path)

    class Tripwire(SignalLog):
        def append(self, signal):  # type: ignore[no-untyped-def]
            added = super().append(signal)
            if self._seq == 10:
                (artifacts / "KILL").touch()
            return added

    with Tripwire(tmp_path / "log.txt", mode="DRY") as log:
        runner = Runner(world.bundle, Rule.of(world.bundle.config), log=log, kill=KillSwitch(artifacts))
        with pytest.raises(HaltedError):
            runner.run(ReplayFeed(world.today, SourceHints(), chunk=10**9))
    assert read_signals(tmp_path / "log.txt").height == 10


def test_a_run_does_not_start_under_a_kill_file(world: World, tmp_path: Path) -> None:
    artifacts = copy_artifacts(world, tmp_path)
    (artifacts / "KILL").touch()
    with pytest.raises(HaltedError):
        replay(request(world, tmp_path / "log.txt", artifacts=artifacts))
    assert not (tmp_path / "log.txt").exists()


def test_live_lines_need_the_configuration(world: World, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"live\.enabled"):
        replay(request(world, tmp_path / "log.txt", live=True))
    enabled = load_config(None, {"live.enabled": True})
    assert b" LIVE " in lines_of(world, tmp_path / "log.txt", live=True, settings=enabled)


def test_stated_thresholds_replace_those_of_the_model(world: World, tmp_path: Path) -> None:
    own = replay(request(world, tmp_path / "own.txt"))
    stated = load_config(None, {"live.threshold_bps": 50.0})
    wide = replay(request(world, tmp_path / "wide.txt", settings=stated))
    assert own["threshold"] == pytest.approx(3e-4)
    assert wide["threshold"] == pytest.approx(5e-3)
    assert wide["signals"]["LONG"] < own["signals"]["LONG"]


def test_a_warm_start_that_does_not_fit_is_refused(world: World, tmp_path: Path) -> None:
    other = load_config(None, world.config.model_dump() | {"features": ["logret_1"]})
    store: FeatureStore = build_features(world.history, other, tmp_path / "narrow")[0].store
    with pytest.raises(ArtifactError, match="lacks zscore_20, ofi_5, tod_sin"):
        replay(request(world, tmp_path / "log.txt", warm_start=store.path))
    coarse = load_config(None, world.config.model_dump() | {"bars": {"kind": "time", "size": "5m"}})
    store = build_features(world.history, coarse, tmp_path / "coarse")[0].store
    with pytest.raises(ArtifactError, match="holds time bars of 300 s"):
        replay(request(world, tmp_path / "log.txt", warm_start=store.path))


@pytest.mark.parametrize(("kind", "size"), [("time", "1m"), ("tick", 10), ("none", 1)])
def test_a_warm_start_leaves_out_what_the_store_has_seen(tmp_path: Path, kind: str, size: float) -> None:
    world = make_world(tmp_path / "world", bars__kind=kind, bars__size=size)
    few = tmp_path / "few.csv"
    pl.concat(pl.read_csv(path, infer_schema=False).head(400) for path in world.today).write_csv(few)
    known = {"warm_start": world.store.path, "chunk": 1000}
    replay(request(world, tmp_path / "plain.txt", sources=[few], **known))
    again = replay(request(world, tmp_path / "again.txt", sources=[*world.history, few], **known))
    assert again["rows_in_warm_start"] > 10_000
    plain, repeated = (read_signals(tmp_path / name) for name in ("plain.txt", "again.txt"))
    assert plain.height > 2
    assert plain.equals(repeated)


def test_candles_are_replayed_too(tmp_path: Path) -> None:
    world = candle_world(tmp_path)
    (source,) = world.today
    cut = [
        lines_of(world, tmp_path / f"{chunk}.txt", sources=[source], chunk=chunk, hints=SourceHints(symbol="X"))
        for chunk in (1, 9, 10**9)
    ]
    assert cut[0] == cut[1] == cut[2]
    signals = read_signals(tmp_path / "1.txt")
    assert signals.height == 200 - 4 - world.bundle.lookback + 1
    assert (signals["known_at"] - signals["bar"]).unique().to_list() == [timedelta(minutes=1)]
    exported = scored_rows(world.store, "X", world.bundle, Rule.of(world.bundle.config)).actionable_at
    np.testing.assert_array_equal(signals["known_at"].to_physical().to_numpy(), exported[-len(signals) :])


def test_a_feed_of_another_kind_is_refused(world: World, tmp_path: Path) -> None:
    candles = candle_world(tmp_path)
    (source,) = candles.today
    with pytest.raises(ArtifactError, match=r"the feed brings candles, but model \w+ was trained on ticks"):
        replay(request(world, tmp_path / "a.txt", sources=[source]))
    with pytest.raises(ArtifactError, match=r"the feed brings ticks, but model \w+ was trained on candles"):
        replay(request(candles, tmp_path / "b.txt", sources=world.today))
    with pytest.raises(ArtifactError, match=r"holds ticks, but model \w+ was trained on candles"):
        replay(request(candles, tmp_path / "c.txt", sources=[source], warm_start=world.store.path))


def test_candles_of_another_length_are_refused(tmp_path: Path) -> None:
    world = candle_world(tmp_path)
    hours = write_candles(tmp_path / "hours.csv", step_seconds=3600)
    with pytest.raises(ArtifactError, match=r"brings candles of 3600 s, but model \w+ was trained on candles of 60 s"):
        replay(request(world, tmp_path / "log.txt", sources=[hours], hints=SourceHints(symbol="X")))


def test_no_source_is_one_line(world: World, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        replay(request(world, tmp_path / "log.txt", sources=[tmp_path / "absent.csv"]))


def test_a_run_that_is_refused_leaves_nothing(world: World, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    (source,) = candle_world(tmp_path).today
    coarse = load_config(None, world.config.model_dump() | {"bars": {"kind": "time", "size": "5m"}})
    unlike = build_features(world.history, coarse, tmp_path / "unlike")[0].store
    damaged = build_features(world.history, world.config, tmp_path / "damaged")[0].store
    (damaged.path / damaged.manifest["symbols"]["BRAVO"]["state"]["path"]).write_bytes(b"altered")
    refusals: list[dict[str, object]] = [
        {"sources": [tmp_path / "absent.csv"]}, {"sources": [source], "hints": SourceHints(symbol="X")},
        {"warm_start": unlike.path}, {"warm_start": damaged.path}, {"warm_start": tmp_path},
    ]  # fmt: skip
    for changes in refusals:
        with pytest.raises((DataError, ArtifactError)):
            replay(request(world, logs / "signals.txt", **changes))
        assert not logs.exists()


def test_a_live_run_takes_old_bars_for_expired_and_a_later_one_does_not_revive_them(
    world: World, tmp_path: Path
) -> None:
    enabled = load_config(None, {"live.enabled": True})
    report = replay(request(world, tmp_path / "log.txt", live=True, settings=enabled))
    assert report["signals"] == {"LONG": 0, "SHORT": 0, "FLAT": 0, "EXPIRED": read_signals(tmp_path / "log.txt").height}
    forever = load_config(None, {"live.enabled": True, "live.max_signal_age": "20000d"})
    again = replay(request(world, tmp_path / "log.txt", live=True, settings=forever))
    assert sum(again["signals"].values()) == 0
    fresh = replay(request(world, tmp_path / "fresh.txt", live=True, settings=forever))
    assert fresh["signals"] == replay(request(world, tmp_path / "dry.txt"))["signals"]
