"""Samples by request, in the order asked; failures beside them."""

import pickle

import pytest

from mimovl.generate.gathering import Gathering, UnansweredError
from mimovl.generate.sequence import Finished, RequestError
from mimovl.types import Completion, Request, Sample


def gathering(*counts: int) -> Gathering:
    """Requests for so many samples, with tickets 10, 11, …"""
    found = Gathering([Request(Sample(f"s{place}", ()), num_samples=count) for place, count in enumerate(counts)])
    for place in range(len(counts)):
        found.asked(10 + place)
    return found


def done(ticket: int, sample: int) -> Finished:
    return Finished(ticket, sample, Completion(f"{ticket}.{sample}", "stop"))


def failure(ticket: int, reason: str = "prompt") -> RequestError:
    return RequestError(f"sample s{ticket - 10}: too long", ticket=ticket, reason=reason)


def test_answers_stand_in_the_order_asked_whatever_finished_first() -> None:
    found = gathering(2, 1)
    assert [found.take(done(*one)) for one in ((11, 0), (10, 1), (7, 0), (10, 0))] == [True, True, False, True]
    assert found.finished == found.total == 3
    assert [[one.text for one in group] for group in found.answers()] == [["10.0", "10.1"], ["11.0"]]


def test_what_failed_is_told_when_all_others_are_there_with_their_answers() -> None:
    found = gathering(3, 1, 2)
    found.take(done(10, 1))
    assert found.fail(failure(10)) and not found.fail(failure(7))
    found.take(done(10, 2))  # came too late to count
    assert found.finished == 3
    for one in (done(11, 0), done(12, 0), done(12, 1)):
        found.take(one)
    assert found.finished == found.total
    with pytest.raises(UnansweredError, match="sample s0: too long") as caught:
        found.answers()
    error = pickle.loads(pickle.dumps(caught.value))
    assert [[one.text for one in group] for group in error.answers] == [[], ["11.0"], ["12.0", "12.1"]]
    assert {place: one.ticket for place, one in error.failures.items()} == {0: 10}
    assert (error.ticket, error.reason) == (10, "prompt")


def test_a_few_failures_are_told_in_full_and_the_rest_are_counted() -> None:
    found = gathering(*[1] * 6)
    for ticket in (14, 10, 11, 12, 15):
        found.fail(failure(ticket))
    found.take(done(13, 0))
    told = r"^sample s0: too long; sample s1: too long; sample s2: too long; and 2 more, of 6 requests$"
    with pytest.raises(UnansweredError, match=told):
        found.answers()
