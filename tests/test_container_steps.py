"""The steps of Dockerfile.gpu where there is neither an engine nor a GPU: `make container`.

The lines of its two stages run as they stand there, by a user without rights, on the files that a builder is sent, with
folders of this machine in the place of the image's. They take the Python of this environment instead of the image's
3.12, and requirements/train.txt, the same pins without CUDA, instead of requirements/gpu.txt. Not run: the line that
makes the user, and all that needs a GPU.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dockerfile import ROOT, health_check, read_dockerfile, sent_to_the_builder

pytestmark = [
    pytest.mark.container,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="the image is Linux"),
]

_, BUILD, RUN = read_dockerfile((ROOT / "Dockerfile.gpu").read_text(encoding="utf-8"))[1]
NOBODY = 65534
# The interpreter may lie in a folder that is root's alone, so reading is allowed everywhere, and writing nowhere.
WITHOUT_RIGHTS = [
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs",
    "--bounding-set=-all,+dac_read_search", "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search",
]  # fmt: skip


class Machine:
    """Folders that stand for those of the image, and a user who owns what the image's user owns."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source, self.prefix = root / "src", root / "opt" / "stockbot"
        self.work, self.home, self.cache = root / "work", root / "home", root / "cache"
        for folder in (self.source, self.prefix.parent, self.work, self.home, self.cache):
            folder.mkdir(parents=True)
        root.chmod(0o755)
        if os.geteuid() == 0:
            for folder in (self.prefix.parent, self.work, self.home, self.cache):
                os.chown(folder, NOBODY, NOBODY)

    def copy(self, arguments: str) -> None:
        """`COPY`: what the builder was sent, and nobody may change it from then on."""
        wanted = Path(arguments.split()[0])
        for path in sent_to_the_builder():
            if path.is_relative_to(wanted):
                (self.source / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, self.source / path)
        lock(self.source)

    def run(self, line: str, *, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """`RUN`, with the image's folders replaced by these."""
        line = line.replace("/opt/stockbot", str(self.prefix)).replace("gpu.txt", "train.txt")
        prefix = WITHOUT_RIGHTS if os.geteuid() == 0 else []
        return subprocess.run(
            [*prefix, "/bin/sh", "-c", line],
            cwd=folder or self.work, env=self.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """The image's, and of this machine's what pip needs to find packages."""
        mine = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        theirs = RUN.environment | {"NUMBA_CACHE_DIR": str(self.cache), "STOCKBOT_COMMIT": "0123abc"}
        path = theirs["PATH"].replace("/opt/stockbot", str(self.prefix)).replace("$PATH", os.defpath)
        return mine | theirs | {"PATH": path, "HOME": str(self.home), "PYTHON": sys.executable}


def lock(folder: Path, *, allow: int = 0) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222 | allow)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """After both stages; code and sources can no longer be written."""
    folder = Path(tempfile.mkdtemp(prefix="stockbot-container-"))
    try:
        built = Machine(folder / "image")
        folder.chmod(0o755)
        for instruction, arguments in BUILD.steps:
            if instruction == "COPY":
                lock(built.source, allow=0o200)
                built.copy(arguments)
            if instruction == "RUN":
                succeeded(built.run(arguments, folder=built.source))
        lock(built.prefix)
        succeeded(built.run(RUN.of("RUN")[-1]))
        yield built
    finally:
        lock(folder, allow=0o200)
        shutil.rmtree(folder)


def succeeded(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_everything_is_installed_and_none_of_it_can_be_written(machine: Machine) -> None:
    script = "import kernels, pipelines, stockbot, tensorflow; print(kernels.__path__[0])"
    packages = Path(succeeded(machine.run(f'python -W ignore -c "{script}"')).stdout.splitlines()[-1]).parent
    assert packages.is_relative_to(machine.prefix)
    for package in ("kernels", "pipelines", "stockbot"):
        sources = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py")}
        assert sources == {path.relative_to(packages) for path in (packages / package).rglob("*.py")}
    for place in (machine.prefix, packages / "kernels", machine.source / "kernels"):
        assert machine.run(f"touch {place}/new").returncode != 0


def test_nothing_is_left_to_compile(machine: Machine) -> None:
    report = json.loads(succeeded(machine.run("stockbot-hp doctor --warm-up --json")).stdout.splitlines()[-1])
    assert Path(report["numba_cache"]["folder"]).is_relative_to(machine.cache)
    assert report["numba_cache"]["compiled"] > 40
    assert report["warm_up"]["added_to_cache"] == 0
    assert report["problems"] == []


def test_the_health_check_fails_without_a_gpu_and_says_what_to_do(machine: Machine) -> None:
    done = machine.run(" ".join(health_check(RUN)))
    assert done.returncode == 1
    (problem,) = json.loads(done.stdout.splitlines()[-1])["problems"]
    assert problem.startswith("gpu: TensorFlow sees none: ")


def test_a_model_is_trained_and_says_the_commit_of_the_image(machine: Machine) -> None:
    succeeded(machine.run("stockbot-hp sample-data --out ticks --days 1 --symbols 2 --ticks-per-day 3000"))
    succeeded(machine.run("stockbot-hp build-features ticks --out data/features"))
    trained = succeeded(machine.run("stockbot-hp train data/features --epochs 1 --json"))
    bundle = machine.work / json.loads(trained.stdout.splitlines()[-1])["path"]
    assert json.loads((bundle / "manifest.json").read_text())["commit"] == "0123abc"
    assert sorted(path.name for path in machine.work.iterdir()) == ["artifacts", "data", "ticks"]
