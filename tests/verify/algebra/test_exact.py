from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.verify.algebra.exact import Arithmetic, Exact, Undecided, generator, independent, primes, rational


def root(prime: int) -> Exact:
    return Exact({((f"p:{prime}", Fraction(1, 2)),): Fraction(1)})


def same(first: Exact, second: Exact) -> bool:
    return Arithmetic().is_zero_difference(first, second)[0]


def test_roots_of_primes_multiply_to_their_primes() -> None:
    work = Arithmetic()
    assert work.multiply(root(2), root(2)).rational() == 2
    assert same(work.divide(rational(1), root(2)), work.divide(root(2), rational(2)))


def test_the_imaginary_unit_squares_to_minus_one() -> None:
    work = Arithmetic()
    i = generator("c:i")
    assert work.multiply(i, i).rational() == -1
    assert same(work.divide(rational(1), i), work.negate(i))
    assert work.integer_power(i, 7).num == work.negate(i).num


def test_quotients_are_compared_by_their_cross_product() -> None:
    work = Arithmetic()
    x = generator("v:x")
    one = rational(1)
    left = work.divide(work.add(work.multiply(x, x), rational(-1)), work.add(x, rational(-1)))
    assert same(left, work.add(x, one)) and not same(left, x)


def test_cos_squared_is_one_minus_sine_squared() -> None:
    work = Arithmetic()
    sine, cosine = generator("f:sin(v:x)"), generator("f:cos(v:x)")
    assert work.add(work.multiply(sine, sine), work.multiply(cosine, cosine)).rational() == 1


def test_division_by_the_zero_sum_is_an_error() -> None:
    work = Arithmetic()
    x = generator("v:x")
    with pytest.raises(ZeroDivisionError):
        work.divide(x, work.add(x, work.negate(x)))


def test_work_is_bounded() -> None:
    work = Arithmetic()
    many = work.total([generator(f"v:x{i}") for i in range(30)])
    with pytest.raises(Undecided):
        work.integer_power(many, 9)
    with pytest.raises(Undecided):
        Arithmetic().integer_power(rational(9), 10**6)


@given(st.integers(1, 10**9))
def test_prime_factors_multiply_to_the_number(value: int) -> None:
    product = 1
    for prime, times in primes(value).items():
        product *= prime**times
        assert all(prime % divisor for divisor in range(2, min(prime, 100)))
    assert product == value


def test_a_number_too_large_to_factor_is_undecided() -> None:
    with pytest.raises(Undecided):
        primes((10**9 + 7) * (10**9 + 9))


def test_only_independent_generators_prove_a_difference() -> None:
    x, pi, e = generator("v:x"), generator("c:pi"), generator("c:e")
    work = Arithmetic()
    assert independent(work.add(x, pi).num) and independent(root(2).num)
    assert not independent(work.add(pi, e).num) and not independent(generator("f:sin(v:x)").num)


small = st.fractions(-5, 5, max_denominator=9)


@given(small, small, small)
def test_rational_arithmetic_is_that_of_fractions(a: Fraction, b: Fraction, c: Fraction) -> None:
    work = Arithmetic()
    value = work.add(work.multiply(rational(a), rational(b)), work.negate(rational(c)))
    assert value.rational() == a * b - c
