"""What Dockerfile.gpu promises. No image is built here: there is no engine, and no GPU to run it on."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stockbot.cli.doctor import command as doctor
from stockbot.doctor import DRIVER
from tests.dockerfile import ROOT, exec_form, health_check, read_dockerfile, sent_to_the_builder

TEXT = (ROOT / "Dockerfile.gpu").read_text(encoding="utf-8")
ARGUMENTS, STAGES = read_dockerfile(TEXT)
BASE, BUILD, RUN = STAGES


def entries(name: str) -> list[str]:
    """What is pinned, each with its hashes."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))


def pins(name: str) -> dict[str, set[str]]:
    """Versions by package: several, where they hang on the version of Python."""
    found: dict[str, set[str]] = {}
    for entry in entries(name):
        package, version = entry.split()[0].split("==")
        found.setdefault(package, set()).add(version)
    return found


def test_there_is_one_base_by_digest_for_both_stages() -> None:
    assert [stage.name for stage in STAGES] == ["base", "build", "run"]
    assert re.fullmatch(r"python:3\.12-slim-[a-z]+@\$\{DIGEST\}", BASE.base)
    assert [BUILD.base, RUN.base] == ["base", "base"]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", ARGUMENTS["DIGEST"])
    assert "latest" not in TEXT


def test_the_file_says_how_to_fill_the_digest_in() -> None:
    tag = BASE.base.partition("@")[0]
    assert f"docker buildx imagetools inspect {tag}" in TEXT
    assert "--build-arg DIGEST=sha256:" in TEXT


def test_nothing_comes_from_an_address() -> None:
    for name in ("Dockerfile.gpu", "requirements/install.sh", "requirements/gpu.txt", ".dockerignore"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text, name
        assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host", text), name
    for stage in STAGES:
        assert stage.of("ADD") == []
        assert not any(re.search(r"\b(curl|wget|apt|apt-get)\b", line) for line in stage.of("RUN"))
    assert "/" not in BASE.base  # a registry would stand before it


def test_packages_come_by_hash_from_the_pins_for_gpus() -> None:
    assert BUILD.of("RUN") == [
        "requirements/install.sh dependencies /opt/stockbot requirements/gpu.txt",
        "requirements/install.sh project /opt/stockbot",
    ]
    script = (ROOT / "requirements" / "install.sh").read_text(encoding="utf-8")
    installs = [line for line in script.splitlines() if "pip install" in line]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert {"--no-deps", "--no-index"} <= set(installs[1].split())
    assert os.access(ROOT / "requirements" / "install.sh", os.X_OK) or sys.platform == "win32"


def test_every_pin_has_a_hash() -> None:
    assert len(entries("gpu")) > 80
    for entry in entries("gpu"):
        assert re.match(r"[a-z0-9-]+==\S+ (; [^\\]+ )?\\\n    --hash=sha256:[0-9a-f]{64}", entry), entry


def test_a_gpu_runs_the_versions_that_are_tested_here_and_cuda_besides() -> None:
    tested, image = pins("dev"), pins("gpu")
    shared = image.keys() & tested.keys()
    assert {name: image[name] for name in shared} == {name: tested[name] for name in shared}
    assert pins("train").keys() <= shared
    assert {"exchange-calendars", "distributed", "obstore"} <= shared  # every command works in the image
    only_there = image.keys() - tested.keys()
    assert {"nvidia-cudnn-cu12", "nvidia-cuda-runtime-cu12", "nvidia-nccl-cu12"} <= only_there
    assert all(name.startswith("nvidia-") for name in only_there)


def test_the_versions_in_the_docs_are_those_of_the_pins() -> None:
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    told = {
        package: {version} for package, version in re.findall(r"^\| `(nvidia-\S+)` \| (\S+) \|$", page, re.MULTILINE)
    }
    assert len(told) == 5
    assert told == {package: pins("gpu")[package] for package in told}
    assert f"TensorFlow {min(pins('gpu')['tensorflow'])} is built for CUDA" in page
    assert f"| {DRIVER} or later (Windows" in page
    assert BASE.base.partition("@")[0] in page


def test_it_runs_as_a_user_without_rights() -> None:
    assert RUN.of("USER") == ["10001:10001"]
    user = RUN.steps.index(("USER", "10001:10001"))
    assert [name for name, _ in RUN.steps[user:] if name in ("COPY", "USER")] == ["USER"]  # code stays root's
    assert "useradd --uid 10001" in RUN.of("RUN")[0]


def test_the_cache_is_its_users_and_filled_when_the_image_is_built() -> None:
    folder = RUN.environment["NUMBA_CACHE_DIR"]
    assert re.search(rf"install --directory --owner stockbot --group stockbot --mode 0700 {folder}\b", RUN.of("RUN")[0])
    user = RUN.steps.index(("USER", "10001:10001"))
    assert ("RUN", "stockbot-hp doctor --warm-up") in RUN.steps[user:]


def test_it_is_the_command_and_its_health_is_the_doctors() -> None:
    assert exec_form(RUN.of("ENTRYPOINT")[-1]) == ["stockbot-hp"]
    program, command, *flags = health_check(RUN)
    assert (program, command) == ("stockbot-hp", "doctor")
    assert "--gpu" in flags
    assert set(flags) <= {flag for parameter in doctor.params for flag in parameter.opts}


def test_what_is_copied_is_what_the_builder_is_sent() -> None:
    sent = {path.parts[0] for path in sent_to_the_builder()}
    assert sent == {"LICENSE", "README.md", "kernels", "pipelines", "pyproject.toml", "requirements", "stockbot"}
    assert BUILD.of("COPY") == ["requirements requirements", ". ."]
    assert RUN.of("COPY") == ["--from=build /opt/stockbot /opt/stockbot"]


def test_nothing_private_or_large_is_sent(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    kept = ["README.md", "stockbot/cli/run.py", "requirements/gpu.txt"]
    left_out = [
        ".env", ".git/config", "data/ticks.csv", "artifacts/models/x/manifest.json", "tests/test_docs.py", "notes.md",
        "stockbot/__pycache__/x.pyc", "stockbot/cli/__pycache__/x.pyc", "docs/README.md", "Dockerfile.gpu",
    ]  # fmt: skip
    for name in (*kept, *left_out):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(path.as_posix() for path in sent_to_the_builder(tmp_path)) == sorted(kept)


def test_the_base_is_a_python_that_is_supported() -> None:
    minor = re.search(r"python:3\.(\d+)-", BASE.base)
    assert minor is not None
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f"Programming Language :: Python :: 3.{minor[1]}" in project


def hadolint(text: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert program is not None, "hadolint is missing; install requirements/dev.txt"
    command = [program, "--no-color", "--disable-ignore-pragma", "--failure-threshold", "style", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, cwd=Path(sys.prefix))


@pytest.mark.skipif(sys.platform == "win32", reason="hadolint has no package for Windows")
def test_hadolint_finds_nothing() -> None:
    done = hadolint(TEXT)
    assert (done.returncode, done.stdout) == (0, "")
    assert "DL3007" in hadolint("FROM python:latest\n").stdout  # it does find what there is to find
