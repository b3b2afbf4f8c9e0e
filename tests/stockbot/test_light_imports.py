"""What runs every minute must start at once: the everyday commands never import TensorFlow."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.stockbot.world import make_world

SCRIPT = textwrap.dedent(
    """
    import json, sys
    from stockbot.cli import main
    for arguments in json.loads(sys.argv[1]):
        main(arguments)
        heavy = sorted({name.split(".")[0] for name in sys.modules} & {"tensorflow", "keras", "onnx"})
        print("HEAVY", arguments[0], heavy)
    """
)


def test_build_run_chart_export_and_verify_never_import_tensorflow(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world")
    (tmp_path / "config.yaml").write_text(world.config.to_yaml())
    artifacts = ["--artifacts", str(world.artifacts), "--config", str(tmp_path / "config.yaml")]
    sources = [str(path) for path in world.today]
    store, log = str(world.store.path), str(tmp_path / "signals.txt")
    commands = [
        ["build-features", *sources, "--out", str(tmp_path / "built"), "--config", str(tmp_path / "config.yaml")],
        ["run", *sources, "--signals", log, "--warm-start", store, "--chunk", "1000", *artifacts],
        ["chart", log, "--out", str(tmp_path / "log.png"), *artifacts],
        ["chart", store, "--out", str(tmp_path / "store.png"), *artifacts],
        ["export", store, "--out", str(tmp_path / "out.csv"), *artifacts],
        ["verify", store],
        ["features", "core17", "--no-cost"],
        ["doctor", "--artifacts", str(world.artifacts)],
        ["sample-data", "--out", str(tmp_path / "sample"), "--days", "1", "--ticks-per-day", "100"],
    ]
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, json.dumps(commands)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    told = [line for line in answer.stdout.splitlines() if line.startswith("HEAVY")]
    assert told == [f"HEAVY {arguments[0]} []" for arguments in commands]
    assert (tmp_path / "log.png").stat().st_size > 10_000
    assert (tmp_path / "out.schema.json").exists()
