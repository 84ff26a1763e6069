"""Names of traces: none is given twice, and later ones are greater."""

import secrets
import time
import uuid
from random import Random

from kedge.core.trace import new_trace_id


def test_a_name_is_a_uuid_of_version_7() -> None:
    before = time.time_ns() // 1_000_000
    name = new_trace_id(Random(1))
    assert len(name) == 32
    read = uuid.UUID(name)
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert before <= read.int >> 80 <= time.time_ns() // 1_000_000


def test_names_differ_and_later_ones_are_greater() -> None:
    draw = secrets.SystemRandom()
    names = [new_trace_id(draw) for _ in range(5000)]
    assert len(set(names)) == 5000
    time.sleep(0.002)
    assert new_trace_id(draw) > max(names)


def test_every_bit_that_may_be_drawn_is() -> None:
    draw = Random(2)
    seen, always = 0, ~0
    for _ in range(200):
        number = int(new_trace_id(draw), 16)
        seen, always = seen | number, always & number
    drawn = seen & ~always & (1 << 80) - 1
    assert drawn.bit_count() == 74
