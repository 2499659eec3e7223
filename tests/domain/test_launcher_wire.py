"""What the agent says to its launcher in one message is bounded, whatever it starts."""

from cluster.domain.launcher.template import Item
from cluster.launcher.wire import BATCH_BYTES, batches_of, decode, encode, encode_item


def test_starts_with_long_lines_are_cut_into_messages_of_bounded_size() -> None:
    """12 MB of control characters made a line of more than 64 MiB, which both sides refused for ever."""
    items = [Item(f"1.{n}#1", n + 1, "\x01" * (130_000 if n % 3 else 0)) for n in range(200)]
    batches = list(batches_of(items))
    lines = [encode(("start", 1, [encode_item(item) for item in batch])) for batch in batches]
    assert max(map(len, lines)) < BATCH_BYTES + 2**16
    assert [item for line in lines for item in decode(line)[2]] == [[*item] for item in items]


def test_many_keys_are_cut_and_few_are_not() -> None:
    keys = [f"1.{n}#1" for n in range(50_000)]
    batches = list(batches_of(iter(keys)))
    assert [key for batch in batches for key in batch] == keys
    assert max(len(encode(("recall", batch))) for batch in batches) < BATCH_BYTES
    assert list(batches_of(keys[:5000])) == [keys[:5000]]
    assert not list(batches_of([]))
