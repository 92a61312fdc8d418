import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mimovl.generate.page_pool import PagePool
from tests import tiny

LANGUAGE = tiny.config().language
SIZE = 4


def pool() -> PagePool:
    return PagePool(LANGUAGE, SIZE, dtype=torch.float32, device=torch.device("cpu"))


def content(tokens: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (LANGUAGE.num_layers, tokens, LANGUAGE.num_kv_heads, LANGUAGE.head_dim)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def read(made: PagePool, pages: list[int], tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    return made.keys[:, pages].flatten(1, 2)[:, :tokens], made.values[:, pages].flatten(1, 2)[:, :tokens]


def same(one, two) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_what_is_written_over_pages_is_read_back_in_order() -> None:
    made = pool()
    made.take(3)
    pages = made.take(3)
    made.release([1])
    pages = [*pages, *made.take(1)]
    written = content(13, seed=0)
    made.write(pages, *written)
    assert pages[-1] == 1 and same(read(made, pages, 13), written)


def test_the_first_free_page_is_taken_and_the_end_follows_the_last_in_use() -> None:
    made = pool()
    assert made.take(5) == [0, 1, 2, 3, 4] and (made.used, made.high) == (5, 5)
    made.release([4, 1])
    assert (made.used, made.high) == (3, 4)
    assert made.take(2) == [1, 4] and (made.used, made.high) == (5, 5)
    made.release([0, 1, 2, 3, 4])
    assert (made.used, made.high) == (0, 0)


def test_a_pool_that_grows_keeps_what_it_holds() -> None:
    made = pool()
    pages = made.take(2)
    written = content(7, seed=1)
    made.write(pages, *written)
    before = made.keys.shape[1]
    made.take(3 * before)
    assert made.keys.shape[1] > before and same(read(made, pages, 7), written)


def test_a_page_given_back_twice_is_a_defect() -> None:
    made = pool()
    made.release(made.take(1))
    with pytest.raises(AssertionError, match="page 0 is free already"):
        made.release([0])


@given(st.lists(st.integers(0, 79), max_size=80, unique=True))
def test_compacting_moves_pages_into_holes_and_loses_nothing(freed: list[int]) -> None:
    made = pool()
    pages = made.take(80)
    held = {}
    for page in pages:
        if page not in freed:
            held[page] = content(SIZE, seed=page)
            made.write([page], *held[page])
    made.release(freed)
    high = made.high
    moved = made.compact()
    if 4 * high <= 5 * made.used or high < 16:
        assert not moved
        return
    assert made.high == made.used == len(held)
    places = [moved.get(page, page) for page in held]
    assert sorted(places) == list(range(len(held)))
    assert all(same(read(made, [place], SIZE), held[page]) for page, place in zip(held, places, strict=True))
    assert made.take(1) == [len(held)]


def test_pages_are_zeros_when_they_are_taken() -> None:
    """Whatever was in them: what is masked has weight zero, and zero times what is no number is none either."""
    made = pool()
    pages = made.take(3)
    made.keys[:, pages], made.values[:, pages] = float("nan"), float("inf")
    made.release(pages)
    again = made.take(3)
    assert not made.keys[:, again].any() and not made.values[:, again].any()
