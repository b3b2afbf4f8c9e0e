"""The chart shows what the arrays say, from a store or from a log, in colours and shapes that tell apart."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.dates import date2num
from matplotlib.image import imread

from pipelines.errors import DataError
from pipelines.schema import SourceHints
from stockbot.chart_data import chart_of
from stockbot.charts import LONG, SHORT, ChartData, draw, save_chart
from stockbot.cli.chart import command
from stockbot.config import Config, load_config
from stockbot.errors import StockbotError
from stockbot.evaluate import equity
from stockbot.live.replay import ReplayRequest, replay
from stockbot.live.signals import Signal, SignalLog
from tests.stockbot.world import World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def of_store(world: World, **changes: object) -> ChartData:
    known: dict[str, object] = {"artifacts": world.artifacts, "model": None, "settings": Config()}
    return chart_of(world.store.path, **(known | changes))  # type: ignore[arg-type]


def last_day(world: World) -> datetime:
    return datetime.combine(world.store.span()[1], datetime.min.time(), UTC)


def facts(data: ChartData) -> str:
    return draw(data).axes[0].texts[0].get_text()


def test_a_store_gives_price_predictions_positions_and_the_worth_of_unseen_rows(world: World) -> None:
    data, unseen = of_store(world, symbol="BRAVO"), of_store(world, symbol="BRAVO", span=(last_day(world), None))
    assert (data.symbol, data.model) == ("BRAVO", world.bundle.id)
    assert (data.threshold, data.floor) == (pytest.approx(3e-4), pytest.approx(-3e-4))
    assert data.seen is not None
    assert data.judged_from == int(data.seen.sum()) == len(data.time) - len(unseen.time)
    expected = equity(unseen.close, unseen.position, world.bundle.config.costs)
    np.testing.assert_array_equal(unseen.equity, expected)
    np.testing.assert_allclose(data.equity[data.judged_from :], expected, atol=1e-12)
    assert data.net_return == pytest.approx(np.expm1(expected[-1]))
    assert data.hold_return == pytest.approx(unseen.close[-1] / unseen.close[0] - 1)
    assert data.turnover == np.abs(np.diff(unseen.position, prepend=0)).sum()
    assert data.judged_rows == unseen.judged_rows == len(unseen.time)
    assert facts(data) == facts(unseen)


def test_what_the_model_has_seen_proves_nothing(world: World) -> None:
    data, made_of_it = of_store(world), of_store(world, span=(None, last_day(world)))
    assert "seen in training" in [text.get_text() for text in draw(data).axes[0].get_legend().get_texts()]
    assert f"on {data.judged_rows:,} unseen rows" in facts(data)
    assert made_of_it.judged_rows == len(made_of_it.time)
    assert f"on {len(made_of_it.time):,} rows seen in training: no evidence" in facts(made_of_it)


def test_a_log_gives_the_same_prices_and_positions_as_the_store(world: World, tmp_path: Path) -> None:
    request = ReplayRequest(
        sources=world.history, hints=SourceHints(), artifacts=world.artifacts, signals=tmp_path / "signals.txt",
        settings=Config(), chunk=1000,
    )  # fmt: skip
    replay(request)
    logged = chart_of(tmp_path / "signals.txt", artifacts=tmp_path, model=None, settings=Config(), symbol="ALFA")
    stored = of_store(world, symbol="ALFA")
    spoken = np.isfinite(stored.prediction)
    np.testing.assert_array_equal(logged.close, stored.close[spoken])
    np.testing.assert_array_equal(logged.time, stored.time[spoken])
    standing = np.append(np.diff(logged.time) <= np.timedelta64(300, "s"), True)
    np.testing.assert_array_equal(logged.position, np.where(standing, stored.position[spoken], 0))
    assert f"on {len(logged.time):,} logged rows, flat across pauses" in facts(logged)
    assert (logged.objective, logged.threshold) == ("regression", pytest.approx(3e-4))
    with pytest.raises(StockbotError, match="it holds"):
        chart_of(tmp_path / "signals.txt", artifacts=tmp_path, model=None, settings=Config(), symbol="NOPE")


def test_the_span_cuts_by_label(world: World) -> None:
    first = datetime(2024, 3, 8, 6, tzinfo=UTC)
    data = of_store(world, span=(first, datetime(2024, 3, 8, 7, tzinfo=UTC)))
    assert data.time[0] == np.datetime64("2024-03-08T06:01:00")
    assert data.time[-1] == np.datetime64("2024-03-08T07:00:00")
    with pytest.raises(StockbotError, match="widen --from and --to"):
        of_store(world, span=(datetime(2030, 1, 1, tzinfo=UTC), None))


def test_the_figure_has_three_panels_a_title_and_a_marker_for_each_entry(world: World) -> None:
    data = of_store(world)
    figure = draw(data)
    price, prediction, worth = figure.axes
    assert price.get_title(loc="left") == "ALFA"
    assert f"signal after costs {100 * data.net_return:+.2f} %" in facts(data)
    assert f"turnover {data.turnover:,.0f}" in facts(data)
    assert data.model[:16] in price.texts[1].get_text()
    assert [panel.get_ylabel() for panel in figure.axes] == ["price", "prediction (bps)", "return (%)"]
    assert worth.get_xlabel() == "time (UTC)"
    changes = np.diff(data.position, prepend=0) != 0
    for markers, side in zip(price.collections[:2], (1, -1), strict=True):
        assert len(markers.get_offsets()) == int((changes & (data.position == side)).sum())
    assert {line.get_linestyle() for line in prediction.lines} >= {"--"}


def test_few_rows_are_candles_and_many_are_a_line(world: World) -> None:
    hour = (datetime(2024, 3, 8, 6, tzinfo=UTC), datetime(2024, 3, 8, 7, tzinfo=UTC))
    candles, line = draw(of_store(world, span=hour)), draw(of_store(world))
    assert (len(candles.axes[0].lines), len(line.axes[0].lines)) == (0, 1)


def test_a_single_row_beyond_a_threshold_is_shaded(world: World) -> None:
    data = of_store(world, symbol="ALFA", span=(last_day(world), None))
    prediction = np.zeros(len(data.time))
    prediction[50], prediction[70] = 1e-3, -1e-3
    shades = draw(dataclasses.replace(data, prediction=prediction)).axes[1].collections[:2]
    for shade, row, extreme in zip(shades, (50, 70), (10.0, -10.0), strict=True):
        corners = shade.get_paths()[0].vertices
        begin, end = date2num(data.time[row : row + 2])
        beyond = corners[corners[:, 1] == extreme]
        assert (beyond[:, 0].min(), beyond[:, 0].max()) == (begin, end)


def test_the_time_axis_names_days_where_they_begin_and_needs_no_corner_text(world: World) -> None:
    figure = draw(of_store(world, span=(last_day(world), None)))
    figure.canvas.draw()
    axis = figure.axes[2].xaxis
    assert [label.get_text() for label in axis.get_ticklabels()][:2] == ["08 Mar", "03:00"]
    assert axis.get_offset_text().get_text() == ""


def test_a_symbol_in_any_script_is_drawn_without_a_warning(world: World, tmp_path: Path) -> None:
    data = dataclasses.replace(of_store(world), symbol="比特幣/$A$ é")
    save_chart(data, tmp_path / "chart.png")
    assert draw(data).axes[0].get_title(loc="left").endswith("/$A$ é")


def test_long_and_short_differ_in_brightness_too() -> None:
    def brightness(colour: str) -> float:
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    assert abs(brightness(LONG) - brightness(SHORT)) > 50


def test_the_png_is_an_image_and_a_direction_model_is_drawn_as_probability(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", labels__objective="direction")
    data = of_store(world)
    assert (data.threshold, data.floor) == (0.55, pytest.approx(0.45))
    assert draw(data).axes[1].get_ylabel() == "P(up)"
    save_chart(data, tmp_path / "deep" / "chart.png")
    height, width = imread(tmp_path / "deep" / "chart.png").shape[:2]
    assert (height, width) == (1350, 1950)


def test_one_row_cannot_be_drawn(world: World) -> None:
    minute = (datetime(2024, 3, 8, 6, tzinfo=UTC), datetime(2024, 3, 8, 6, 1, tzinfo=UTC))
    with pytest.raises(StockbotError, match="expected at least 2"):
        draw(of_store(world, span=minute))


def test_costs_that_are_stated_replace_those_of_the_model(world: World) -> None:
    dear = of_store(world, settings=load_config(None, {"costs.fee_bps": 20.0}))
    assert dear.threshold == pytest.approx(41e-4)
    assert dear.turnover < of_store(world).turnover


def test_a_source_that_is_nothing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="signal log"):
        chart_of(tmp_path / "absent", artifacts=tmp_path, model=None, settings=Config())


def write_log(path: Path, minutes: list[int], prices: list[float]) -> None:
    with SignalLog(path, mode="DRY") as log:
        for minute, price in zip(minutes, prices, strict=True):
            log.append(
                Signal(
                    symbol="BTC/USD:PERP",
                    bar=minute * 60 * 10**9,
                    known_at=(minute + 1) * 60 * 10**9,
                    action="LONG",
                    prediction=0.1,
                    threshold=0.01,
                    price=price,
                    horizon=1,
                    model="m",
                    commit="c",
                )
            )


def test_no_position_is_held_where_the_log_is_silent(tmp_path: Path) -> None:
    write_log(tmp_path / "signals.txt", [*range(30), 1000, 1001], [1.0] * 30 + [5.0] * 2)
    free = load_config(None, {"costs.fee_bps": 0.0, "costs.slippage_bps": 0.0})
    data = chart_of(tmp_path / "signals.txt", artifacts=tmp_path, model=None, settings=free)
    assert data.position.tolist() == [1] * 29 + [0, 1, 1]
    assert (data.net_return, data.hold_return) == (0.0, pytest.approx(4.0))


def test_the_default_name_of_a_chart_is_one_that_every_system_takes(tmp_path: Path) -> None:
    write_log(tmp_path / "signals.txt", [0, 1, 2], [1.0, 2.0, 3.0])
    result = CliRunner().invoke(command, [str(tmp_path / "signals.txt"), "--artifacts", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "charts").iterdir()] == ["BTC-USD-PERP.png"]
