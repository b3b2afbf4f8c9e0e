"""The same cases under pytest-benchmark: `pytest benchmarks/ --benchmark-only`; one group a case, ours and each peer.

Read them side by side in one run. Times stored by an earlier run say nothing about this one, and nothing gates on them.
"""

import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.cases import CASES, Case
from benchmarks.data import Arrays, market
from benchmarks.peers import PEERS, peers_of

OURS = ("reused", "allocating")
PAIRS = [(case, who) for case in CASES for who in (*OURS, *PEERS.get(case.kernel, ()))]


@pytest.fixture(scope="module")
def data() -> Arrays:
    return market(100_000)


@pytest.mark.benchmark(timer=time.process_time, max_time=0.2, warmup=True, warmup_iterations=1)
@pytest.mark.parametrize(("case", "who"), [pytest.param(*pair, id=f"{pair[0].name}-{pair[1]}") for pair in PAIRS])
def test_speed(benchmark: BenchmarkFixture, data: Arrays, case: Case, who: str) -> None:
    runs = {"reused": case.reusing, "allocating": case.allocating}
    benchmark.group = case.name
    benchmark(runs[who](data) if who in runs else peers_of(case, data)[who])
