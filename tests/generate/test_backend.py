from __future__ import annotations

import inspect

import pytest

from mimovl.generate import Engine, RequestError, RolloutEngine
from mimovl.rl.simulator import SimulatedEngine
from mimovl.types import Request, Sample, SamplingParams
from tests import tiny
from tests.data import small


@pytest.mark.parametrize("engine", [Engine, SimulatedEngine])
def test_every_engine_has_what_a_collector_asks_for(engine: type) -> None:
    for name, method in inspect.getmembers(RolloutEngine, inspect.isfunction):
        if not name.startswith("_"):
            assert list(inspect.signature(getattr(engine, name)).parameters) == list(
                inspect.signature(method).parameters
            )


def test_a_request_that_cannot_be_run_is_reported_under_its_ticket_and_the_others_go_on() -> None:
    engine = Engine(tiny.model(), tiny.processor(), slots=4)
    good = Request(Sample("good", (small.user("hello"),)), SamplingParams(max_tokens=2))
    long = Request(Sample("long", (small.user("circle " * 3000),)), SamplingParams(max_tokens=2))
    first, bad, last = (engine.submit(request) for request in (good, long, good))
    seen, errors = [], []
    while not engine.idle:
        try:
            seen += engine.step()
        except RequestError as error:
            errors.append((error.ticket, error.reason))
    assert errors == [(bad, "prompt")] and sorted(done.ticket for done in seen) == [first, last]
