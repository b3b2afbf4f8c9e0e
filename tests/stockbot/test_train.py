"""Training end to end: same seed same bits, two devices like one, and each mistake in one line."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.errors import DataError
from pipelines.store import FeatureStore
from stockbot.bundle import Bundle, damaged_models, list_models
from stockbot.config import load_config
from stockbot.errors import ArtifactError, ConfigError, StockbotError, UsageError
from stockbot.fit.step import Steps
from stockbot.promote import promote
from stockbot.train import train
from stockbot.training_set import make_training_set
from tests.stockbot.markets import make_store, tiny_config

ROOT = Path(__file__).resolve().parents[2]


def weights(path: Path, name: str = "best_model.keras") -> list[bytes]:
    return [array.tobytes() for array in keras.saving.load_model(path / name, compile=False).get_weights()]


def test_same_seed_and_inputs_give_the_same_bits(wave_store: FeatureStore, tmp_path: Path) -> None:
    config = tiny_config(model__dropout=0.3, training__epochs=2)
    first, second = (train(config, wave_store, tmp_path / name) for name in ("a", "b"))
    other = train(config.model_copy(update={"training": tiny_config(training__seed=7).training}), wave_store, tmp_path)
    for name in ("best_model.keras", "final_model.keras"):
        assert weights(first.path, name) == weights(second.path, name)
    assert (first.path / "model.onnx").read_bytes() == (second.path / "model.onnx").read_bytes()
    assert weights(first.path) != weights(other.path)
    assert first.metrics == second.metrics


def test_bundle_run_folder_and_log_tell_the_same_story(wave_store: FeatureStore, tmp_path: Path) -> None:
    said: list[str] = []
    seen: list[tuple[int, int]] = []
    config = tiny_config(training__epochs=3, labels__objective="direction", model__factory="linear", scaler="robust")
    result = train(
        config, wave_store, tmp_path, progress=lambda done, total: seen.append((done, total)), report=said.append
    )
    assert load_config(result.run / "config.yaml") == load_config(result.path / "config.yaml") == config
    log = (result.run / "training_log.txt").read_text()
    assert log.startswith((result.path / "training_log.txt").read_text())
    assert [line.split("  ", 1)[1] for line in log.splitlines()] == said
    assert said[-1] == f"sealed {result.model_id}"
    assert sum(line.startswith("epoch ") for line in said) == 3
    data = result.manifest["data"]
    assert seen[-1] == (3 * data["train_windows"],) * 2
    assert Bundle.load(result.path).objective == "direction"
    assert set(result.metrics["test"]["baselines"]) == {"zero", "last", "least_squares"}
    assert result.metrics["test"]["windows"] == data["test_windows"]


def test_training_stops_and_the_exports_hold_the_best_epoch(wave_store: FeatureStore, tmp_path: Path) -> None:
    config = tiny_config(training__learning_rate=0.5, training__epochs=30, training__patience=2)
    result = train(config, wave_store, tmp_path)
    assert result.metrics["epochs"] == result.metrics["best_epoch"] + 2 < 30
    best = weights(result.path)
    assert weights(result.path, "best_model.h5") == best != weights(result.path, "final_model.keras")


def test_scaler_and_target_scale_see_training_rows_alone(wave_store: FeatureStore) -> None:
    data = make_training_set(tiny_config(), wave_store)
    train = data.split.train.starts()
    rows = (train[:, None] + np.arange(6)).ravel()
    np.testing.assert_allclose(data.scaler.center, data.panel.matrix[np.unique(rows)].astype(np.float64).mean(axis=0))
    assert data.panel.known[rows].max() < data.boundaries.validation_ns
    targets = data.windows(data.split.train).targets[train + 5, 0]
    assert np.std(targets.astype(np.float64)) == pytest.approx(1.0)
    np.testing.assert_allclose(targets * data.target_scale, data.labels_of(train), rtol=1e-6)


def test_moves_in_the_dead_zone_are_left_out(wave_store: FeatureStore) -> None:
    data = make_training_set(tiny_config(labels__objective="direction", labels__dead_zone=2e-3), wave_store)
    labels = data.labels_of(np.concatenate([part.starts() for part in vars(data.split).values()]))
    assert set(labels) == {0.0, 1.0}
    everything = make_training_set(tiny_config(labels__objective="direction"), wave_store)
    assert len(data.split.train) < len(everything.split.train)


def test_the_recorded_bars_are_those_of_the_store(wave_store: FeatureStore) -> None:
    data = make_training_set(tiny_config(bars__kind="time", bars__size="5m"), wave_store)
    assert data.config.bars.kind == "none"


TWO_DEVICES = """
import json, sys
from pathlib import Path
from stockbot.train import train
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from pipelines.store import FeatureStore
from tests.stockbot.markets import tiny_config
config = tiny_config(training__epochs=2, training__batch_size=30)
for device in ("cpu:0", "auto"):
    said = []
    result = train(config, FeatureStore.open(Path(sys.argv[1])), Path(sys.argv[2]), device=device, report=said.append)
    print(json.dumps({**result.metrics["keras"], "said": said}))
"""


def test_two_devices_train_like_one_and_nothing_is_said_on_stderr(wave_store: FeatureStore, tmp_path: Path) -> None:
    keras_on_numpy_2 = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    arguments = ["-W", "error", "-W", keras_on_numpy_2, "-c", TWO_DEVICES, str(wave_store.path), str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=200
    )
    assert (done.returncode, done.stderr) == (0, "")
    one, two = (json.loads(line) for line in done.stdout.splitlines())
    assert "devices /device:CPU:0" in one["said"]
    assert "devices /device:CPU:0 /device:CPU:1" in two["said"]
    assert two["loss"] == pytest.approx(one["loss"], abs=1e-6)
    assert two["val_loss"] == pytest.approx(one["val_loss"], abs=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"windows__lookback": 300},
            DataError,
            r"AAA: the longest unbroken run of usable rows is 255 of 260 .* needed 302",
        ),
        ({"features": ["logret_1", "rsi_wilder_99"]}, DataError, "lacks rsi_wilder_99; it holds logret_1"),
        ({"labels__objective": "direction", "labels__dead_zone": 0.9}, DataError, r"labels.dead_zone \(0.9\)"),
        ({"model__factory": "prophet"}, ConfigError, "'prophet' is not known; choose one of lstm"),
        ({"training__learning_rate": 1e30, "model__factory": "linear"}, StockbotError, "training diverged: loss"),
        ({"split__validation": "2031-01-01"}, DataError, "validation begins at 2031-01-01T00:00:00Z, not before test"),
    ],
)
def test_a_failed_run_is_one_line_and_leaves_no_model(
    wave_store: FeatureStore, tmp_path: Path, change: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        train(tiny_config(**change), wave_store, tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "models").exists()
    (run,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in run.iterdir()} <= {"training_log.txt", "config.yaml", "run.json"}
    assert (run / "training_log.txt").read_text().splitlines()[-1].endswith(f"failed: {caught.value}")


def test_training_labels_of_one_class_are_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path, {"AAA": np.linspace(100.0, 130.0, 200)}, ["logret_1"])
    config = tiny_config(features=["logret_1"], labels__objective="direction")
    with pytest.raises(DataError, match="all 120 training windows go up, expected both directions"):
        train(config, store, tmp_path / "artifacts")


def test_a_price_that_never_moves_trains(tmp_path: Path) -> None:
    store = make_store(tmp_path, {"AAA": np.full(200, 100.0)}, ["logret_1"])
    result = train(tiny_config(features=["logret_1"], model__factory="linear"), store, tmp_path / "artifacts")
    assert Bundle.load(result.path).target_scale == 1.0


def test_an_unknown_network_is_refused_before_rows_are_read(wave_store: FeatureStore, tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(ConfigError, match="'prophet' is not known"):
        train(tiny_config(model__factory="prophet"), wave_store, tmp_path, report=told.append)
    assert [line.split()[0] for line in told] == ["run"]


@pytest.mark.parametrize("device", ["gpu", "tpu:0", "cpu:7"])
def test_an_unknown_device_names_those_that_are_visible(wave_store: FeatureStore, tmp_path: Path, device: str) -> None:
    with pytest.raises(UsageError, match=f"--devices: '{device}' is not visible; choose auto, cpu:0"):
        train(tiny_config(), wave_store, tmp_path, device=device)


def test_an_artifacts_folder_that_cannot_be_written_is_named(wave_store: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file")
    with pytest.raises(ArtifactError, match=r"artifacts: cannot be written: .* --artifacts"):
        train(tiny_config(), wave_store, tmp_path / "artifacts")


def test_a_translation_that_differs_from_keras_is_refused(
    wave_store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stockbot.onnx_graph.ACTIVATIONS", {"sigmoid": "Tanh"})
    with pytest.raises(StockbotError, match=r"onnx: outputs differ from Keras by \d.* 1e-04 at most"):
        train(tiny_config(labels__objective="direction"), wave_store, tmp_path)
    assert not (tmp_path / "models").exists()


def test_an_interrupted_run_says_so_in_its_log(wave_store: FeatureStore, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny_config(model__factory="linear"), wave_store, tmp_path, progress=interrupt)
    (log,) = (tmp_path / "runs").glob("*/training_log.txt")
    assert log.read_text().endswith("failed: KeyboardInterrupt\n")


def begin_training(store: Path, artifacts: Path) -> subprocess.Popen[str]:
    """A training that would take hours, as its own process, when its first epoch is done."""
    endless = tiny_config(model__factory="linear", training__epochs=100_000, training__patience=100_000)
    (artifacts.parent / "config.yaml").write_text(endless.to_yaml())
    arguments = ["train", str(store), "--config", str(artifacts.parent / "config.yaml"), "--artifacts", str(artifacts)]
    process = subprocess.Popen(
        [sys.executable, "-m", "stockbot", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while not process.stderr.readline().startswith("epoch 2/"):
        assert process.poll() is None
    return process


def test_sigterm_ends_a_training_in_one_line(wave_store: FeatureStore, tmp_path: Path) -> None:
    process = begin_training(wave_store.path, tmp_path / "artifacts")
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (143, "")
    assert [line for line in err.splitlines() if not line.startswith("epoch ")] == ["error: terminated"]
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["runs"]
    (run,) = (tmp_path / "artifacts" / "runs").iterdir()
    kept = {path.name for path in run.iterdir()}
    assert kept == {"training_log.txt", "config.yaml", "run.json", "checkpoints", "events"}
    assert (run / "training_log.txt").read_text().endswith("failed: terminated\n")


def test_a_killed_training_leaves_no_bundle_and_the_next_one_clears_up(
    wave_store: FeatureStore, tmp_path: Path
) -> None:
    artifacts = tmp_path / "artifacts"
    process = begin_training(wave_store.path, artifacts)
    process.kill()
    process.communicate()
    assert list(artifacts.glob("runs/.tmp-*-bundle"))
    assert (list_models(artifacts), damaged_models(artifacts)) == ([], {})
    with pytest.raises(ArtifactError, match="no model is sealed yet"):
        promote(artifacts, "latest", "test")
    train(tiny_config(model__factory="linear"), wave_store, artifacts)
    assert list(artifacts.glob("runs/.tmp-*")) == []
    assert len(list_models(artifacts)) == 1


FULL_DISK = """
import resource, sys
from pathlib import Path
from pipelines.errors import DataError
from pipelines.store import FeatureStore
from stockbot import fit
from stockbot.fit.exports import save_legacy
from stockbot.model import build_model
from stockbot.train import train
from tests.stockbot.markets import tiny_config
config, folder = tiny_config(model__factory="linear"), Path(sys.argv[2])
model = build_model(config, 3)
model.save(folder / fit.FINAL)
resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))
try:
    train(config, FeatureStore.open(Path(sys.argv[1])), folder / "artifacts")
except DataError as error:
    print(error)
try:
    save_legacy(model, folder / fit.LEGACY)
except OSError as error:
    print(error.strerror)
"""


def test_a_full_disk_is_one_line_and_leaves_no_bundle(wave_store: FeatureStore, tmp_path: Path) -> None:
    """The limit on the size of a file stands in for the disk; HDF5 alone would crash the process."""
    command = [sys.executable, "-c", FULL_DISK, str(wave_store.path), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [
            f"{tmp_path / 'artifacts'}: cannot be written: File too large; free some space or give another folder",
            "File too large",
        ],
    )
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["runs"]
    (run,) = (tmp_path / "artifacts" / "runs").iterdir()
    assert "failed: " in (run / "training_log.txt").read_text().splitlines()[-1]


def test_purge_and_embargo_come_from_the_settings(wave_store: FeatureStore) -> None:
    """Decisions of a part end LOOKBACK + HORIZON rows before the next one's cut, and begin EMBARGO rows after it."""
    plain, apart = (make_training_set(tiny_config(split__embargo=rows), wave_store) for rows in (0, 9))
    for data, embargo in ((plain, 0), (apart, 9)):
        rows = {part: getattr(data.split, part).starts() for part in ("train", "validation", "test")}
        for before, after in (("train", "validation"), ("validation", "test")):
            mine = rows[after][0]
            last = rows[before][rows[before] < mine][-1]
            assert mine - last == 6 + 2 + embargo, (before, after, embargo)


def test_two_runs_in_one_second_have_folders_of_their_own(wave_store: FeatureStore, tmp_path: Path) -> None:
    config = tiny_config(windows__lookback=300)
    for _ in range(2):
        with pytest.raises(DataError):
            train(config, wave_store, tmp_path)
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_device_without_memory_is_told_what_to_lower(
    wave_store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*arguments: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nand more")

    monkeypatch.setattr(Steps, "train", exhausted)
    with pytest.raises(StockbotError, match=r"no memory left for batches of 32 .*raise training.accumulate") as caught:
        train(tiny_config(), wave_store, tmp_path)
    assert "\n" not in str(caught.value)


NO_MEMORY = """
import resource, sys
from pathlib import Path
from stockbot.errors import StockbotError
from stockbot.fit import fit_model
from stockbot.training_set import make_training_set
from tests.stockbot.markets import make_store, tiny_config, wave
import tensorflow as tf
folder = Path(sys.argv[1])
config = tiny_config(model__lstm_units=[1000], training__batch_size=30_000, windows__lookback=2)
data = make_training_set(config, make_store(folder, {"AAA": wave(45_000)}))
tf.zeros(1)
used = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20), used + (400 << 20)))
try:
    fit_model(data, folder)
except StockbotError as error:
    print(error)
"""


def test_a_step_that_does_not_fit_into_memory_names_the_settings_that_matter(tmp_path: Path) -> None:
    """One product of a step takes 480 MB; the process may take 400 MB more than it has."""
    command = [sys.executable, "-c", NO_MEMORY, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=400)
    assert done.stdout.startswith(
        "training: a device has no memory left for batches of 30000 windows in 1 parts (OOM when allocating tensor with"
    ), done.stderr[-2000:]
    assert "raise training.accumulate for the same model in less memory, use training.precision" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_a_host_without_memory_is_told_the_same(
    wave_store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*arguments: object, **named: object) -> None:
        raise MemoryError

    monkeypatch.setattr("stockbot.fit.fitting.WindowLoader", exhausted)
    with pytest.raises(StockbotError, match=r"no memory left for batches of 32 .*\(MemoryError\); raise"):
        train(tiny_config(), wave_store, tmp_path)


def test_a_batch_larger_than_the_data_is_refused(wave_store: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a batch of 5000 windows, expected at most the \d+ there are to train on"):
        train(tiny_config(training__batch_size=5000), wave_store, tmp_path)


def test_a_run_leaves_events_for_tensorboard_and_says_how_it_was_computed(
    wave_store: FeatureStore, tmp_path: Path
) -> None:
    result = train(tiny_config(training__epochs=2, model__factory="linear"), wave_store, tmp_path)
    (path,) = (result.run / "events").iterdir()
    events = [tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
    told = {
        (event.step, value.tag): float(tf.make_ndarray(value.tensor))
        for event in events
        for value in event.summary.value
    }
    steps = -(-result.manifest["data"]["train_windows"] // 32)
    assert told[(2 * steps, "val_loss")] == pytest.approx(result.metrics["keras"]["val_loss"])
    assert {step for step, _ in told} == {steps, 2 * steps}
    training = result.manifest["training"]
    assert 0.0 < training["input_wait_share"] < 1.0
    assert (training["xla"], training["workers"]) == (False, 1)
    assert training["bytes_per_window"] == 4 * (6 * 3 + 1)
    assert "input wait" in (result.path / "training_log.txt").read_text()


def test_windows_count_by_class_and_by_uniqueness(wave_store: FeatureStore, tmp_path: Path) -> None:
    changes = {"labels__objective": "direction", "model__factory": "linear"}
    config = tiny_config(**changes, training__weights=["class", "uniqueness"])
    windows = make_training_set(config, wave_store).train_windows()
    assert windows.weights is not None
    decisions = windows.runs.starts() + 5
    labels = windows.targets[decisions, 0]
    sums = [
        make_training_set(tiny_config(**changes, training__weights=["class"]), wave_store)
        .train_windows()
        .weights[decisions][labels == label]
        .sum()
        for label in (0.0, 1.0)
    ]  # type: ignore[index]
    assert sums[0] == pytest.approx(sums[1], rel=1e-5)
    assert make_training_set(tiny_config(**changes), wave_store).train_windows().weights is None
    weighted, plain = train(config, wave_store, tmp_path), train(tiny_config(**changes), wave_store, tmp_path)
    assert weights(weighted.path) != weights(plain.path)
