"""Which worker gets which request, and which request is set aside."""

from collections import Counter

import pytest

from maya_batch.engine.api import Request
from maya_batch.run.cluster.deal import Deal


def request(number: int) -> Request:
    return Request(str(number), "A voice.", "Text.", number, 100)


def keys(requests: list[Request]) -> list[int]:
    return [int(request.key) for request in requests]


def test_a_worker_holds_its_batch_and_a_quarter_and_gets_more_as_takes_end() -> None:
    deal = Deal(map(request, range(100)))
    assert keys(deal.give(1, 16, 2)) == list(range(20))
    assert keys(deal.give(2, 16, 2)) == list(range(20, 40))
    assert deal.give(1, 16, 2) == []
    for number in range(3):
        deal.settle(1, str(number))
    assert keys(deal.give(1, 16, 2)) == [40, 41, 42]
    assert deal.left == 97


def test_at_the_end_workers_share_what_is_left() -> None:
    deal = Deal(map(request, range(10)))
    assert len(deal.give(1, 512, 4)) == 3
    assert len(deal.give(2, 512, 4)) == 3
    assert len(deal.give(3, 512, 4)) == 3
    assert len(deal.give(4, 512, 4)) == 1
    assert keys(Deal([request(1)]).give(1, 1, 9)) == [1]


@pytest.mark.parametrize(("batch_size", "joins", "ends_by"), [(40, None, 58), (16, 20, 44)])
def test_a_faster_worker_gets_more_of_what_is_left(batch_size: int, joins: int | None, ends_by: int) -> None:
    """Two workers, of which the second generates three requests while the first generates one; a fast one joins them.

    Two workers end 200 requests in 50 turns at best, with the third one in 38; with equal shares in 75 and 48. For 8
    turns the first one is dealt as much as the others.
    """
    deal, turns = Deal(map(request, range(200))), 0
    speeds = {1: 1, 2: 3}
    while deal.left:
        if turns == joins:
            speeds[3] = 3
        for worker, speed in speeds.items():
            deal.give(worker, batch_size, len(speeds))
            for key in list(deal.held(worker))[:speed]:
                deal.settle(worker, key)
        turns += 1
    assert turns <= ends_by


def test_retries_come_first_and_later_ones_last() -> None:
    deal = Deal(map(request, range(4)))
    assert deal.add_first([request(8), request(9)]) == []
    deal.add_last([request(7)])
    assert keys(deal.give(1, 100, 1)) == [8, 9, 0, 1, 2, 3, 7]


def test_what_a_lost_worker_held_goes_to_the_others_first() -> None:
    deal = Deal(map(request, range(40)))
    deal.give(1, 8, 2)
    deal.settle(1, "0")
    back, culprit = deal.lose(1)
    assert keys(back) == list(range(1, 10))
    assert culprit is None
    assert keys(deal.give(2, 64, 1))[0] == 1
    assert deal.lose(3) == ([], None)  # it held nothing


@pytest.mark.parametrize(("batch_size", "most_lost"), [(2, 2), (16, 3), (512, 4)])
def test_a_request_that_kills_workers_is_found_and_all_others_are_generated(batch_size: int, most_lost: int) -> None:
    """Three workers, of which one is lost as soon as it has held the poisoned request for a while."""
    count, poisoned = 3 * batch_size, str(batch_size // 2)
    deal = Deal(map(request, range(count)))
    done: Counter[str] = Counter()
    workers, lost, aside = [1, 2, 3], 0, None
    for turn in range(100 * batch_size):
        if not deal.left:
            break
        worker = workers[turn % 3]
        deal.give(worker, batch_size, 3)
        held = list(deal.held(worker))
        if poisoned in held:
            _, culprit = deal.lose(worker)
            workers[turn % 3] = max(workers) + 1
            lost += 1
            if culprit is not None:
                aside = culprit
            continue
        for key in held[: max(batch_size // 4, 1)]:
            deal.settle(worker, key)
            done[key] += 1
    assert aside is not None
    assert aside.key == poisoned
    assert lost <= most_lost
    assert set(done) == {str(number) for number in range(count)} - {poisoned}
    assert set(done.values()) == {1}
    assert [again.key for again in deal.add_first([aside])] == [poisoned]
    assert deal.left == 0


def test_machines_that_die_for_another_reason_cost_no_chunk() -> None:
    """Two workers of four are lost, one after the other, with large batches: nothing is set aside."""
    deal = Deal(map(request, range(2000)))
    for worker in (1, 2, 3, 4):
        deal.give(worker, 256, 4)
    assert deal.lose(1)[1] is None
    for worker in (2, 3, 4):
        for key in list(deal.held(worker))[:100]:
            deal.settle(worker, key)
        deal.give(worker, 256, 3)
        suspects = sum(int(key) < 320 for key in deal.held(worker))
        assert suspects == 256 // 8
    assert deal.lose(2)[1] is None
    done = 0
    while deal.left:
        for worker in (3, 4):
            deal.give(worker, 256, 2)
            for key in list(deal.held(worker))[:50]:
                deal.settle(worker, key)
                done += 1
    assert done == 2000 - 300
