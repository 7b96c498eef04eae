"""What a control group allows, and what requests may hold of it."""

import asyncio
from pathlib import Path

import pytest

from serving.errors import RequestError, StartError
from serving.memory import BLOCK_BYTES, CUDA_BYTES, MIB, MOST_BUFFERS, Budget, Buffers, Reservation, limit, shares


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        ("0::/\n", {"memory.max": "536870912"}, 512 * MIB),
        ("0::/pod/abc\n", {"pod/abc/memory.max": "536870912", "memory.max": "max"}, 512 * MIB),
        ("4:memory:/pod/abc\n0::/\n", {"memory/pod/abc/memory.limit_in_bytes": "536870912"}, 512 * MIB),
        ("4:memory:/not/mounted/here\n", {"memory/memory.limit_in_bytes": "536870912"}, 512 * MIB),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("0::/\n", {"memory.max": "max"}, None),
        ("0::/\n", {}, None),
    ],
)
def test_the_limit_of_the_control_group(
    tmp_path: Path, group: str, files: dict[str, str], expected: int | None
) -> None:
    proc, mounts = tmp_path / "cgroup", tmp_path / "mounts"
    proc.write_text(group)
    for name, text in files.items():
        (mounts / name).parent.mkdir(parents=True, exist_ok=True)
        (mounts / name).write_text(f"{text}\n")
    assert limit(proc, mounts) == expected


def test_a_model_too_large_for_the_limit_is_refused_with_what_it_needs() -> None:
    assert shares(100 * MIB, 512 * MIB).requests == 150 * MIB
    with pytest.raises(StartError, match=r"500 MiB does not fit .* 512 MiB; raise it to 644 MiB at least, or to 1144"):
        shares(500 * MIB, 512 * MIB)


def test_cuda_has_its_share_of_the_limit_and_the_refusal_says_so() -> None:
    assert shares(100 * MIB, 512 * MIB + CUDA_BYTES, "cuda") == shares(100 * MIB, 512 * MIB, "cpu")
    with pytest.raises(StartError, match=r"and CUDA, which takes 900 MiB, do not fit .* 512 MiB; raise it to 1064"):
        shares(20 * MIB, 512 * MIB, "cuda")


def test_requests_wait_in_line() -> None:
    async def scenario() -> None:
        budget = Budget(100)
        first, large, small = (Reservation(budget) for _ in range(3))
        await first.raise_to(60)
        waiting = [asyncio.create_task(held.raise_to(size)) for held, size in ((large, 80), (small, 40))]
        await asyncio.sleep(0)
        # The small one would fit, but does not overtake.
        assert budget.used == 60
        waiting[0].cancel()
        await waiting[1]
        assert budget.used == 100
        again = asyncio.create_task(large.raise_to(80))
        await asyncio.sleep(0)
        small.lower_to(0)
        first.lower_to(0)
        await again
        large.lower_to(0)
        assert budget.used == 0

    asyncio.run(scenario())


def test_who_waits_too_long_or_for_too_much_is_refused() -> None:
    async def scenario() -> None:
        budget = Budget(100, wait_seconds=0.01)
        first, second = Reservation(budget), Reservation(budget)
        await first.raise_to(60)
        for size, status in ((80, 503), (101, 413)):
            with pytest.raises(RequestError) as refused:
                await second.raise_to(size)
            assert refused.value.status == status
        first.lower_to(0)
        assert budget.used == 0

    asyncio.run(scenario())


def test_an_answer_takes_the_place_of_its_request_and_never_waits() -> None:
    async def scenario() -> None:
        budget = Budget(100)
        one, other = Reservation(budget), Reservation(budget)
        await one.raise_to(60)
        await other.raise_to(40)
        with pytest.raises(RequestError) as busy:
            one.answer(80)
        assert busy.value.status == 503
        one.answer(60)
        with pytest.raises(RequestError, match="ask for binary outputs") as impossible:
            other.answer(101)
        assert impossible.value.status == 413
        one.lower_to(0)
        assert budget.used == 0

    asyncio.run(scenario())


def test_a_few_buffers_are_kept() -> None:
    buffers = Buffers()
    given = [bytearray(100) for _ in range(2 * MOST_BUFFERS)]
    for buffer in given:
        buffers.give(buffer)
    taken = [buffers.take() for _ in given]
    assert [len(buffer) for buffer in taken] == [100] * MOST_BUFFERS + [0] * MOST_BUFFERS
    assert {id(buffer) for buffer in taken[:MOST_BUFFERS]} <= {id(buffer) for buffer in given}


def test_what_is_kept_is_given_back_a_while_after_a_large_request() -> None:
    async def kept_after(size: int) -> int:
        budget = Budget(BLOCK_BYTES, rest_seconds=0.01)
        budget.buffers.give(bytearray(100))
        assert budget.take(size)
        budget.give(size)
        await asyncio.sleep(0.1)
        return len(budget.buffers.take())

    assert asyncio.run(kept_after(BLOCK_BYTES)) == 0
    assert asyncio.run(kept_after(BLOCK_BYTES - 1)) == 100
