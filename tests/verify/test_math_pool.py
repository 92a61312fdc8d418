import threading

import pytest

from mimovl.verify.math_pool import MathPool, shared_pool
from mimovl.verify.math_process import math_verify_installed

pytestmark = pytest.mark.skipif(not math_verify_installed(), reason="needs the math extra")


@pytest.fixture(scope="module")
def pool() -> object:
    pool = MathPool(2)
    pool.start()
    yield pool
    pool.close()


def test_many_comparisons_come_back_in_order(pool: MathPool) -> None:
    pairs = [("x^2", "x^2" if n % 3 else "x^3") for n in range(12)]
    assert pool.compare_many(pairs) == ["equal" if n % 3 else "different" for n in range(12)]


def test_threads_share_the_workers(pool: MathPool) -> None:
    said: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: said.append(pool.compare(f"{n}+x", f"x+{n}")))
        for n in range(6)  # type: ignore[misc]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == ["equal"] * 6


def test_a_comparison_that_never_ends_is_ended_by_its_cpu_time_and_the_next_one_works(pool: MathPool) -> None:
    before = [process._process.pid for process in pool._processes if process._process]
    assert pool.compare("1", r"(33+x)^{160397}", timeout=120) == "timeout"
    after = [process._process.pid for process in pool._processes if process._process]
    assert before == after  # the worker ended its own child; the clock had no part in it
    assert pool.compare(r"\frac{1}{2}", "0.5") == "equal"


def test_a_repeated_question_is_answered_from_memory(pool: MathPool) -> None:
    question = (r"\sqrt{x^2+1}", r"\sqrt{1+x^2}")
    assert pool.compare(*question) == "equal"
    pool._free.get()
    pool._free.get()  # no worker is left
    try:
        assert pool.compare(*question) == "equal"
        pool.forget()
        assert not pool._kept
    finally:
        for process in pool._processes:
            pool._free.put(process)


def test_the_peer_reads_whole_completions(pool: MathPool) -> None:
    assert pool.compare(r"\frac{1}{2}", r"So it is $\frac{2}{4}$.", rule="alone") == "equal"
    assert pool.compare("7", r"<think>\boxed{7}", rule="suite") == "equal"


def test_a_process_has_one_pool() -> None:
    assert shared_pool() is shared_pool()
