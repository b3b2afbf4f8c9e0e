"""Dockerfile.gpu and .dockerignore, read as a builder reads them."""

import fnmatch
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Stage:
    """A `FROM ... AS name` and what follows it: (instruction, arguments) in order."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def of(self, instruction: str) -> list[str]:
        """Arguments of each such instruction."""
        return [arguments for name, arguments in self.steps if name == instruction]

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets, in the one form that the file uses: NAME=value."""
        return dict(pair.split("=", 1) for arguments in self.of("ENV") for pair in arguments.split())


def read_dockerfile(text: str) -> tuple[dict[str, str], list[Stage]]:
    """The arguments before the first stage with their defaults, and the stages."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    before: dict[str, str] = {}
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", code).splitlines():
        instruction, _, arguments = line.strip().partition(" ")
        if instruction == "FROM":
            base, _, name = arguments.partition(" AS ")
            stages.append(Stage(base, name))
        elif instruction and stages:
            stages[-1].steps.append((instruction, arguments))
        elif instruction:
            name, _, default = arguments.partition("=")
            before[name] = default
    return before, stages


def exec_form(arguments: str) -> list[str]:
    """The words of `["a", "b"]`; a shell form is no JSON and raises."""
    words = json.loads(arguments)
    assert isinstance(words, list)
    return words


def health_check(stage: Stage) -> list[str]:
    """The command of HEALTHCHECK, which is in exec form."""
    return exec_form(stage.of("HEALTHCHECK")[-1].partition(" CMD ")[2])


def sent_to_the_builder(root: Path = ROOT) -> list[Path]:
    """The files below `root` that .dockerignore lets through, relative to it: the last pattern that matches decides."""
    lines = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return sorted(_walk(root, Path(), patterns))


def _walk(root: Path, folder: Path, patterns: list[str]) -> list[Path]:
    found: list[Path] = []
    for path in (root / folder).iterdir():
        relative = folder / path.name
        if _is_left_out(relative, patterns):
            continue
        found += _walk(root, relative, patterns) if path.is_dir() else [relative]
    return found


def _is_left_out(path: Path, patterns: list[str]) -> bool:
    left_out = False
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        if any(_matches(part, bare) for part in (path, *path.parents[:-1])):
            left_out = not pattern.startswith("!")
    return left_out


def _matches(path: Path, pattern: str) -> bool:
    """`*` stays inside a name; `**/x` is x in any folder."""
    anywhere = pattern.removeprefix("**/")
    if anywhere != pattern:
        return fnmatch.fnmatchcase(path.name, anywhere)
    names, wanted = path.parts, pattern.split("/")
    return len(names) == len(wanted) and all(map(fnmatch.fnmatchcase, names, wanted))
