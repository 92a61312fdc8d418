import numpy as np
import pytest

from mimovl.errors import DataError, UsageError
from mimovl.generate.admission import check_engine, check_request, longest
from mimovl.types import Request, Sample, SamplingParams
from tests import tiny


def request(count: object = 1, **sampling: object) -> Request:
    return Request(Sample("s", ()), SamplingParams(**sampling), count)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, 5, 2.0, None, True])
def test_more_samples_than_slots_or_none_are_refused_with_both_numbers(count: object) -> None:
    with pytest.raises(DataError, match=rf"sample s: {count} samples are asked for, the engine has 4 slots"):
        check_request(request(count), 4, tiny.tokenizer())


def test_pages_are_those_of_the_prompt_and_of_every_sample_at_its_longest() -> None:
    """70 tokens in pages of 32: two full ones are shared, six tokens and 30 new ones take two pages a sample."""
    assert longest(70, request(max_tokens=30), 4, 32, None) == 2 + 4 * 2
    assert longest(64, request(max_tokens=32), 3, 32, 5 * 32) == 2 + 3
    with pytest.raises(DataError, match="sample s: a prompt of 64 tokens with 3 answers of 32 takes up to 160 tokens"):
        longest(64, request(max_tokens=32), 3, 32, 5 * 32 - 1)


def test_what_is_in_order_is_left_as_it_is_and_numbers_of_numpy_become_pythons_own() -> None:
    plain = request(2, seed=2**45)
    assert check_request(plain, 4, tiny.tokenizer()) is plain
    checked = check_request(request(np.int64(2), seed=np.int64(2**45)), 4, tiny.tokenizer())
    assert checked == plain and type(checked.num_samples) is type(checked.sampling.seed) is int


def test_settings_that_are_no_sampling_params_are_named_by_their_type() -> None:
    with pytest.raises(DataError, match="sample s: sampling is of type dict; give SamplingParams"):
        check_request(Request(Sample("s", ()), {"temperature": 1}), 4, tiny.tokenizer())  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["runs/model", None, tiny.tokenizer()])
def test_an_engine_is_made_of_a_model_only(model: object) -> None:
    with pytest.raises(UsageError, match=f"model is of type {type(model).__name__}; give a model"):
        check_engine(model, slots=4, page_tokens=None, cache_tokens=None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("slots", 0), ("slots", None), ("page_tokens", -1), ("page_tokens", 0), ("page_tokens", 2.5), ("cache_tokens", 0)],
)
def test_numbers_no_engine_can_be_made_with_are_named(name: str, value: object) -> None:
    numbers = {"slots": 4, "page_tokens": None, "cache_tokens": None}
    check_engine(tiny.model(), **numbers)
    with pytest.raises(UsageError, match=f"{name} is {value}; it must be a whole number of at least 1"):
        check_engine(tiny.model(), **{**numbers, name: value})
