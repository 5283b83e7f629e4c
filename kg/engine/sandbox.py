"""Locks on the engine's processes: no network, no programs, a memory ceiling, and death with the parent.

Hides prctl, seccomp filters and rlimits. A worker has nothing to do with the network once it holds its
channel, so the filter simply refuses to make new sockets (and new programs): an error inside a query
evaluator, or a `SERVICE` that the guard overlooked, still reaches nobody.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2

_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | 1  # SECCOMP_RET_ERRNO with EPERM
_KILL = 0x80000000
_X32_BIT = 0x40000000  # the second numbering of calls on x86_64, which would walk round the list

# AUDIT_ARCH_*, then the calls refused, in the kernel's numbers: socket, connect, bind, listen, accept,
# accept4, kill, ptrace, execve, execveat, process_vm_readv, process_vm_writev, io_uring_setup (whose
# rings can open sockets that no filter sees).
_ARCHITECTURES: dict[str, tuple[int, tuple[int, ...]]] = {
    "x86_64": (0xC000003E, (41, 42, 49, 50, 43, 288, 62, 101, 59, 322, 310, 311, 425)),
    "aarch64": (0xC00000B7, (198, 203, 200, 201, 202, 242, 129, 117, 221, 281, 270, 271, 425)),
}
_TO_CALL_OUT = (
    3  # the first calls of each list, which whoever asks other servers needs: socket, connect, bind
)


def deny_network() -> str:
    """Refuse new sockets and new programs to this process for ever; say which lock holds.

    Returns "seccomp", or "none (…)" with the reason where the system has no such lock.
    """
    return _deny(0)


def deny_programs() -> str:
    """As `deny_network`, but let this process call other servers; none can call it."""
    return _deny(_TO_CALL_OUT)


def _deny(spared: int) -> str:
    if sys.platform != "linux":
        return f"none (no seccomp on {sys.platform})"
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return f"none (no list of calls for {machine})"
    architecture, refused = _ARCHITECTURES[machine]
    program = _filter(architecture, refused[spared:])
    # struct sock_fprog: the number of instructions and a pointer to them.
    instructions = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(
        struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(instructions)), 16
    )
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1) or _prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(header)
    ):
        return f"none (prctl: {os.strerror(ctypes.get_errno())})"
    return "seccomp"


def _filter(architecture: int, refused: tuple[int, ...]) -> bytes:
    """A classic BPF program over struct seccomp_data: call number at offset 0, architecture at 4."""

    def instruction(code: int, jump_true: int, jump_false: int, value: int) -> bytes:
        return struct.pack("HBBI", code, jump_true, jump_false, value)

    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    checks = [instruction(equal, len(refused) - i, 0, number) for i, number in enumerate(refused)]
    return b"".join(
        [
            instruction(load, 0, 0, 4),
            instruction(equal, 1, 0, architecture),
            instruction(give, 0, 0, _KILL),
            instruction(load, 0, 0, 0),
            instruction(at_least, len(refused) + 1, 0, _X32_BIT),
            *checks,
            instruction(give, 0, 0, _ALLOW),
            instruction(give, 0, 0, _REFUSE),
        ]
    )


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, where the kernel can."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def die_first() -> None:
    """Where the machine runs out of memory, let the kernel end this process rather than the server."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def limit_files(open_files: int) -> None:
    """No core dumps, few open files, and none that grows beyond 64 KiB."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    allowed = open_files if hard == resource.RLIM_INFINITY else min(open_files, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))


def private_memory() -> int | None:
    """Bytes of private memory this process may write to, as RLIMIT_DATA counts them; None if unknown."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[5]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return None


def allow_memory(base: int | None, more: int) -> None:
    """Let private memory grow `more` bytes over `base`; beyond that an allocation fails."""
    if base is not None:
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        wanted = base + more
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def bound(pid: int, memory_bytes: int) -> None:
    """Give another process of ours so much private memory at most, and a low priority; on Linux only."""
    lower(pid)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # it has ended already
            resource.prlimit(pid, resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def lower(pid: int) -> None:
    """Give another process of ours, and those it starts from now on, a lower priority than this one has."""
    with contextlib.suppress(OSError, AttributeError):  # it has ended already; not on this system
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + 10)


def _prctl(option: int, *arguments: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    result: int = libc.prctl(ctypes.c_int(option), *padded)
    return result
