"""Where features are entered by name, looked up by name, and gathered in named sets."""

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pipelines.errors import DataError
from pipelines.expressions import Column, Expression

QUOTE_COLUMNS = frozenset({"bid", "ask", "bid_size", "ask_size", "quote_flow"})
TRADE_COLUMNS = frozenset({"buy_volume", "sell_volume", "ticks", "buys", "sells", "unchanged", "path", "largest"})

_NAME = re.compile(r"([a-z]+\d*(?:_[a-z]+\d*)*)((?:_(?:0|[1-9]\d*))*)")
_MOST = 1_000_000  # no window is longer: its state would not fit into memory


@dataclass(frozen=True)
class Family:
    """Features of one definition that differ in their whole-number parameters.

    Attributes:
        build: the expression, from the parameters. example: a full name. summary: what it says, in a line.
        unit: of its values. least: smallest parameter.
    """

    build: Callable[..., Expression]
    example: str
    summary: str
    unit: str
    least: int

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the whole numbers at the end of a feature's name."""
        return tuple(inspect.signature(self.build).parameters)


@dataclass(frozen=True)
class Feature:
    """One feature: a family with its parameters, as an expression."""

    name: str
    family: Family
    expression: Expression

    @property
    def warmup(self) -> int:
        """Rows without a value at the start."""
        return self.expression.warmup

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns of bars that it reads, sorted."""
        return tuple(sorted({part.name for part in self.expression.walk() if isinstance(part, Column)}))


FAMILIES: dict[str, Family] = {}
SETS: dict[str, tuple[str, ...]] = {}


def feature(
    example: str, summary: str, *, unit: str = "ratio", least: int = 1
) -> Callable[[Callable[..., Expression]], Callable[..., Expression]]:
    """Enter a family: the decorated function makes the expression from the whole numbers at the end of the name.

    Args:
        example: a full name, such as `ma_dev_20`; the part before the numbers is the family's name.
        summary: what it says, in a line. unit: of its values. least: the smallest number that makes sense.

    Raises:
        ValueError: the name is taken by another definition, or does not fit the function's parameters.
    """

    def enter(build: Callable[..., Expression]) -> Callable[..., Expression]:
        match = _NAME.fullmatch(example)
        numbers = match[2].count("_") if match else 0
        family = Family(build, example, summary, unit, least)
        if match is None or numbers != len(family.parameters):
            raise ValueError(f"feature {example!r}: expected lower-case words, then {len(family.parameters)} numbers")
        if match[1] in FAMILIES and FAMILIES[match[1]].build.__module__ != build.__module__:
            raise ValueError(f"feature {example!r}: the name {match[1]!r} is taken; choose another")
        FAMILIES[match[1]] = family
        return build

    return enter


def feature_set(name: str, members: Iterable[str]) -> None:
    """Enter a named, ordered set of features.

    Raises:
        ValueError: another set or a feature has the name.
    """
    names = tuple(members)
    if name in FAMILIES or SETS.get(name, names) != names:
        raise ValueError(f"set {name!r}: the name is taken; choose another")
    SETS[name] = names


def expand(names: Sequence[str]) -> list[str]:
    """The features that a list of features and sets names, in order, each once."""
    return list(dict.fromkeys(member for name in names for member in SETS.get(name, (name,))))


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    """Three names that were perhaps meant; `rsi` is the beginning of one and has few letters in common with it."""
    begun = [each for each in known if each.startswith(f"{name}_")]
    return list(dict.fromkeys([*begun, *difflib.get_close_matches(name, known, n=3, cutoff=0.4)]))[:3]


def parse_feature(name: str) -> Feature:
    """The feature that a name states.

    Raises:
        DataError: unknown family (names the nearest), or parameters that do not fit it (shows an example).
    """
    match = _NAME.fullmatch(name)
    family = FAMILIES.get(match[1]) if match else None
    if match is None or family is None:
        near = _nearest(name, [*(known.example for known in FAMILIES.values()), *SETS])
        raise DataError(
            f"feature {name!r} is not known; did you mean {' or '.join(near) or ', '.join(SETS)}? "
            "`stockbot-hp features` lists them, `feature_modules` in config.yaml adds your own"
        )
    parameters = [int(part) for part in match[2].split("_")[1:]]
    if len(parameters) != len(family.parameters) or any(not family.least <= value <= _MOST for value in parameters):
        raise DataError(
            f"feature {name!r}: expected {len(family.parameters)} whole numbers from {family.least} to {_MOST} as in "
            f"{family.example!r}, received {parameters}"
        )
    try:
        return Feature(name, family, family.build(*parameters))
    except ValueError as error:
        raise DataError(f"feature {name!r}: {error}") from error
