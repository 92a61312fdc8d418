import numpy as np
import pytest

from mimovl.curate.hamming_plan import Chunk, distances, plan_chunks


@pytest.mark.parametrize("words", [1, 4])
@pytest.mark.parametrize("radius", [0, 1, 3, 8, 10])
def test_thresholds_leave_no_room_for_a_pair_that_no_chunk_finds(radius: int, words: int) -> None:
    for count in (10**4, 10**6, 10**8):
        chunks = plan_chunks(count, count, words, radius)
        assert chunks and sum(chunk.threshold + 1 for chunk in chunks) >= radius + 1
        bits = [bit for chunk in chunks for bit in chunk.bits]
        assert len(bits) == len(set(bits)) and max(bits) < 64 * words


def test_few_hashes_or_a_wide_radius_are_compared_one_by_one() -> None:
    assert plan_chunks(50, 50, 1, 8) == [] and plan_chunks(10**4, 10**4, 1, 40) == []


def test_a_key_is_the_bits_of_its_mask() -> None:
    words = np.random.default_rng(0).integers(0, 2**64, (50, 2), dtype=np.uint64)
    chunk = Chunk((0, 63, 64, 127, 70), 1, 2)
    numbers = [int(high) << 64 | int(low) for high, low in words]
    expected = [int("".join(str(number >> bit & 1) for bit in chunk.bits), 2) for number in numbers]
    assert chunk.keys(words).tolist() == expected
    assert np.bitwise_count(chunk.mask).sum() == 5
    masked = distances(words & chunk.mask, np.zeros_like(words))
    assert masked.tolist() == [bin(key).count("1") for key in expected]


def test_differences_are_all_keys_within_the_threshold_once() -> None:
    chunk = Chunk(tuple(range(7)), 3, 1)
    by_bit = chunk.differences()
    found = [difference for group in by_bit for difference in group]
    assert sorted(found) == [number for number in range(1, 128) if number.bit_count() <= 3]
    assert all(difference.bit_length() == bit + 1 for bit, group in enumerate(by_bit) for difference in group)
