import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.errors import DataError
from mimovl.generate.sampling import check_sampling, draw_tokens, forbid
from mimovl.types import SamplingParams


def draw(logits, uniform, temperature=1.0, top_p=1.0, top_k=0):
    """One distribution, many draws: the tokens."""
    rows = torch.tensor(logits).expand(len(uniform), -1)
    sampling = SamplingParams(temperature, top_p, top_k=top_k)
    return draw_tokens(rows, torch.tensor(uniform), [sampling] * len(uniform))[0].tolist()


GRID = [(n + 0.5) / 1000 for n in range(1000)]
"""Draws spread evenly, so that counts are shares to 1/1000."""
PROBABILITIES = [0.5, 0.25, 0.15, 0.1]
LOGITS = torch.tensor(PROBABILITIES).log().tolist()


def shares(tokens, size=4):
    return [tokens.count(token) / len(tokens) for token in range(size)]


def test_tokens_are_drawn_with_their_probabilities() -> None:
    assert shares(draw(LOGITS, GRID)) == pytest.approx(PROBABILITIES, abs=0.0015)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_sharpens_and_flattens(temperature: float) -> None:
    powers = [value ** (1 / temperature) for value in PROBABILITIES]
    expected = [value / sum(powers) for value in powers]
    assert shares(draw(LOGITS, GRID, temperature)) == pytest.approx(expected, abs=0.0015)


def test_temperature_zero_takes_the_likeliest_whatever_the_draw() -> None:
    assert set(draw([0.0, 3.0, 1.0], [0.0, 0.5, 0.999], temperature=0.0)) == {1}


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [
        (1.0, PROBABILITIES),
        (0.9, [0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0]),
        (0.76, [0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0]),
        (0.74, [0.5 / 0.75, 0.25 / 0.75, 0, 0]),
        (0.1, [1, 0, 0, 0]),
        (0.0001, [1, 0, 0, 0]),
    ],
)
def test_top_p_keeps_the_smallest_set_that_holds_so_much(top_p: float, expected: list[float]) -> None:
    assert shares(draw(LOGITS, GRID, top_p=top_p)) == pytest.approx(expected, abs=0.0015)


def test_top_p_comes_after_temperature() -> None:
    """The two likeliest hold 0.75 at temperature 1 and 0.63 at temperature 2, where a third is needed."""
    assert 2 not in draw(LOGITS, GRID, temperature=1.0, top_p=0.7)
    assert 2 in draw(LOGITS, GRID, temperature=2.0, top_p=0.7)


@pytest.mark.parametrize(
    ("top_k", "expected"),
    [(0, PROBABILITIES), (9, PROBABILITIES), (3, [0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0]), (1, [1, 0, 0, 0])],
)
def test_top_k_keeps_the_k_likeliest(top_k: int, expected: list[float]) -> None:
    assert shares(draw(LOGITS, GRID, top_k=top_k)) == pytest.approx(expected, abs=0.0015)


def test_top_p_is_of_what_top_k_has_left() -> None:
    """Of the two likeliest the first holds two thirds."""
    assert set(draw(LOGITS, GRID, top_p=0.66, top_k=2)) == {0}
    assert set(draw(LOGITS, GRID, top_p=0.68, top_k=2)) == {0, 1}


def test_every_row_has_settings_of_its_own() -> None:
    logits = torch.tensor(LOGITS).expand(4, -1)
    uniform = torch.tensor([0.999, 0.999, 0.999, 0.999])
    sampling = [SamplingParams(0.0), SamplingParams(1.0), SamplingParams(1.0, 0.6), SamplingParams(1.0, top_k=3)]
    tokens, logprobs = draw_tokens(logits, uniform, sampling)
    assert tokens.tolist() == [0, 3, 1, 2]
    assert logprobs.exp().tolist() == pytest.approx([0.5, 0.1, 0.25, 0.15])


def test_recorded_logprobs_ignore_temperature_and_top_p() -> None:
    logits = torch.tensor([LOGITS])
    for temperature, top_p in ((0.0, 1.0), (0.3, 1.0), (1.0, 0.4)):
        token, logprob = draw_tokens(logits, torch.tensor([0.2]), [SamplingParams(temperature, top_p)])
        assert token.tolist() == [0]
        assert logprob.exp().item() == pytest.approx(0.5)


@settings(max_examples=100)
@given(
    logits=st.lists(st.floats(-50, 50), min_size=2, max_size=20),
    blocked=st.data(),
    uniform=st.one_of(st.floats(0, 1, exclude_max=True, width=32), st.sampled_from([0.0, 1 - 2**-24])),
    temperature=st.sampled_from([0.0, 0.01, 1.0, 100.0]),
    top_p=st.sampled_from([1.0, 0.5, 1e-6]),
    top_k=st.sampled_from([0, 1, 3]),
)
def test_forbidden_tokens_are_never_drawn(logits, blocked, uniform, temperature, top_p, top_k) -> None:
    size = len(logits)
    forbidden = blocked.draw(st.sets(st.integers(0, size - 1), max_size=size - 1))
    rows = forbid(torch.tensor([logits]), torch.tensor(sorted(forbidden), dtype=torch.long))
    token, logprob = draw_tokens(rows, torch.tensor([uniform]), [SamplingParams(temperature, top_p, top_k=top_k)])
    assert token.item() not in forbidden
    assert torch.isfinite(logprob).all()


def test_forbid_leaves_the_rest_and_what_it_was_given() -> None:
    logits = torch.randn(2, 3, 5, dtype=torch.bfloat16)
    before = logits.clone()
    masked = forbid(logits, torch.tensor([1, 4]))
    assert masked.dtype == torch.float32 and torch.equal(logits, before)
    assert (masked[..., [1, 4]] == float("-inf")).all()
    assert torch.equal(masked[..., [0, 2, 3]], logits[..., [0, 2, 3]].float())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("max_tokens", 0), ("temperature", -0.5), ("temperature", float("nan")), ("top_p", 0.0), ("top_p", 1.5)),
        *(("top_k", -1), ("stop", "abc"), ("stop", ("a", "")), ("stop", (3,))),
    ],
)
def test_settings_that_mean_nothing_are_named_with_their_value(field: str, value: object) -> None:
    with pytest.raises(DataError, match=f"sample x: {field} is .*; it must be"):
        check_sampling(SamplingParams(**{field: value}), "sample x")
    check_sampling(SamplingParams(), "sample x")


@pytest.mark.parametrize("temperature", [1e-40, 1e-300, 1e-7])
def test_a_temperature_next_to_nothing_is_greedy(temperature: float) -> None:
    assert set(draw([0.0, 30.0, 1.0, float("-inf")], GRID, temperature=temperature)) == {1}


def test_a_temperature_beyond_float32_is_even_among_what_may_be_written() -> None:
    assert shares(draw([0.0, 30.0, 1.0, float("-inf")], GRID, 1e39)) == pytest.approx(
        [1 / 3, 1 / 3, 1 / 3, 0], abs=2e-3
    )


def test_the_likeliest_is_always_within_the_top_p() -> None:
    assert set(draw(LOGITS, GRID, top_p=1e-50)) == {0}


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("temperature", None, "a number"),
        ("top_p", "0.5", "a number"),
        ("top_k", None, "a whole number"),
        ("max_tokens", 2.5, "a whole number"),
        ("max_tokens", True, "a whole number"),
        ("seed", None, "a whole number"),
        ("seed", 1.5, "a whole number"),
    ],
)
def test_settings_of_another_type_are_named(field: str, value: object, wanted: str) -> None:
    with pytest.raises(DataError, match=f"sample s: {field} is .*; it must be {wanted}"):
        check_sampling(SamplingParams(**{field: value}), "sample s")


def test_numbers_of_other_kinds_become_pythons_own() -> None:
    given = SamplingParams(np.float32(0.5), np.float64(1), np.int32(7), np.uint64(2**63), np.int8(3))
    checked = check_sampling(given, "sample s")
    assert checked == SamplingParams(0.5, 1.0, 7, 2**63, 3)
    assert [type(value) for value in (checked.temperature, checked.max_tokens, checked.seed)] == [float, int, int]
    plain = SamplingParams(1, 1, 5)  # type: ignore[arg-type]
    assert check_sampling(plain, "sample s") is plain
