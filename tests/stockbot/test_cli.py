"""The command line as a user meets it: exit codes, one-line errors, light help."""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stockbot.cli.options import progress
from tests.pipelines.test_build import write_ticks

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"tensorflow", "keras", "polars", "numba", "numpy", "pyarrow", "pandas", "sklearn", "onnxruntime", "matplotlib"}


def stockbot(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stockbot", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=200)


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom stockbot.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "build-features" in done.stdout
    loaded = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert not loaded & HEAVY
    assert not loaded & {"pydantic", "yaml", "rich"}


def test_build_prints_the_balance_and_one_json_object(tmp_path: Path) -> None:
    write_ticks(tmp_path / "ticks.csv", 0, 3000)
    done = stockbot("build-features", "ticks.csv", "--out", "store", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert {name for name, value in result.items() if isinstance(value, str)} == {"store", "bars", "snapshot"}
    assert result["rows_in"] == result["rows_out"] + sum(result["quarantined"].values()) == 6001
    other = stockbot("build-features", "ticks.csv", "--out", "store", "--bars", "none", cwd=tmp_path)
    assert other.returncode == 1
    assert other.stderr == (
        "error: store: holds a feature store made with other bars; give --overwrite to replace it, or another --out "
        "(kind is 'time' there, 'none' asked; size is 60000000000 there, 1 asked)\n"
    )


def test_build_prints_what_was_found_in_the_rows(tmp_path: Path) -> None:
    write_ticks(tmp_path / "ticks.csv", 0, 3000)
    (tmp_path / "config.yaml").write_text("quality: {max_gap: 3s}\n")
    done = stockbot("build-features", "ticks.csv", "--out", "store", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "rows in 6,001 = rows out 6,000 + quarantined 1" in lines
    assert any(line.startswith("non_positive_price quarantine 1 1 2023-11-14 22:13") for line in lines), lines
    assert any(line.startswith("gaps longer than 0:00:03: 5,998; the longest, AAA until 2023-11-1") for line in lines)
    assert any(line.endswith(" ticks.csv: line 6") for line in lines), lines
    quiet = stockbot("build-features", "ticks.csv", "--out", "store", "--json", cwd=tmp_path)
    assert len(quiet.stdout.splitlines()) == 1


def test_a_narrow_terminal_shows_every_reason_and_day_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ticks(tmp_path / f"{'long' * 20}.csv", 0, 3000)
    monkeypatch.setenv("FORCE_COLOR", "1")  # which makes a terminal of any output
    monkeypatch.setenv("COLUMNS", "80")
    done = stockbot("build-features", ".", "--out", "store", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith(" non_positive_price "))
    assert row.split()[:6] == ["non_positive_price", "quarantine", "1", "1", "2023-11-14", "2023-11-14"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("build-features", "nowhere.csv"), 1, "nowhere.csv"),
        (("build-features", "ticks.csv", "--bars", "tick", "--bar-size", "0"), 2, "--bars, --bar-size: `bars`: `size`"),
        (("build-features", "ticks.csv", "--bars", "tick", "--bar-size", "inf"), 2, "above 0, received 'inf'"),
        (("build-features", "ticks.csv", "--bars", "time", "--bar-size", "nan"), 2, "--bar-size: `bars`: expected a"),
        (
            ("build-features", "ticks.csv", "--bar-size", "5", "--config", "wrong.yaml"),
            2,
            "error: wrong.yaml: `windows",
        ),
        (("train", "--lookback", "0", "--epochs", "3"), 2, "error: --lookback: `windows.lookback`: Input"),
        (("build-features", "ticks.csv", "--config", "typo.yaml"), 2, "`lookbak` is not a setting"),
        (("build-features", "ticks.csv", "--column", "price"), 2, "--column: expected NAME=COLUMN"),
        (("build-features", "ticks.csv", "--policy", "late"), 2, "--policy: expected REASON=ACTION"),
        (("build-features", "ticks.csv", "--policy", "late=keep"), 2, "--policy: `quality.policy`: late: such rows"),
        (
            ("build-features", "ticks.csv", "--policy", "non_positive_price=fail"),
            1,
            "ticks.csv: line 6: non_positive_price, the first of 1 such rows: ",
        ),
        (("build-features", "empty.csv"), 1, "empty.csv"),
        (
            ("build-features", "nowhere.csv", "--out", "ticks.csv/store"),
            2,
            "ticks.csv is no folder; give another --out",
        ),
        (("build-features", "nowhere.csv", "--out", "ticks.csv"), 1, "ticks.csv: exists and is not a feature store"),
        (("build-features", "ticks.csv", "--config", "feature.yaml"), 2, "feature.yaml: `features`: feature 'rsi_14'"),
        (("chart", "nowhere", "--out", "."), 2, "received a folder or device"),
        (("sample-data", "--out", "."), 2, "which is no file of an earlier sample"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    write_ticks(tmp_path / "ticks.csv", 0, 100)
    (tmp_path / "typo.yaml").write_text("lookbak: 3\n")
    (tmp_path / "wrong.yaml").write_text("windows: {lookback: 0}\n")
    (tmp_path / "feature.yaml").write_text("features: [rsi_14]\n")
    (tmp_path / "empty.csv").write_text("")
    before = sorted(path.name for path in tmp_path.iterdir())
    done = stockbot(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_wrong_usage_is_exit_two_and_says_where_help_is(tmp_path: Path) -> None:
    done = stockbot("build-features", cwd=tmp_path)
    assert done.returncode == 2
    assert "Missing argument 'SOURCES...'" in done.stderr
    assert "--help" in done.stderr
    assert stockbot("nonsense", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("arguments", [("--debug", "verify", "nowhere"), ("verify", "nowhere", "--debug")])
def test_debug_shows_the_traceback_wherever_it_stands(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = stockbot(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"), [(("verify", "nowhere"), 1), (("verify",), 2), (("verify", "nowhere", "--debug"), 1)]
)
def test_a_failure_is_a_json_object_too(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    done = stockbot(*arguments, "--json", cwd=tmp_path)
    result = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, result["ok"], result["exit_code"]) == (code, False, code)
    assert result["error"] in done.stderr


@pytest.mark.parametrize("command", [("train", "store"), ("retrain", "--once", "ticks.csv")])
def test_a_typo_in_features_is_known_before_anything_is_touched(tmp_path: Path, command: tuple[str, ...]) -> None:
    pytest.importorskip("tensorflow", reason="training needs the train extra")
    (tmp_path / "config.yaml").write_text("features: [logret_1, rsi_wilde_14]\n")
    write_ticks(tmp_path / "ticks.csv", 0, 200)
    before = sorted(tmp_path.iterdir())
    done = stockbot(*command, cwd=tmp_path)
    assert done.returncode == 2
    assert "config.yaml: `features`: feature 'rsi_wilde_14' is not known; did you mean rsi_wilder_14" in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_bars_asked_of_candles_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"{1_700_000_000 + 60 * row},5,6,4,5,1\n" for row in range(40))
    (tmp_path / "EURUSD.csv").write_text(f"timestamp,open,high,low,close,volume\n{rows}")
    done = stockbot("build-features", "EURUSD.csv", "--bars", "time", "--bar-size", "7m", "--out", "s", cwd=tmp_path)
    assert done.returncode == 1
    assert "holds candles, which are rows already and cannot become time bars of 420 s" in done.stderr
    assert not (tmp_path / "s").exists()
    assert stockbot("build-features", "EURUSD.csv", "--out", "s", cwd=tmp_path).returncode == 0


def test_the_same_command_brings_a_store_up_to_date_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "ticks").mkdir()
    write_ticks(tmp_path / "ticks" / "a.csv", 0, 3000)
    command = ("build-features", "ticks", "--out", "store", "--json")
    planned = json.loads(stockbot(*command, "--plan", cwd=tmp_path).stdout.splitlines()[-1])
    assert (planned["symbols"], planned["due"], planned["up_to_date"]) == (2, 2, 0)
    assert not (tmp_path / "store").exists()
    first, again = (json.loads(stockbot(*command, cwd=tmp_path).stdout.splitlines()[-1]) for _ in range(2))
    assert (first["partitions"], first["skipped"], again["skipped"]) == (4, 0, 4)
    assert first["snapshot"] == again["snapshot"]
    assert again["ticks_per_second"] == 0 < first["ticks_per_second"]
    assert first["peak_rss_mb"] > 10
    write_ticks(tmp_path / "ticks" / "b.csv", 3000, 6000, ("AAA",))
    shown = stockbot("build-features", "ticks", "--out", "store", "--plan", cwd=tmp_path)
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[:2] == [
        "AAA: 1 partitions up to date, to build 2023-11-15 again, and what follows, from a.csv, b.csv: b.csv is new",
        "B/B: 2 partitions up to date, nothing to do",
    ]


def test_what_a_folder_holds_beside_data_is_told(tmp_path: Path) -> None:
    (tmp_path / "ticks").mkdir()
    write_ticks(tmp_path / "ticks" / "a.csv", 0, 500)
    for number in range(5):
        (tmp_path / "ticks" / f"{number}.csv.xz").write_bytes(b"\xfd7zXZ")
    lines = stockbot("build-features", "ticks", "--out", "store", cwd=tmp_path).stdout.splitlines()
    assert lines[1:5] == [
        *(f"ticks/{number}.csv.xz: passed over, no market data by its name" for number in range(3)),
        "... and 2 more files",
    ]
    done = stockbot("build-features", "ticks", "--out", "store", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["passed_over"] == [f"ticks/{number}.csv.xz" for number in range(5)]


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        (["--column", "prise=last"], "source.columns: unknown value 'prise'; expected one of timestamp, date"),
        (["--delimiter", "xx"], "source.delimiter: expected one character that no cell begins with, received 'xx'"),
        (["--timezone", "Mars"], "--timezone Mars: unknown time zone; expected an IANA name such as America/New_York"),
        (["--calendar", "MARS"], "source.calendar: "),
    ],
)
def test_a_hint_that_makes_no_sense_is_wrong_usage(tmp_path: Path, flag: list[str], told: str) -> None:
    write_ticks(tmp_path / "a.csv", 0, 50)
    done = stockbot("build-features", "a.csv", "--out", "store", *flag, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {told}")


def test_a_damaged_file_is_left_out_told_and_the_exit_code_is_one(tmp_path: Path) -> None:
    (tmp_path / "ticks").mkdir()
    write_ticks(tmp_path / "ticks" / "a.csv", 0, 500)
    (tmp_path / "ticks" / "b.csv.gz").write_bytes(gzip.compress(b"timestamp,price\n" * 9)[:-9])
    command = ("build-features", "ticks", "--out", "store", "--json")
    for more in (["--strict"], ["--strict", "--plan"]):
        assert stockbot(*command, *more, cwd=tmp_path).returncode == 1
    plan = stockbot(*command, "--plan", cwd=tmp_path)
    assert plan.returncode == 0
    assert [problem.startswith("ticks/b.csv.gz: ") for problem in json.loads(plan.stdout)["broken"]] == [True]
    assert plan.stderr.startswith("note: ticks/b.csv.gz: the gzip data is truncated or damaged")
    assert not (tmp_path / "store").exists()
    done = stockbot(*command, cwd=tmp_path)
    assert done.returncode == 1
    result = json.loads(done.stdout.splitlines()[-1])
    assert (len(result["broken"]), result["rows_in"]) == (1, 1001)
    assert done.stderr.startswith("error: ticks/b.csv.gz: the gzip data is truncated or damaged")
    assert done.stderr.endswith("; the store is made of the other files\n")
    assert stockbot("verify", "store", cwd=tmp_path).returncode == 0


def test_a_bar_shows_counts_unit_rate_and_note(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    with progress("building", "ticks") as advance:
        for done in (1_000_000, 2_000_000, 3_000_000):
            advance(done, 3_000_000, "7 partitions")
    shown = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", capsys.readouterr().err)]
    assert re.search(r"building .* 3,000,000/3,000,000 ticks [0-9,]+/s 7 partitions 0:00:00", " ".join(shown)), shown
