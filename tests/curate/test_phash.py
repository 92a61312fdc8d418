import io
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.dedup_quality import photo as big_photo
from mimovl.curate.grey import read_grey, turned
from mimovl.curate.phash import HASH_NAMES, hash_cells, hash_images, phash64, phash64_clip, remove_heldout_matches
from mimovl.errors import MediaError, UsageError
from tests.curate.pictures import encoded
from tests.curate.world.cached_items import items


def photo(seed: int) -> Image.Image:
    """A picture with content at all low frequencies, so that few bits lie near the median."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((240, 180), Image.Resampling.BICUBIC)


def by_definition(image: Image.Image) -> int:
    """The hash straight from the definition of the DCT."""
    grey = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS), dtype=np.float64)
    place, order = np.arange(32), np.arange(8)
    basis = 2 * np.cos(np.pi * order[:, None] * (2 * place[None] + 1) / 64)
    low = basis @ grey @ basis.T
    value = 0
    for bit in (low > np.median(low)).ravel():
        value = 2 * value + int(bit)
    return value


def test_hash_follows_the_definition() -> None:
    for seed in range(20):
        assert phash64(photo(seed)) == by_definition(photo(seed))


def test_hash_keeps_its_value_under_reencoding_and_resizing() -> None:
    same = 0
    for seed in range(20):
        buffer = io.BytesIO()
        photo(seed).save(buffer, "JPEG", quality=85)
        jpeg = phash64(Image.open(buffer))
        smaller = phash64(photo(seed).resize((180, 135), Image.Resampling.LANCZOS))
        original = phash64(photo(seed))
        assert (jpeg ^ original).bit_count() <= 4 and (smaller ^ original).bit_count() <= 4
        same += jpeg == original
    assert same >= 12


def test_unrelated_pictures_are_far_apart() -> None:
    hashes = [phash64(photo(seed)) for seed in range(30)]
    distances = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[i + 1 :]]
    assert min(distances) > 10 and 28 < np.mean(distances) < 36


def test_flat_pictures_all_look_alike() -> None:
    assert phash64(Image.new("RGB", (84, 56), (250, 3, 3))) == phash64(Image.new("L", (30, 30), 120)) == 1 << 63


def test_any_mode_and_size_has_a_hash() -> None:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"):
        assert 0 <= phash64(Image.new(mode, (1, 7))) < 1 << 64


def test_clips_match_when_all_frames_do() -> None:
    one, other = (item.frames for item in items("world/clip", 2))
    assert phash64_clip(one) == phash64_clip(one)
    assert phash64_clip(one) != phash64_clip(other)
    assert phash64_clip(one) != phash64_clip(tuple(reversed(one)))


def test_training_pictures_equal_to_heldout_ones_are_removed_and_counted() -> None:
    matches = remove_heldout_matches([("a", 1), ("b", 2), ("c", 3), ("b", 9)], heldout=[9, 3, 3])
    assert (matches.kept, matches.removed, matches.num_removed) == (["a"], ["b", "c"], 2)


def test_near_matches_are_kept() -> None:
    assert remove_heldout_matches([("a", 0b1000)], [0b1001]).kept == ["a"]


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 7))), st.lists(st.integers(0, 7)))
def test_every_id_ends_on_one_side(train: list[tuple[str, int]], heldout: list[int]) -> None:
    matches = remove_heldout_matches(train, heldout)
    assert sorted(matches.kept + matches.removed) == sorted({name for name, _ in train})
    assert all(value not in heldout for name, value in train if name in matches.kept)


def test_few_training_scenes_are_lost() -> None:
    train = [(item.id, phash64(item.image)) for item in items("world/grounding", 120)]
    heldout = [phash64(item.image) for item in items("world/grounding", 60, "heldout")]
    random.Random(0).shuffle(train)
    assert remove_heldout_matches(train, heldout).num_removed <= 6


FILES = [encoded(big_photo(seed), quality=85) for seed in range(12)]


def by_imagehash(data: bytes, size: int) -> int:
    """The library's hash as one big-endian number."""
    imagehash = pytest.importorskip("imagehash", reason="pip install 'mimovl[benchmarks]' brings the referee")
    return int(str(imagehash.phash(Image.open(io.BytesIO(data)), hash_size=size)), 16)


def test_batch_hashes_are_half_a_bit_from_the_definition() -> None:
    hashes = hash_images(FILES)
    assert hashes.shape == (12,) and hashes.dtype == np.uint64
    exact = [by_definition(Image.open(io.BytesIO(data))) for data in FILES]
    distances = [(int(one) ^ other).bit_count() for one, other in zip(hashes, exact, strict=True)]
    assert np.mean(distances) <= 0.5 and max(distances) <= 2


def test_batch_hashes_have_the_bits_and_the_order_of_imagehash() -> None:
    for one, data in zip(hash_images(FILES), FILES, strict=True):
        assert (int(one) ^ by_imagehash(data, 8)).bit_count() <= 2
    for words, data in zip(hash_images(FILES, bits=256), FILES, strict=True):
        number = int.from_bytes(words.astype(">u8").tobytes(), "big")
        assert (number ^ by_imagehash(data, 16)).bit_count() <= 8


def test_a_hash_does_not_depend_on_its_batch() -> None:
    files = [*FILES[:3], encoded(big_photo(50).resize((300, 444))), encoded(Image.new("L", (9, 7), 5), "PNG")]
    together = hash_images(files, bits=256)
    assert together.shape == (5, 4)
    for number, data in enumerate(files):
        assert np.array_equal(hash_images([data], bits=256)[0], together[number])
    assert hash_images([]).shape == (0,) and hash_images([], bits=256).shape == (0, 4)


def test_a_progressive_file_has_the_hash_of_the_baseline_one_within_two_bits() -> None:
    progressive = [encoded(big_photo(seed), quality=85, progressive=True) for seed in range(12)]
    assert np.bitwise_count(hash_images(progressive) ^ hash_images(FILES)).max() <= 2


def test_eight_orientations_come_from_one_transform() -> None:
    cells = [read_grey(data) for data in FILES[:3]]
    for bits in (64, 256):
        hashes = hash_cells(cells, bits, orientations=8)
        for turn in range(8):
            assert np.array_equal(hashes[:, turn], hash_cells([turned(one, turn) for one in cells], bits)[:, 0])


def test_what_cannot_be_hashed_is_named() -> None:
    with pytest.raises(MediaError, match="image 1") as caught:
        hash_images([FILES[0], FILES[1][:900]])
    assert caught.value.reason == "truncated"
    with pytest.raises(UsageError, match="128 bits"):
        hash_images(FILES, bits=128)
    assert set(HASH_NAMES) == {64, 256}
