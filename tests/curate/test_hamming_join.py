from pathlib import Path

import numpy as np
import pytest

from mimovl.curate import hamming_join, hamming_plan
from mimovl.curate.hamming_join import cross_join, self_join
from mimovl.curate.hamming_plan import distances, plan_chunks


def drawn(count: int, words: int = 1, *, skewed: bool = False) -> np.ndarray:
    """Hashes, a third of them near others; skewed ones share most of their bits."""
    rng = np.random.default_rng(count)
    bits = rng.random((count, 64 * words)) < (0.15 if skewed else 0.5)
    for row in range(count // 3):
        bits[row] = bits[count - 1 - row]
        bits[row, rng.choice(64 * words, rng.integers(0, 12), replace=False)] ^= True
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64)


def gathered(blocks) -> list[tuple[int, int, int]]:
    return [tuple(row) for block in blocks for row in np.column_stack(block).tolist()]


def brute(left: np.ndarray, right: np.ndarray, radius: int) -> set[tuple[int, int, int]]:
    far = distances(left[:, None], right[None])
    return {(i, j, int(far[i, j])) for i, j in zip(*np.nonzero(far <= radius), strict=True)}


@pytest.fixture
def always_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few hashes would be compared one by one; make that look dear."""
    monkeypatch.setattr(hamming_plan, "_BRUTE", 1e9)


SETS = [
    (3000, 1, 0, False),
    (3000, 1, 3, False),
    (3000, 1, 8, False),
    (1500, 1, 8, True),
    (900, 1, 10, False),
    (900, 4, 8, False),
]


@pytest.mark.usefixtures("always_joined")
@pytest.mark.parametrize(("count", "words", "radius", "skewed"), SETS)
def test_every_near_pair_is_found_once(count: int, words: int, radius: int, skewed: bool) -> None:
    hashes = drawn(count, words, skewed=skewed)
    assert plan_chunks(count // 2, count, words, radius), "the join itself is what this looks at"
    found = gathered(self_join(hashes, radius))
    assert len(found) == len(set(found)) > 50
    assert set(found) == {pair for pair in brute(hashes, hashes, radius) if pair[0] < pair[1]}


@pytest.mark.usefixtures("always_joined")
def test_comparing_all_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = drawn(700)
    joined = set(gathered(self_join(hashes, 8))), set(gathered(cross_join(hashes[:300], hashes, 8)))
    monkeypatch.setattr(hamming_join, "plan_chunks", lambda *_: [])
    assert (set(gathered(self_join(hashes, 8))), set(gathered(cross_join(hashes[:300], hashes, 8)))) == joined


@pytest.mark.usefixtures("always_joined")
def test_two_sets_are_joined_exactly() -> None:
    hashes = drawn(4000)
    left, right = hashes[:1500], hashes[1500:]
    assert plan_chunks(1500, 2500, 1, 8)
    found = gathered(cross_join(left, right, 8))
    assert len(found) == len(set(found)) > 100 and set(found) == brute(left, right, 8)


@pytest.mark.usefixtures("always_joined")
def test_files_in_place_of_memory_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = drawn(3000)
    expected = set(gathered(self_join(hashes, 8)))
    monkeypatch.setattr(hamming_join, "_SORT_BLOCK", 700)
    monkeypatch.setattr(hamming_join, "_BLOCK", 512)
    found = gathered(self_join(hashes, 8, tmp_path))
    assert set(found) == expected and len(found) == len(expected)
    assert list(tmp_path.iterdir()) == []
