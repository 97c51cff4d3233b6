"""What /proc tells: the machine, and what a process tree has used."""

import os
import platform
import resource


def describe():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "descriptor_hard_limit": hard,
    }


def _read(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def _parent_of(pid):
    # The name in parentheses may contain anything; the fields start behind the last one.
    return int(_read(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])


def tree(root):
    """A process and its descendants: a supervisor and what it supervises count as one server."""
    children = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            children.setdefault(_parent_of(int(name)), []).append(int(name))
        except (OSError, ValueError, IndexError):
            continue  # it ended meanwhile
    pids, todo = [], [root]
    while todo:
        pid = todo.pop()
        pids.append(pid)
        todo += children.get(pid, [])
    return pids


def _task_seconds(pid):
    """To the nanosecond, where the kernel keeps it; /proc/PID/stat counts ticks of 10 ms."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        total += int(_read(f"/proc/{pid}/task/{task}/schedstat").split()[0])
    return total / 1e9


def _stat_seconds(pid):
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds(root):
    """User and system time of all threads; none of the servers here ends threads while measured."""
    seconds = _task_seconds if os.path.exists("/proc/self/schedstat") else _stat_seconds
    return sum(seconds(pid) for pid in tree(root))


def pss_bytes(root):
    total = 0
    for pid in tree(root):
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total
