"""Tensors and datasets hold what the loader gives, in memory that nobody else changes."""

import random
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from kernels.memory import aligned_empty
from pipelines.batches import WindowLoader
from pipelines.dataset import DeviceBatches, shared_tensor, tensors, window_dataset
from pipelines.errors import DataError
from pipelines.slabs import SlabWindows
from tests.pipelines.window_sets import LOOKBACK, window_set

Arrays = list[tuple[np.ndarray, ...]]


def loader(windows: int = 10, batch_size: int = 4, *, weighted: bool = False, drop: bool = False) -> WindowLoader:
    made = window_set(windows, dim=2, weighted=weighted)
    return WindowLoader(made, batch_size=batch_size, seed=1, drop_remainder=drop)


def arrays_of(loader: WindowLoader, **position: int) -> Arrays:
    return [tuple(part.copy() for part in batch if part is not None) for batch in loader.batches(**position)]


def numpy_of(elements: object) -> Arrays:
    return [tuple(part.numpy().copy() for part in element) for element in elements]  # type: ignore[attr-defined]


def assert_same(ours: Arrays, expected: Arrays) -> None:
    assert len(ours) == len(expected)
    for one, other in zip(ours, expected, strict=True):
        for array, wanted in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, wanted)


@pytest.mark.parametrize(("windows", "drop", "size"), [(10, False, None), (10, True, 4), (12, False, 4)])
@pytest.mark.parametrize("weighted", [False, True])
def test_element_spec_and_cardinality_are_stated(windows: int, drop: bool, size: int | None, weighted: bool) -> None:
    dataset = window_dataset(loader(windows, drop=drop, weighted=weighted), epochs=3)
    expected = [tf.TensorSpec((size, LOOKBACK, 2), tf.float32), tf.TensorSpec((size, 2), tf.float32)]
    assert dataset.element_spec == (*expected, *([tf.TensorSpec((size,), tf.float32)] if weighted else []))
    assert dataset.cardinality().numpy() == 3 * (2 if drop else 3) == len(list(dataset))


@pytest.mark.parametrize("weighted", [False, True])
def test_dataset_and_tensors_are_the_batches_of_the_loader(weighted: bool) -> None:
    windows = loader(weighted=weighted)
    expected = arrays_of(windows, epochs=3)
    assert_same(numpy_of(tensors(windows.batches(epochs=3))), expected)
    dataset = window_dataset(windows, epochs=3)
    assert_same(numpy_of(dataset), expected)
    assert_same(numpy_of(dataset), expected)  # as often as it is gone through
    pairs = [(one, other) for one, other in zip(dataset, dataset, strict=True)]
    assert_same(numpy_of(one for one, _ in pairs), expected)
    assert_same(numpy_of(other for _, other in pairs), expected)


@pytest.mark.parametrize(("epoch", "step"), [(0, 0), (0, 2), (1, 0), (1, 3), (2, 1), (3, 0)])
def test_a_dataset_begins_at_any_step(epoch: int, step: int) -> None:
    windows = loader()
    dataset = window_dataset(windows, epochs=3, epoch=epoch, step=step)
    expected = arrays_of(windows, epochs=3)[epoch * 3 + step :]
    assert dataset.cardinality().numpy() == len(expected)
    assert_same(numpy_of(dataset), expected)


def test_a_position_of_another_run_is_refused() -> None:
    with pytest.raises(DataError, match="the position is of another run"):
        window_dataset(loader(), epochs=2, step=9)


def test_tensors_share_the_memory_of_the_batch() -> None:
    array = aligned_empty((4, 3), np.float32)
    array[...] = 1.0
    tensor = shared_tensor(array)
    array[0, 0] = 7.0
    assert float(tensor[0, 0]) == 7.0


def test_a_tensor_of_memory_that_would_end_the_process_is_refused() -> None:
    whole = aligned_empty((100, 3), np.float32)
    frozen = whole.view()
    frozen.flags.writeable = False
    for array in (whole[1:], whole.T, frozen):
        with pytest.raises(ValueError, match=r"expected a C-contiguous, writable array at a multiple of 64 bytes"):
            shared_tensor(array)


def test_that_memory_does_end_the_process() -> None:
    """Should a release of TensorFlow raise instead, or copy, the check above could go."""
    program = (
        "import numpy as np, tensorflow as tf; from kernels.memory import aligned_empty\n"
        "array = aligned_empty((1 << 16,), np.float32)[1:]\n"
        "tensor = tf.experimental.dlpack.from_dlpack(array.__dlpack__()); print(float(tf.reduce_sum(tensor * 2.0)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode < 0
    assert "IsAligned" in ended.stderr


def test_tensors_keep_their_content_however_long_they_are_held() -> None:
    """Kept tensors, slices of them, and what a function made of them while later batches were gathered."""
    windows = WindowLoader(window_set(4000, features=16, weighted=True), batch_size=64, seed=2)
    expected = arrays_of(windows, epochs=12)
    doubled = tf.function(lambda inputs: inputs * 2.0)
    chance = random.Random(5)
    held: list[tuple[int, int, tf.Tensor]] = []
    made = []
    for number, batch in enumerate(tensors(windows.batches(epochs=12))):
        made.append((number, doubled(batch[0])))
        for part, tensor in enumerate(batch):
            if chance.random() < 0.3:
                held.append((number, part, chance.choice([tensor, tf.identity(tensor), tensor[:]])))
        del batch, tensor
        chance.shuffle(held)
        while len(held) > 20:
            number, part, kept = held.pop()
            np.testing.assert_array_equal(kept.numpy(), expected[number][part])
            del kept
    for number, tensor in made:
        np.testing.assert_array_equal(tensor.numpy(), 2.0 * expected[number][0])
    assert 2 < windows.buffers < 60


def test_prefetched_and_shuffled_elements_keep_their_content() -> None:
    windows = WindowLoader(window_set(3000, features=16), batch_size=50, seed=2)
    expected = {batch[1].tobytes(): batch[0] for batch in arrays_of(windows)}
    dataset = window_dataset(windows).shuffle(40, seed=1).prefetch(8)
    kept = list(dataset)
    assert len(kept) == 60
    for inputs, targets in kept:
        np.testing.assert_array_equal(inputs.numpy(), expected[targets.numpy().tobytes()])


def test_memory_is_used_again_by_tensors_and_by_a_dataset() -> None:
    windows = WindowLoader(window_set(4000), batch_size=10, seed=1)
    for _ in tensors(windows.batches()):
        pass
    assert windows.buffers == 2
    for _ in window_dataset(windows):
        pass
    assert windows.buffers < 12


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("position", [{}, {"epoch": 1, "step": 2}])
def test_windows_gathered_on_the_device_are_those_of_the_host(weighted: bool, position: dict[str, int]) -> None:
    windows = WindowLoader(window_set(70, features=5, weighted=weighted), batch_size=8, seed=4)
    batches = DeviceBatches(windows, ["/CPU:0"]).batches(epochs=3, **position)
    assert_same(numpy_of(share for (share,) in batches), arrays_of(windows, epochs=3, **position))


def test_slabs_hold_every_window_once_and_are_shuffled_like_pieces_of_a_store() -> None:
    whole = window_set(200, features=3, weighted=True)
    slabs = SlabWindows(whole, 48)
    in_order = arrays_of(WindowLoader(whole, batch_size=16, seed=None))
    assert_same(arrays_of(WindowLoader(slabs, batch_size=16, seed=None)), in_order)
    loader = WindowLoader(slabs, batch_size=16, seed=3)
    shuffled = arrays_of(loader)
    weights = np.concatenate([weights for *_, weights in shuffled])
    assert sorted(weights.tolist()) == np.concatenate([weights for *_, weights in in_order]).tolist()
    assert_same(arrays_of(loader, step=5), shuffled[5:])
    on_device = DeviceBatches(loader, ["/CPU:0"])
    assert_same(numpy_of(share for (share,) in on_device.batches()), shuffled)


def test_what_is_shipped_is_counted() -> None:
    windows = WindowLoader(window_set(1000, features=4), batch_size=10, seed=1)
    rows = 1002 * (4 + 1) * 4
    resident = DeviceBatches(windows, ["/CPU:0"])
    for _ in resident.batches(epochs=3):
        pass
    assert resident.windows == 3000
    assert resident.shipped == rows + 3000 * 8  # rows once, then the first row of each window
    assert resident.bytes_per_window < windows.bytes_per_window / 3
    slabs = DeviceBatches(
        WindowLoader(SlabWindows(window_set(1000, features=4), 336), batch_size=10, seed=1), ["/CPU:0"]
    )
    for _ in slabs.batches():
        pass
    halo = 2 * 2 * (4 + 1) * 4  # two slabs of three reach over their ends
    assert slabs.shipped == rows + halo + 1000 * 8


TWO_DEVICES = """
import numpy as np, tensorflow as tf
from pipelines.batches import WindowLoader
from pipelines.dataset import DeviceBatches
from tests.pipelines.window_sets import window_set

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 3)
devices = [device.name for device in tf.config.list_logical_devices("CPU")]
windows = WindowLoader(window_set(50, features=3), batch_size=8, seed=1)
expected = [inputs.copy() for inputs, *_ in windows.batches()]
batches = DeviceBatches(windows, devices)
for shares, whole in zip(batches.batches(), expected, strict=True):
    for (inputs, targets), device in zip(shares, devices, strict=True):
        assert inputs.device.endswith(device[-5:]), (inputs.device, device)
    np.testing.assert_array_equal(np.concatenate([inputs.numpy() for inputs, _ in shares]), whole)
    print([len(inputs) for inputs, _ in shares])
print(batches.shipped)
"""


def test_each_device_gathers_its_share() -> None:
    done = subprocess.run([sys.executable, "-c", TWO_DEVICES], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *shares, shipped = done.stdout.splitlines()
    assert shares == ["[2, 3, 3]"] * 6 + ["[0, 1, 1]"]
    assert int(shipped) == 3 * 52 * 4 * 4 + 50 * 8
