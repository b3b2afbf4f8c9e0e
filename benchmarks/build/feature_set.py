"""Enters the set of 21 features in the catalogue as `set21`: for `feature_modules`."""

from collections.abc import Callable

from benchmarks.feature_set import named_set
from pipelines.catalogue import feature, feature_set
from pipelines.expressions import Expression


def _always(expression: Expression) -> Callable[[], Expression]:
    return lambda: expression


for _name, _expression in named_set().items():
    feature(_name, "of the benchmarks")(_always(_expression))
feature_set("set21", named_set())
