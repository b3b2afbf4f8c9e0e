"""The README says what exists, and everything that exists is in it."""

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pipelines import ledger
from pipelines.reasons import DEFAULT_POLICY, KEPT_BITS
from stockbot.cli import COMMANDS, cli
from stockbot.config import Config, load_config

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented_and_shows_an_example(command: str) -> None:
    assert f"`{command}`" in README
    shown = CliRunner().invoke(cli, [command, "--help"])
    assert shown.exit_code == 0, shown.output
    assert re.search(r"Examples?:\n.*stockbot-hp " + command, shown.output), shown.output


def test_every_command_named_in_the_readme_exists() -> None:
    named = set(re.findall(r"stockbot-hp ([a-z][a-z-]+)", README))
    assert named <= set(COMMANDS)


def test_every_verb_of_the_makefile_named_in_the_docs_exists() -> None:
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in (README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        assert set(re.findall(r"`make ([a-z]+)`", page)) <= verbs


def test_the_tree_in_the_readme_is_the_tree() -> None:
    tree = re.search(r"```text\n(kernels/.*?)```", README, re.DOTALL)
    assert tree is not None
    shown: list[str] = []
    folder = ""
    for line in tree[1].splitlines():
        name = line.strip().split(" ")[0]
        if not line.startswith(" "):
            folder = name
        elif name.endswith((".py", "/")):
            shown.append(folder + name)
    present = {
        f"{package}/{path.name}{'/' if path.is_dir() else ''}"
        for package in ("kernels", "pipelines", "stockbot")
        for path in (ROOT / package).iterdir()
        if path.name not in ("__init__.py", "__main__.py", "__pycache__")
    }
    assert sorted(shown) == sorted(present)


def test_every_reason_is_explained() -> None:
    page = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
    told = {}
    for names, kept, default in re.findall(r"^\| (`.*?) \| .* \| (yes|no) \| (\w+) \|$", page, re.MULTILINE):
        told |= dict.fromkeys(re.findall(r"`(\w+)`", names), (kept == "yes", default))
    assert told == {reason: (reason in KEPT_BITS, action) for reason, action in DEFAULT_POLICY.items()}
    columns = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| [^|]*\|$", page, re.MULTILINE)
    assert {name for cell in columns for name in re.findall(r"`(\w+)`", cell)} == set(ledger.SCHEMA)


def test_config_yaml_states_every_knob_with_its_default() -> None:
    path = ROOT / "config.yaml"
    assert load_config(path) == Config()

    def keys(values: dict, prefix: str = "") -> set[str]:
        nested = [
            keys(value, f"{prefix}{name}.") for name, value in values.items() if isinstance(value, dict) and value
        ]
        return {f"{prefix}{name}" for name in values}.union(*nested)

    assert keys(yaml.safe_load(path.read_text(encoding="utf-8"))) == keys(Config().model_dump(mode="json"))
