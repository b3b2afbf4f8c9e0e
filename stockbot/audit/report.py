"""What an audit found: for a table, for the manifest, and as a refusal."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stockbot.errors import AuditError

SHOWN = 5  # problems of one check that are told


@dataclass(frozen=True)
class Check:
    """One thing that was proven, or was not.

    Attributes:
        name: a word. seen: what was looked at. problems: a line each, none where the check passes.
    """

    name: str
    seen: str
    problems: tuple[str, ...]

    @classmethod
    def of(cls, name: str, seen: str, problems: Iterable[str]) -> "Check":
        """From as many problems as there are; a few are told, the rest counted."""
        found = list(problems)
        rest = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        return cls(name, seen, (*found[:SHOWN], *rest))

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(frozen=True)
class Audit:
    """All checks of a training set, in the order in which they were made."""

    checks: tuple[Check, ...]

    @property
    def failed(self) -> list[str]:
        """Names of the checks that failed."""
        return [check.name for check in self.checks if not check.passed]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return not self.failed

    def to_json(self) -> dict[str, Any]:
        """As a manifest holds it."""
        return {
            "skipped": False,
            "passed": self.passed,
            "checks": [
                {"name": check.name, "passed": check.passed, "seen": check.seen, "problems": list(check.problems)}
                for check in self.checks
            ],
        }

    def lines(self) -> list[str]:
        """A table: a line for each check, its problems below it."""
        width = max(len(check.name) for check in self.checks)
        lines = []
        for check in self.checks:
            lines.append(f"{'ok' if check.passed else 'FAIL':<4}  {check.name:<{width}}  {check.seen}")
            lines += [f"      {'':<{width}}  {problem}" for problem in check.problems]
        return lines

    def require(self) -> None:
        """Raises AuditError, which tells the first problem of each failed check, unless all passed."""
        if not self.passed:
            told = "; ".join(f"{check.name}: {check.problems[0]}" for check in self.checks if not check.passed)
            raise AuditError(
                f"audit: {len(self.failed)} of {len(self.checks)} checks failed: {told}; `stockbot-hp audit` tells all "
                f"of it, and `--no-audit` trains all the same"
            )
