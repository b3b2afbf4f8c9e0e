"""The table: its figures, its goals, its picture."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks import goals, kernel_speed, plot
from benchmarks.measuring import medians


def test_a_case_is_measured_held_to_its_goals_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures, made = kernel_speed.bench(3000, ["return", "log return"])
    assert [entry["case"] for entry in figures] == ["return", "log return"]
    for entry in figures:
        ns = entry["ns_per_row"]
        assert {"copy", "reused", "allocating", entry["best_peer"]} <= set(ns)
        assert entry["ratio_reused"] == ns[entry["best_peer"]] / ns["reused"]
    said = capsys.readouterr().out
    assert "\nreturn " in said
    assert "\nlog return " in said
    assert len(made) == 5
    plot.draw(figures, 3000, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_a_goal_over_many_names_those_that_miss_it() -> None:
    goal = goals.each_at_least("ratio", {"a": 2.0, "b": 1.2, "c": 1.5}, 1.5)
    assert (goal.is_met, goal.reached, goal.missed) == (False, 1.2, ("b",))
    assert goal.line().startswith("MISSED")
    assert goal.line().endswith("missed by b")
    assert goals.each_at_most("copy", {"a": 2.0, "b": 1.2}, 2.0).is_met


def test_a_rival_that_decides_nothing_is_timed_once() -> None:
    runs: Counter[str] = Counter()

    def work(name: str, size: int) -> None:
        runs[name] += 1
        sum(range(size))

    sizes = {"ours": 3_000_000, "near": 30_000, "far": 3_000_000}
    calls = {name: lambda name=name, size=size: work(name, size) for name, size in sizes.items()}
    found = medians({"ours": calls.pop("ours")}, calls, rounds=4)
    assert set(found) == set(sizes)
    assert runs == {"ours": 5, "near": 5, "far": 2}
