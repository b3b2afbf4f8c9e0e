"""What a figure is held to."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Goal:
    """A figure and its limit; `missed` names the cases that a goal over many does not hold for."""

    what: str
    reached: float
    limit: float
    at_least: bool
    missed: tuple[str, ...] = ()

    @property
    def is_met(self) -> bool:
        return self.reached >= self.limit if self.at_least else self.reached <= self.limit

    def line(self) -> str:
        words = "at least" if self.at_least else "at most"
        missed = f"   missed by {', '.join(self.missed)}" if self.missed else ""
        mark = "met   " if self.is_met else "MISSED"
        return f"{mark} {self.what:<58}{self.reached:>9.3g}   ({words} {self.limit:g}){missed}"

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"is_met": self.is_met}


def at_least(what: str, reached: float, limit: float) -> Goal:
    return Goal(what, reached, limit, True)


def at_most(what: str, reached: float, limit: float) -> Goal:
    return Goal(what, reached, limit, False)


def each_at_least(what: str, reached: dict[str, float], limit: float) -> Goal:
    return Goal(what, min(reached.values()), limit, True, tuple(name for name in reached if reached[name] < limit))


def each_at_most(what: str, reached: dict[str, float], limit: float) -> Goal:
    return Goal(what, max(reached.values()), limit, False, tuple(name for name in reached if reached[name] > limit))


def show(goals: Sequence[Goal]) -> str:
    return "\n".join(goal.line() for goal in goals)
