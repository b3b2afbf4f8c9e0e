"""`stockbot-hp features`, and the page that describes them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipelines.catalogue import FAMILIES, SETS, parse_feature
from stockbot.cli import cli, main

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
OURS = {name: family for name, family in FAMILIES.items() if family.build.__module__.startswith("pipelines.catalogue")}


def features(*arguments: str) -> Result:
    done = CliRunner().invoke(cli, ["features", *arguments])
    assert done.exit_code == 0, done.output
    return done


def test_without_names_every_family_is_a_line_with_its_cost() -> None:
    lines = features().stdout.splitlines()
    assert lines[0].split() == ["example", "warm-up", "ns/row", "says", "[unit]"]
    costs = {}
    for line in lines[1:-2]:
        name, warmup, cost, rest = line.split(maxsplit=3)
        one = parse_feature(name)
        assert (int(warmup), rest) == (one.warmup, f"{one.family.summary} [{one.family.unit}]")
        costs[name] = float(cost)
    assert list(costs) == [family.example for family in FAMILIES.values()]
    assert min(costs.values()) > 0.0
    assert lines[-1].startswith(f"{len(FAMILIES)} families; sets: ")
    assert "core17 (17), ticks60 (68)" in lines[-1]


def test_names_are_shown_with_their_definitions() -> None:
    assert features("ma_dev_30", "--no-cost").stdout.splitlines()[:4] == [
        "ma_dev_30",
        "  price over its rolling mean, minus 1 [ratio]",
        "  = close / rolling_mean(close, 30) - 1",
        "  reads close; first value in row 30",
    ]
    assert re.search(r"first value in row 30; \d+\.\d ns a row\n", features("ma_dev_30").stdout)


def test_json_is_one_object_with_every_member_of_a_set() -> None:
    made = json.loads(features("core17", "rsi_wilder_30", "--json").stdout)
    assert [one["name"] for one in made["features"]] == [*SETS["core17"], "rsi_wilder_30"]
    assert made["sets"]["core17"] == 17
    last = made["features"][-1]
    assert last.pop("cost") > 0.0
    assert last == {
        "name": "rsi_wilder_30",
        "summary": "Wilder's relative strength index; 50 when flat",
        "definition": "rsi(close, 30)",
        "unit": "0 to 100",
        "warmup": 30,
        "inputs": ["close"],
    }


def test_nothing_is_measured_when_it_is_not_asked_for() -> None:
    made = json.loads(features("alpha360", "--no-cost", "--json").stdout)
    assert len(made["features"]) == 360
    assert {one["cost"] for one in made["features"]} == {None}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rsi", "error: NAMES: feature 'rsi' is not known; did you mean rsi_wilder_14 or"),
        ("rsi_14", "error: NAMES: feature 'rsi_14' is not known; did you mean rsi_wilder_14 or"),
        ("zscore_1", "error: NAMES: feature 'zscore_1': expected 1 whole numbers from 2 to"),
    ],
)
def test_a_name_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str], name: str, message: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["features", name])
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(message)
    assert told.count("\n") == 1


def test_help_is_light() -> None:
    program = (
        "import sys\nfrom stockbot.cli import main\n"
        "try: main(['features', '--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "stockbot-hp features core17" in done.stdout
    assert not {"numba", "numpy", "polars"} & set(done.stdout.splitlines()[-1].split())


def row_of(name: str) -> str:
    """The row of the page on a family."""
    one = parse_feature(OURS[name].example)
    cells = (
        [f"`{one.name}`", f"`{one.expression}`", str(one.warmup)]
        if name.startswith("alpha_")
        else [f"`{one.name}`", one.family.summary, one.family.unit, str(one.warmup), " ".join(one.inputs)]
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def test_the_page_says_of_every_family_what_the_catalogue_says() -> None:
    tables = PAGE.partition("## The families")[2]
    assert [line for line in tables.splitlines() if line.startswith("| `")] == [row_of(name) for name in OURS]


def test_the_page_says_how_many_features_each_set_has() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", PAGE.partition("## The families")[0], re.MULTILINE))
    assert told == {name: str(len(members)) for name, members in SETS.items()}
