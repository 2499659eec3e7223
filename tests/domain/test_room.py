"""When a worker has no room for more work, and when it has again."""

from cluster.domain.worker.room import MOST, MOST_FILES, Space, reserve_of, shortage

MIB, GIB = 1 << 20, 1 << 30


def disk(free: int, size: int = 100 * GIB, files: int = 0, files_free: int = 0) -> Space:
    return Space("/jobs", size, free, files, files_free)


def test_a_twentieth_is_kept_free_but_no_more_than_a_gibibyte() -> None:
    assert reserve_of(disk(0, size=200 * MIB), None) == 10 * MIB
    assert reserve_of(disk(0, size=100 * GIB), None) == MOST
    assert not shortage([disk(MOST)], None)
    assert shortage([disk(MOST - 1)], None) == "/jobs has 1.0 GiB free, and 1.0 GiB are kept free"


def test_the_operator_may_keep_more_or_less() -> None:
    assert shortage([disk(2 * GIB)], 3 * GIB) == "/jobs has 2.0 GiB free, and 3.0 GiB are kept free"
    assert not shortage([disk(MIB)], MIB)
    assert not shortage([disk(0, files=100_000)], 0)


def test_who_had_no_room_takes_work_again_when_there_is_a_little_more_than_the_reserve() -> None:
    assert shortage([disk(10 * MIB)], 10 * MIB, had_room=False)
    assert not shortage([disk(12 * MIB + MIB // 2)], 10 * MIB, had_room=False)


def test_inodes_run_out_too_where_they_are_counted() -> None:
    assert not shortage([disk(90 * GIB, files=0, files_free=0)], None)
    assert not shortage([disk(90 * GIB, files=10**6, files_free=MOST_FILES)], None)
    why = shortage([disk(90 * GIB, files=10**6, files_free=MOST_FILES - 1)], None)
    assert why == "/jobs has room for 999 more files, and 1000 are kept free"
    assert shortage([disk(90 * GIB, files=100, files_free=4)], None)


def test_one_full_disk_of_several_is_enough() -> None:
    assert shortage([disk(90 * GIB), disk(MIB)._replace(path="/work")], None).startswith("/work has 1.0 MiB free")
