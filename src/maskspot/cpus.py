"""The number of CPUs that this process may use."""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path


def usable_cpus(system: Path = Path("/")) -> int:
    """Return the number of CPUs that this process may use, by affinity and by cgroup quota.

    Containers are usually limited by a quota, which CPU counts do not show. On Linux it is
    `cpu.max` of control groups version 2, and `cpu.cfs_quota_us` of version 1, of this group and
    those above it.

    Args:
        system: the root of the file system.
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quotas = [count, *(math.ceil(quota) for quota in _quotas(system))]
    return max(1, min(quotas))


def _quotas(system: Path) -> Iterator[float]:
    """Yield the quota of each control group of this process, in CPUs."""
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        found = re.fullmatch(r"\d+:(.*?):(/.*)", line)
        if not found or (found[1] and "cpu" not in found[1].split(",")):
            continue
        root = system / "sys/fs/cgroup" / ("cpu" if found[1] else "")
        group = root / found[2].lstrip("/")
        while True:
            yield from _quota(group)
            if group in (root, group.parent):
                break
            group = group.parent


def _quota(group: Path) -> Iterator[float]:
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        if int(quota) > 0:
            yield int(quota) / int(period)
    except (OSError, ValueError):  # no such group, or "max", which is no limit
        return
