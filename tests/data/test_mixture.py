import itertools
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.data import Mixture
from mimovl.errors import DataError

INDICES = {"a": range(0, 10), "b": range(10, 13), "c": range(13, 20), "unused": range(20, 30)}
WEIGHTS = {"a": 3.0, "b": 1.0, "c": 0.0}


def draws(mixture, count, start=0):
    return list(itertools.islice(mixture.stream(start), count))


def test_sources_come_in_proportion_to_their_weights():
    drawn = draws(Mixture(INDICES, WEIGHTS, seed=0), 20_000)
    share = sum(index < 10 for index in drawn) / len(drawn)
    assert abs(share - 0.75) < 4 * math.sqrt(0.75 * 0.25 / 20_000)
    assert max(drawn) < 13, "a source of weight 0 or without weight was drawn"


def test_every_sample_of_a_source_comes_once_an_epoch_in_a_new_order():
    drawn = [index for index in draws(Mixture(INDICES, WEIGHTS, seed=1), 4000) if index < 10]
    epochs = [tuple(drawn[start : start + 10]) for start in range(0, 1000, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len(set(epochs)) > 90


@settings(max_examples=40)
@given(start=st.integers(0, 5000), seed=st.integers(0, 100))
def test_resuming_at_any_draw_continues_exactly(start, seed):
    mixture = Mixture(INDICES, WEIGHTS, seed=seed)
    assert draws(mixture, 50, start) == draws(Mixture(INDICES, WEIGHTS, seed=seed), start + 50)[start:]


@pytest.mark.parametrize("start", [1023, 1024, 1025, 2048])
def test_resuming_at_the_edge_of_a_block_continues_exactly(start):
    mixture = Mixture(INDICES, WEIGHTS, seed=3)
    assert draws(mixture, 30, start) == draws(mixture, start + 30)[start:]


def test_resuming_far_into_a_run_is_quick():
    mixture = Mixture(INDICES, WEIGHTS, seed=0)
    began = time.process_time()
    draws(mixture, 1, 3_000_000)
    assert time.process_time() - began < 30  # by blocks 0.1 s; the bound is against drawing one by one


def test_the_seed_decides_the_order():
    first, same, other = (draws(Mixture(INDICES, WEIGHTS, seed=seed), 100) for seed in (0, 0, 1))
    assert first == same != other


def test_the_order_of_the_tables_does_not_matter():
    turned = Mixture(dict(reversed(INDICES.items())), dict(reversed(WEIGHTS.items())), seed=0)
    assert draws(turned, 100) == draws(Mixture(INDICES, WEIGHTS, seed=0), 100)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"d": 1.0}, "the mixture names source 'd'; the dataset has: a, b, c, unused"),
        ({"a": -1.0}, "gives source 'a' the weight -1.0; weights are 0 or more and finite"),
        ({"a": math.nan}, "the weight nan"),
        ({"a": math.inf}, "the weight inf"),
        ({"empty": 1.0}, "draws from source 'empty', which has no sample"),
        ({"a": 0.0}, "no source with a weight above 0"),
        ({}, "no source with a weight above 0"),
    ],
)
def test_impossible_mixtures_are_refused(weights, message):
    indices = {**INDICES, "empty": []} if "empty" in weights else INDICES
    with pytest.raises(DataError, match=message):
        Mixture(indices, weights, seed=0)
