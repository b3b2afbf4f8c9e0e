"""Every public kernel is measured, and every peer answers."""

import numpy as np
import pytest

import kernels
from benchmarks import accuracy
from benchmarks.cases import CASES, NAMED, UNMEASURED, Case
from benchmarks.data import market
from benchmarks.peers import PEERS, peers_of

DATA = market(3000)


def test_every_public_kernel_has_a_case_or_a_reason() -> None:
    assert {case.kernel for case in CASES} | UNMEASURED >= set(kernels.__all__)
    assert len(NAMED) == len(CASES)


def test_every_peer_is_of_a_case() -> None:
    assert set(PEERS) <= {case.kernel for case in CASES}
    assert set(accuracy.BUDGETS) <= {case.kernel for case in CASES}


@pytest.mark.parametrize("case", [case for case in CASES if case.kernel in PEERS], ids=lambda case: case.name)
def test_every_peer_answers_with_as_many_outputs(case: Case) -> None:
    for library, run in peers_of(case, DATA).items():
        theirs = run()
        outputs = theirs if isinstance(theirs, tuple) else (theirs,)
        assert len(outputs) == case.outputs, library
        assert np.isfinite(np.asarray(outputs[0], np.float64)[-100:]).all(), library


def test_an_error_that_is_over_its_budget_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    mean = NAMED["mean 64"]
    assert all(entry["within"] for entry in accuracy.measured(2000, [mean]))
    biased = accuracy.Budget(lambda x: x.mean(axis=1) * (1 + 1e-14), 1e-15, relative=True)
    monkeypatch.setitem(accuracy.BUDGETS, "rolling_mean", biased)
    assert not any(entry["within"] for entry in accuracy.measured(2000, [mean]))


def test_an_answer_that_is_nan_is_over_every_budget() -> None:
    answers = np.full(200, np.nan)
    data = {"price": np.arange(200.0)}
    assert accuracy._errors(NAMED["mean 64"], data, {"ours": lambda: answers}) == {"ours": None}
