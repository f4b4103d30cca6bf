"""The memory of the machine, as opposed to that of a GPU: what is left, and what this process holds."""

import os
import resource
from pathlib import Path

#: The share of the available memory that is left for other programs and for what a plan does not know.
RESERVED_SHARE = 0.08

#: cgroup limits of this process's memory, version 2.
_CGROUP = Path("/sys/fs/cgroup")


def usable_memory() -> int:
    """Bytes of the machine's memory that this process may still take."""
    with Path("/proc/meminfo").open(encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file)
    available = int(lines["MemAvailable"].split()[0]) * 1024
    try:
        most = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        if most != "max":
            available = min(available, int(most) - _held_in_cgroup())
    except (OSError, ValueError, KeyError):
        pass  # no such limit
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        available = min(available, limit - _pages(0))
    return max(int(available * (1 - RESERVED_SHARE)), 0)


def _held_in_cgroup() -> int:
    """Bytes that count against the limit of the cgroup, without the pages of files that the kernel can drop."""
    current = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
    stat = (_CGROUP / "memory.stat").read_text(encoding="ascii")
    return current - int(dict(line.split() for line in stat.splitlines())["inactive_file"])


def resident_memory() -> int:
    """Bytes of the machine's memory that this process holds."""
    return _pages(1)


def peak_resident_memory() -> int:
    """The most bytes of the machine's memory that this process has held."""
    # Not getrusage: its peak includes that of the process which started this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def _pages(field: int) -> int:
    """A number of /proc/self/statm in bytes: 0 is the address space, 1 the resident memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[field]) * os.sysconf("SC_PAGE_SIZE")
