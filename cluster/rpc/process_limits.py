"""Checks that this process may take what gRPC needs: under a limit that is too low, gRPC aborts, crashes or hangs."""

import os
import resource
import threading

from cluster.domain.base.errors import Exhausted

# Measured at the start of a scheduler, and some more. gRPC starts more threads where there are more cpus, and each
# thread takes addresses for a stack of 8 MiB and an allocation arena of 64 MiB.
DESCRIPTORS = 32
THREADS = 8 + min(max(os.cpu_count() or 2, 2), 16)
ADDRESS_SPACE = (512 << 20) + THREADS * (72 << 20)  # bytes
# A serving process has an open file for each connection. The usual soft limit of 1,024 protects programs that use
# select(2); any other process may raise its own up to the hard limit.
FILES_OF_ROLES = 65_536
SPARE_THREADS = 8  # those that gRPC starts later, and ours
SMALL_STACK = 64 << 10  # bytes; of threads that are only started to see that they can be

_known_to_be_there = False


def check_room() -> None:
    """Exhausted, naming the limit to raise, when gRPC needs more than this process may take. Checks once a process."""
    global _known_to_be_there  # noqa: PLW0603 (of the process, as the limits are)
    if _known_to_be_there:
        return
    check_descriptors()
    _check_address_space()
    _check_threads()
    _known_to_be_there = True


def check_descriptors() -> None:
    """Exhausted when this process may not open enough files. Cheap, and called first, since importing opens files."""
    taken: list[int] = []
    try:
        taken += (os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(DESCRIPTORS))
    except OSError as error:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        raise Exhausted(
            f"too few open files are allowed here (ulimit -n is {limit}; {error.strerror}): {DESCRIPTORS} more are "
            "needed"
        ) from None
    finally:
        for fd in taken:
            os.close(fd)


def allow_many_files() -> None:
    """Raises this process's limit on open files to FILES_OF_ROLES, or the hard limit. Its children inherit that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_OF_ROLES if hard == resource.RLIM_INFINITY else min(hard, FILES_OF_ROLES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _check_address_space() -> None:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return
    import mmap

    try:
        mmap.mmap(-1, ADDRESS_SPACE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ).close()
    except OSError:
        raise too_little_memory(limit) from None


def too_little_memory(limit: int) -> Exhausted:
    """The error for a limit, in bytes, on this process's address space."""
    needed = ADDRESS_SPACE >> 10
    return Exhausted(f"too little memory is allowed here (ulimit -v is {limit >> 10}): {needed} KiB more are needed")


def _check_threads() -> None:
    """Starts the threads to see that it can: limits count all processes of the user, and those of a container
    others."""
    done, started, usual = threading.Event(), [], threading.stack_size(SMALL_STACK)
    try:
        for _ in range(THREADS + SPARE_THREADS):
            thread = threading.Thread(target=done.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:
        limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
        shown = "" if limit == resource.RLIM_INFINITY else f" (ulimit -u is {limit})"
        raise Exhausted(
            f"no more processes and threads are allowed here{shown}: {THREADS + SPARE_THREADS} more are needed"
        ) from None
    finally:
        threading.stack_size(usual)
        done.set()
        for thread in started:
            thread.join()
