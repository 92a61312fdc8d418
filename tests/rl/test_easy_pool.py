import pytest

from mimovl.rl import EasyPool


def test_a_prompt_always_solved_enters_and_leaves_when_it_no_longer_is() -> None:
    pool = EasyPool(0.1)
    pool.note("a", [1.0, 1.0])
    pool.note("b", [1.0, 0.0])
    pool.note("c", [0.9999, 1.0])
    assert pool.names == ["a", "c"] and "a" in pool and "b" not in pool and len(pool) == 2
    pool.note("a", [1.0, 0.5])
    assert pool.names == ["c"]


def test_it_is_drawn_from_with_its_probability_evenly() -> None:
    pool = EasyPool(0.1, seed=3, names=["a", "b"])
    drawn = [pool.draw(number) for number in range(4000)]
    assert drawn.count(None) == pytest.approx(3600, abs=60)
    assert drawn.count("a") == pytest.approx(200, abs=45)


def test_a_draw_is_a_function_of_its_number_the_seed_and_the_pool() -> None:
    one, two = (EasyPool(0.5, seed=1, names=["a", "b", "c"]) for _ in range(2))
    drawn = [one.draw(number) for number in range(50)]
    assert drawn == [two.draw(number) for number in reversed(range(50))][::-1]
    assert drawn != [EasyPool(0.5, seed=2, names=["a", "b", "c"]).draw(number) for number in range(50)]


def test_an_empty_pool_or_no_share_draws_nothing() -> None:
    assert EasyPool(1.0).draw(0) is None
    assert {EasyPool(0.0, names=["a"]).draw(number) for number in range(20)} == {None}
