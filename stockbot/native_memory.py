"""Lets the C library keep large blocks that were freed, for work that asks for such blocks again and again."""

import ctypes
import sys
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_KEPT, _LARGEST = 256 << 20, 64 << 20  # bytes


def keep_freed_memory() -> None:
    """glibc gives a large block back as soon as it is free, and the next one is faulted in page by page; a build has a
    quarter of the page faults without that. Other C libraries are left alone."""
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):  # musl has no mallopt
        libc = ctypes.CDLL(None)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT)
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
