"""The chart shows what the arrays say, from a store or from a log, in colours and shapes that tell apart."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from pipelines.errors import DataError
from pipelines.schema import SourceHints
from stockbot.chart_data import chart_of
from stockbot.charts import LONG, SHORT, ChartData, draw, save_chart
from stockbot.config import Config, load_config
from stockbot.errors import StockbotError
from stockbot.evaluate import equity
from stockbot.live.replay import ReplayRequest, replay
from tests.stockbot.world import World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def of_store(world: World, **changes: object) -> ChartData:
    known: dict[str, object] = {"artifacts": world.artifacts, "model": None, "settings": Config()}
    return chart_of(world.store.path, **(known | changes))  # type: ignore[arg-type]


def test_a_store_gives_price_predictions_positions_and_equity(world: World) -> None:
    data = of_store(world, symbol="BRAVO")
    assert (data.symbol, data.model) == ("BRAVO", world.bundle.id)
    expected = equity(data.close, data.position, world.bundle.config.costs)
    np.testing.assert_array_equal(data.equity, expected)
    assert data.net_return == pytest.approx(np.expm1(expected[-1]))
    assert data.hold_return == pytest.approx(data.close[-1] / data.close[0] - 1)
    assert data.turnover == np.abs(np.diff(data.position, prepend=0)).sum()
    assert (data.threshold, data.floor) == (pytest.approx(3e-4), pytest.approx(-3e-4))


def test_what_the_model_has_seen_proves_nothing(world: World) -> None:
    last_day = datetime.combine(world.store.span()[1], datetime.min.time(), UTC)
    data, unseen = of_store(world), of_store(world, span=(last_day, None))
    assert data.seen is not None
    assert data.unseen_from == int(data.seen.sum()) == len(data.time) - len(unseen.time)
    assert data.unseen_return == pytest.approx(np.expm1(data.equity[-1] - data.equity[data.unseen_from]))
    assert "seen in training" in [text.get_text() for text in draw(data).axes[0].get_legend().get_texts()]
    assert "seen in training" not in [text.get_text() for text in draw(unseen).axes[0].get_legend().get_texts()]
    assert f"net return {100 * unseen.net_return:+.2f} %" in draw(unseen).axes[0].texts[0].get_text()
    made_of_it = of_store(world, span=(None, last_day))
    assert made_of_it.unseen_return is None
    assert "no evidence" in draw(made_of_it).axes[0].texts[0].get_text()


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
    np.testing.assert_array_equal(logged.position, stored.position[spoken])
    np.testing.assert_array_equal(logged.time, stored.time[spoken])
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
    facts = price.texts[0].get_text()
    assert data.model[:16] in facts
    assert data.unseen_return is not None
    assert f"net return on unseen rows {100 * data.unseen_return:+.2f} %" in facts
    assert f"turnover {data.turnover:,.0f}" in facts
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
