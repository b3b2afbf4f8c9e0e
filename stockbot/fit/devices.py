"""Which devices train, and the strategy that shares a batch out among them."""

from dataclasses import dataclass

import tensorflow as tf

from stockbot.errors import UsageError
from stockbot.workers import own_cluster


@dataclass(frozen=True)
class Devices:
    """What trains together.

    Attributes:
        names: of the devices of this process.
        strategy: creates variables and runs steps on them.
        worker: number of this process among `workers`.
    """

    names: tuple[str, ...]
    strategy: "tf.distribute.Strategy"
    worker: int = 0
    workers: int = 1

    def __str__(self) -> str:
        among = f"  worker {self.worker} of {self.workers}, from 0" if self.workers > 1 else ""
        return f"devices {' '.join(self.names)}{among}"

    @property
    def replicas(self) -> int:
        """Devices of all processes together; every process has the same number of them."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def kind(self) -> str:
        """`GPU` or `CPU`."""
        return "GPU" if "GPU" in self.names[0] else "CPU"

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what is kept."""
        return self.worker == 0


def open_devices(wanted: str) -> Devices:
    """The devices of this process, or with `TF_CONFIG` in the environment those of all workers.

    Args:
        wanted: `auto` (all GPUs, else all logical CPUs), `cpu`, `gpu`, a number such as `2` (the first ones of `auto`),
            or names such as `gpu:1` or `gpu:0,gpu:2`.

    Raises:
        UsageError: no such device (names those that are visible), or a `TF_CONFIG` that is not valid.
    """
    cluster = own_cluster()
    if cluster is not None:  # first of all: collective operations are set up before TensorFlow looks at a device
        return _among_workers(wanted, cluster.worker, len(cluster.addresses))
    names = choose_devices(wanted)
    return Devices(tuple(names), _strategy(names))


def require_devices(wanted: str) -> None:
    """Raises UsageError as `open_devices` does; devices of several workers are seen when these are together."""
    if own_cluster() is None:
        choose_devices(wanted)
    elif wanted != "auto":
        raise _of_workers(wanted)


def own_devices() -> str:
    """Kind and number of what a worker trains on, without a look that sets TensorFlow up."""
    gpus = len(tf.config.get_visible_devices("GPU"))
    return f"{gpus} GPU" if gpus else "CPU"


def choose_devices(wanted: str) -> list[str]:
    """Names of the devices to train on, as `open_devices` takes them.

    Raises:
        UsageError: no such device; names those that are visible.
    """
    if all(name.startswith("cpu") for name in wanted.split(",")):
        _hide_gpus()
    gpus, cpus = (tf.config.list_logical_devices(kind) for kind in ("GPU", "CPU"))
    single = {entry.name.removeprefix("/device:").lower(): entry for entry in (*gpus, *cpus)}
    groups = {"auto": gpus or cpus, "cpu": cpus[:1], "gpu": gpus}
    chosen = groups.get(wanted) or [single[name] for name in wanted.split(",") if name in single]
    if wanted.isdecimal():
        chosen = (gpus or cpus)[: int(wanted)]
    expected = int(wanted) if wanted.isdecimal() else len(groups.get(wanted) or wanted.split(","))
    if not chosen or len({entry.name for entry in chosen}) != expected:
        raise UsageError(
            f"--devices: {wanted!r} is not visible; choose auto, {', '.join(single)}, or a number up to "
            f"{len(gpus or cpus)}"
        )
    return [entry.name for entry in chosen]


def _hide_gpus() -> None:
    """Before TensorFlow sets up its devices: where Keras sees a GPU it takes cuDNN's operations, on a CPU too.

    Raises:
        UsageError: TensorFlow has set up a GPU in this process.
    """
    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError:
        if tf.config.list_logical_devices("GPU"):
            raise UsageError(
                "--devices: expected cpu in a process that has used no GPU, this one has; train in a new process, "
                "with CUDA_VISIBLE_DEVICES=-1"
            ) from None


def _among_workers(wanted: str, worker: int, workers: int) -> Devices:
    if wanted != "auto":
        raise _of_workers(wanted)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return Devices(tuple(strategy.extended.worker_devices), strategy, worker, workers)


def _of_workers(wanted: str) -> UsageError:
    return UsageError(
        f"--devices: each worker trains on all its devices, received {wanted!r}; hide some by CUDA_VISIBLE_DEVICES"
    )


def _strategy(names: list[str]) -> "tf.distribute.Strategy":
    if names == choose_devices("auto")[:1]:
        return tf.distribute.get_strategy()  # where TensorFlow goes by itself
    if len(names) == 1:
        return tf.distribute.OneDeviceStrategy(names[0])
    # NCCL has no CPU kernels; on GPUs it is the default and the fastest.
    on_cpu = "CPU" in names[0]
    return tf.distribute.MirroredStrategy(
        names, cross_device_ops=tf.distribute.ReductionToOneDevice() if on_cpu else None
    )
