"""Kernels against the fastest libraries that do the same: ns a row, interleaved, medians, one thread, one process.

    python -m benchmarks.kernel_speed                                  # 10 million rows, all cases
    python -m benchmarks.kernel_speed --rows 1000000 --cases mean EMA  # those whose names begin so

`reused` writes into a reused array, `alloc` allocates its result as the peers must. A ratio above 1 is ours faster.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import goals
from benchmarks.cases import CASES, Case
from benchmarks.data import Arrays, market
from benchmarks.measuring import medians
from benchmarks.peers import PEERS, peers_of

Figures = dict[str, Any]
ROWS = 10_000_000
_HEAD = f"{'ns a row':<26}{'reused':>8}{'alloc':>8}{'best peer':>11} {'':<11}{'ratio':>7}{'alloc':>7}{'/ copy':>8}"


def bench(rows: int = ROWS, names: Sequence[str] = ("",)) -> tuple[list[Figures], list[goals.Goal]]:
    """Measure and print the cases whose names begin with one of `names`."""
    data, out = market(rows), np.empty(rows)
    print(f"{rows:,} rows\n{_HEAD}")
    found = []
    for case in CASES:
        if case.kernel in PEERS and case.name.startswith(tuple(names)):
            found.append(_measured(case, data, out))
            print(_line(found[-1]), flush=True)
    return found, _goals(found)


def _measured(case: Case, data: Arrays, out: np.ndarray) -> Figures:
    rivals = peers_of(case, data)
    ours = {
        "copy": lambda: np.copyto(out, data["price"]),
        "reused": case.reusing(data),
        "allocating": case.allocating(data),
    }
    ns = {name: spent / len(out) * 1e9 for name, spent in medians(ours, rivals).items()}
    best = min(rivals, key=lambda peer: ns[peer])
    return {
        "case": case.name,
        "ns_per_row": ns,
        "best_peer": best,
        "ratio_reused": ns[best] / ns["reused"],
        "ratio_allocating": ns[best] / ns["allocating"],
        "times_a_copy": ns["reused"] / ns["copy"],
        "near_copy": case.near_copy,
    }


def _line(figures: Figures) -> str:
    ns, best = figures["ns_per_row"], figures["best_peer"]
    ratios = f"{figures['ratio_reused']:>6.2f}x{figures['ratio_allocating']:>6.2f}x{figures['times_a_copy']:>7.1f}x"
    return f"{figures['case']:<26}{ns['reused']:>8.2f}{ns['allocating']:>8.2f}{ns[best]:>11.2f} {best:<11}{ratios}"


def _goals(found: list[Figures]) -> list[goals.Goal]:
    reused = {figures["case"]: figures["ratio_reused"] for figures in found}
    allocating = {figures["case"]: figures["ratio_allocating"] for figures in found}
    copies = {figures["case"]: figures["times_a_copy"] for figures in found if figures["near_copy"]}
    made = [
        goals.each_at_least("best peer / ours, reused buffer, least of all cases", reused, 1.5),
        goals.at_least("best peer / ours, reused buffer, geometric mean", _geometric_mean(reused), 2.2),
        goals.each_at_least("best peer / ours, allocating, least of all cases", allocating, 1.0),
        goals.at_least("best peer / ours, allocating, geometric mean", _geometric_mean(allocating), 1.4),
    ]
    return (
        [*made, goals.each_at_most("ours / memory copy, reused buffer, most of all", copies, 2.0)] if copies else made
    )


def _geometric_mean(ratios: dict[str, float]) -> float:
    return float(np.exp(np.mean(np.log(list(ratios.values())))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--cases", nargs="+", default=("",), metavar="BEGINNING")
    options = parser.parse_args()
    print(goals.show(bench(options.rows, options.cases)[1]))


if __name__ == "__main__":
    main()
