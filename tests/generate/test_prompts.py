import pytest

from mimovl.errors import UsageError
from mimovl.generate.prompts import as_requests
from mimovl.types import Message, Part, Request, Sample, SamplingParams
from tests.data import small

WARM = SamplingParams(temperature=1.0, seed=5)


def test_texts_conversations_samples_and_requests_are_prompts() -> None:
    turns = [small.user("How many?"), small.assistant("3"), small.user("Which?")]
    picture = small.picture(56, 56)
    sample = Sample("seen", (small.user("What?", picture),), {picture.sha256: picture})
    ready = Request(sample, SamplingParams(max_tokens=3), 2, False)
    made = as_requests(["Hello", turns, sample, ready], WARM, 4)
    assert made[0].sample.messages == (Message("user", (Part("text", text="Hello"),)),)
    assert made[1].sample.messages == tuple(turns)
    assert made[2].sample is sample and made[3] is ready
    assert [(request.sampling, request.num_samples) for request in made[:3]] == [(WARM, 4)] * 3
    assert len({request.sample.id for request in made[:3]}) == 3


def test_each_prompt_may_have_sampling_of_its_own() -> None:
    several = [SamplingParams(seed=n) for n in range(2)]
    assert [request.sampling for request in as_requests(["a", "b"], several)] == several
    assert as_requests(["a"])[0].sampling == SamplingParams()


@pytest.mark.parametrize(
    ("prompts", "sampling", "message"),
    [
        ("Hello", None, "prompts is one str; give a list"),
        (["a", "b"], [WARM], "2 prompts, 1 sampling settings"),
        ([3], None, "prompt 0 is of type int; use a text"),
        (["a", []], None, "prompt 1 is of type list"),
        ([[{"role": "user"}]], None, "prompt 0 is of type list; use a text, a list of Message"),
    ],
)
def test_anything_else_is_named(prompts, sampling, message) -> None:
    with pytest.raises(UsageError, match=message):
        as_requests(prompts, sampling)
