"""The names that columns go by, and the hints that the user may give."""

import pytest

from pipelines.errors import DataError
from pipelines.schema import ALIASES, HINT_NAMES, SourceHints, empty_rejected, normalise


@pytest.mark.parametrize("name", ["<DATE>", " Date ", '"date"', "DATE", "date"])
def test_normalised_names(name: str) -> None:
    assert normalise(name) == "date"


def test_words_are_joined() -> None:
    assert normalise("Date and Time") == normalise("DATE-AND  TIME") == "date_and_time"


def test_every_alias_is_in_normal_form_and_means_one_thing() -> None:
    seen: dict[str, str] = {}
    for canonical, aliases in ALIASES.items():
        for alias in aliases:
            assert normalise(alias) == alias
            assert seen.setdefault(alias, canonical) == canonical


def test_hints_are_those_of_the_config() -> None:
    assert HINT_NAMES == (
        "kind", "columns", "timezone", "date_order", "time_unit", "symbol", "table", "timeframe",
        "delimiter", "header", "quality",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "bars"),
        ("date_order", "ydm"),
        ("time_unit", "minutes"),
        ("columns", {"prize": "p"}),
        ("delimiter", "::"),
        ("delimiter", '"'),
        ("delimiter", "5"),
    ],
)
def test_values_outside_the_choices_are_refused(name: str, value: object) -> None:
    with pytest.raises(DataError, match=rf"source\.{name}"):
        SourceHints(**{name: value})  # type: ignore[arg-type]


def test_empty_rejected_frame() -> None:
    assert empty_rejected().columns == ["file", "line", "reason", "raw"]
    assert empty_rejected().height == 0
