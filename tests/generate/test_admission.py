import pytest

from mimovl.errors import DataError
from mimovl.generate.admission import check_request, longest
from mimovl.types import Request, Sample, SamplingParams
from tests import tiny


def request(count: object = 1, **sampling: object) -> Request:
    return Request(Sample("s", ()), SamplingParams(**sampling), count)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, 5, 2.0, None])
def test_more_samples_than_slots_or_none_are_refused_with_both_numbers(count: object) -> None:
    with pytest.raises(DataError, match=rf"sample s: {count} samples are asked for, the engine has 4 slots"):
        check_request(request(count), 4, tiny.tokenizer())


def test_pages_are_those_of_the_prompt_and_of_every_sample_at_its_longest() -> None:
    """70 tokens in pages of 32: two full ones are shared, six tokens and 30 new ones take two pages a sample."""
    assert longest(70, request(max_tokens=30), 4, 32, None) == 2 + 4 * 2
    assert longest(64, request(max_tokens=32), 3, 32, 5 * 32) == 2 + 3
    with pytest.raises(DataError, match="sample s: a prompt of 64 tokens with 3 answers of 32 takes up to 160 tokens"):
        longest(64, request(max_tokens=32), 3, 32, 5 * 32 - 1)
