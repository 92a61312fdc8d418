from dataclasses import dataclass

import pytest

from mimovl.curate.world.items import (
    HELDOUT_MODULUS,
    KEY_SEPARATOR,
    draw_accepted,
    is_heldout,
    key_hash,
    split_of,
)
from mimovl.errors import DataError


@dataclass(frozen=True)
class Drawn:
    key: str


def test_key_hash_is_the_same_on_every_machine() -> None:
    assert key_hash("scene 84x84: large red circle @ centre") == "e2f904aef021da98"


def test_about_one_key_in_sixteen_is_held_out() -> None:
    share = sum(is_heldout(f"key {number}") for number in range(8000)) / 8000
    assert abs(share - 1 / HELDOUT_MODULUS) < 0.01


def test_split_of_a_composite_key_is_that_of_its_parts() -> None:
    heldout = [key for key in map(str, range(200)) if is_heldout(key)][:2]
    train = [key for key in map(str, range(200)) if not is_heldout(key)][:2]
    assert split_of(KEY_SEPARATOR.join(heldout)) == "heldout"
    assert split_of(KEY_SEPARATOR.join(train)) == "train"
    with pytest.raises(AssertionError, match="mixes splits"):
        split_of(KEY_SEPARATOR.join([heldout[0], train[0]]))


def test_draws_until_the_key_is_accepted() -> None:
    numbers = iter(range(100))
    assert draw_accepted(lambda: Drawn(str(next(numbers))), lambda key: key == "7").key == "7"


def test_a_world_too_small_for_a_split_is_an_error_and_not_an_endless_loop() -> None:
    with pytest.raises(DataError, match="10,000 draws"):
        draw_accepted(lambda: Drawn("always the same"), lambda key: False)
