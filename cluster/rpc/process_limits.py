"""Whether this process may have what gRPC takes: where a limit is too low, gRPC aborts, crashes or hangs for good."""

import os
import resource
import threading

from cluster.domain.base.errors import Exhausted

# What a scheduler was seen to take at its start, with some to spare. gRPC has more threads where there are more cpus,
# and of each thread the C library takes a stack of 8 MiB and room for allocations of 64 MiB, in addresses.
DESCRIPTORS = 32
THREADS = 8 + min(max(os.cpu_count() or 2, 2), 16)
ADDRESS_SPACE = (512 << 20) + THREADS * (72 << 20)  # bytes
# A role has an open file for each connection. 1,024, the usual limit, was made for programs that use select(2); any
# process may raise its own to the hard one, and does so where it has many files.
FILES_OF_ROLES = 65_536
SPARE_THREADS = 8  # of gRPC's that come later, and ours
SMALL_STACK = 64 << 10  # bytes: of threads that only show that they can be had

_known_to_be_there = False


def check_room() -> None:
    """Exhausted, with the limit to raise, where there is too little room for gRPC. Looks once in a process's life."""
    global _known_to_be_there  # noqa: PLW0603 (of the process, as the limits are)
    if _known_to_be_there:
        return
    check_descriptors()
    _check_address_space()
    _check_threads()
    _known_to_be_there = True


def check_descriptors() -> None:
    """Exhausted where it may not open enough files. Cheap, and of use before anything else: modules are files."""
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
    """Raises this process's limit on open files to FILES_OF_ROLES, as far as it may. What it starts inherits that."""
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
    """`limit`: of this process's address space, in bytes."""
    needed = ADDRESS_SPACE >> 10
    return Exhausted(f"too little memory is allowed here (ulimit -v is {limit >> 10}): {needed} KiB more are needed")


def _check_threads() -> None:
    """The limit counts all processes of the user, and a container's counts others: only trying tells."""
    done, started, usual = threading.Event(), [], threading.stack_size(SMALL_STACK)  # which is not what is asked here
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
