"""Which devices train: GPUs out of sight of a training on the CPU, and how much faster several are than one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from pipelines.store import FeatureStore
from stockbot.cli import main
from stockbot.errors import UsageError
from stockbot.fit import speeds
from stockbot.fit.devices import choose_devices
from stockbot.fit.speeds import Speed, advice
from tests.stockbot.markets import tiny_config
from tests.stockbot.test_train import ROOT


@pytest.mark.parametrize(("wanted", "hides"), [("cpu", True), ("cpu:0", True), ("auto", False), ("1", False)])
def test_gpus_are_hidden_from_a_training_on_the_cpu_before_anything_looks_at_them(
    monkeypatch: pytest.MonkeyPatch, wanted: str, hides: bool
) -> None:
    calls: list[object] = []
    look = tf.config.list_logical_devices
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *asked: calls.append(asked))
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: calls.append("look") or look(kind))
    assert choose_devices(wanted) == ["/device:CPU:0"]
    assert (calls[0] == ([], "GPU")) is hides
    assert calls.count(([], "GPU")) == hides


# `set_logical_device_configuration` fails where TensorFlow has set up its devices, as hiding a GPU would.
IN_TIME = """
import sys
import tensorflow as tf
hide = tf.config.set_visible_devices
def hidden(devices, kind):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()]
    )
    hide(devices, kind)
    print("hidden in time")
    tf.config.set_visible_devices = hide
tf.config.set_visible_devices = hidden
from stockbot.cli import main
main(["train", *sys.argv[1:], "--devices", "cpu", "--json"])
"""


def test_nothing_of_a_training_sets_tensorflow_up_before_gpus_are_hidden(
    wave_store: FeatureStore, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(tiny_config(model__factory="linear").to_yaml())
    arguments = [str(wave_store.path), "--config", str(tmp_path / "config.yaml"), "--artifacts", str(tmp_path)]
    command = [sys.executable, "-c", IN_TIME, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[0] == "hidden in time"


@pytest.mark.parametrize("gpus", [[], [tf.config.LogicalDevice("/device:GPU:0", "GPU")]])
def test_a_gpu_that_is_in_use_cannot_be_hidden(monkeypatch: pytest.MonkeyPatch, gpus: list[object]) -> None:
    """Stands in for TensorFlow with a GPU; without one it does not matter."""

    def too_late(devices: object, kind: str) -> None:
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    look = tf.config.list_logical_devices
    monkeypatch.setattr(tf.config, "set_visible_devices", too_late)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: gpus if kind == "GPU" else look(kind))
    if not gpus:
        assert choose_devices("cpu") == ["/device:CPU:0"]
        return
    with pytest.raises(UsageError, match=r"--devices: expected cpu in a process that has used no GPU.*CUDA_VISIBLE_DE"):
        choose_devices("cpu")


SCALING = """
import sys
import stockbot.fit
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 3
)
from stockbot.cli import main
main(["train", *sys.argv[1:], "--scaling", "--json"])
"""


def test_one_two_and_three_devices_are_measured(wave_store: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(tiny_config().to_yaml())
    command = [sys.executable, "-c", SCALING, str(wave_store.path), "--config", str(tmp_path / "config.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    rates = {int(devices): rate for devices, rate in told["windows_per_second"].items()}
    assert list(rates) == [1, 2, 3]
    assert min(rates.values()) > 0.0
    best = max(rates, key=lambda devices: rates[devices])
    assert (told["fastest"], told["slower"]) == (best, list(range(best + 1, 4)))
    assert told["advice"] == advice([Speed(devices, rate) for devices, rate in rates.items()], 32)
    assert done.stderr.splitlines() == ([told["advice"]] if told["slower"] else [])
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


LOSES = [Speed(1, 100.0), Speed(2, 150.0), Speed(3, 140.0), Speed(4, 90.0)]


def scaled(store: FeatureStore, folder: Path, *flags: str) -> None:
    (folder / "config.yaml").write_text(tiny_config().to_yaml())
    main(["train", str(store.path), "--config", str(folder / "config.yaml"), "--scaling", *flags])


@pytest.mark.parametrize(("measured", "slower"), [(LOSES, [3, 4]), (LOSES[:2], []), (LOSES[:1], [])])
def test_more_devices_that_lose_are_a_warning(
    wave_store: FeatureStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    measured: list[Speed],
    slower: list[int],
) -> None:
    monkeypatch.setattr(speeds, "measure_speeds", lambda data, wanted: measured)
    scaled(wave_store, tmp_path)
    out, err = capsys.readouterr()
    assert ("WARNING" in out, "WARNING" in err) == (bool(slower),) * 2
    assert "windows per second  1 100" in out
    scaled(wave_store, tmp_path, "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["fastest"], told["slower"]) == (min(2, len(measured)), slower)
    assert told["advice"].startswith("WARNING: 3 and 4 devices are slower than 2" if slower else ("all", "one"))


def test_scaling_takes_the_devices_that_are_named(
    wave_store: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scaled(wave_store, tmp_path, "--json", "--devices", "cpu:0")
    assert list(json.loads(capsys.readouterr().out)["windows_per_second"]) == ["1"]
    for flags, message in (
        (["--devices", "gpu:0"], "--devices: 'gpu:0' is not visible"),
        (["--workers", "a:1,b:2", "--worker", "0"], "--scaling: expected without --workers and --worker"),
    ):
        with pytest.raises(SystemExit) as ended:
            scaled(wave_store, tmp_path, *flags)
        assert ended.value.code == 2
        assert message in capsys.readouterr().err


def test_numbers_of_a_scaling_without_memory_are_advice(
    wave_store: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*arguments: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr("stockbot.fit.step.Steps.train", exhausted)
    with pytest.raises(SystemExit) as ended:
        scaled(wave_store, tmp_path)
    assert ended.value.code == 1
    assert "raise training.accumulate" in capsys.readouterr().err
