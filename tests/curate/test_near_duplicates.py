import numpy as np
import pytest
from PIL import Image

from benchmarks.dedup_quality import DRAWN, EDITS, found, jpeg, merged, page, photo
from mimovl.curate.grey import turned
from mimovl.curate.near_duplicates import PictureFacts, cross_pairs, find_duplicates, groups, iter_pairs, matches, pairs
from mimovl.curate.signature import sign
from mimovl.errors import UsageError

NUM_PHOTOS = 12


@pytest.fixture(scope="module")
def photos():
    return sign([jpeg(photo(seed)) for seed in range(NUM_PHOTOS)])[0]


def facts(*rows: tuple[str, int, int]) -> list[PictureFacts]:
    return [PictureFacts(*row) for row in rows]


def test_pairs_come_sorted_with_their_distance() -> None:
    hashes = np.array([0b1111, 0, 0b1, 1 << 63, 0], np.uint64)
    assert pairs(hashes, 1).tolist() == [[1, 2, 1], [1, 3, 1], [1, 4, 0], [2, 4, 1], [3, 4, 1]]
    assert pairs(hashes, 0).tolist() == [[1, 4, 0]] and pairs(hashes[:1], 8).shape == (0, 3)
    assert pairs(np.stack([hashes, hashes], axis=1), 2).tolist() == [[i, j, 2 * d] for i, j, d in pairs(hashes, 1)]
    assert sum(len(block) for block in iter_pairs(hashes, 1)) == 5
    assert cross_pairs(hashes[:2], hashes[2:], 3).tolist() == [[0, 0, 3], [1, 0, 1], [1, 1, 1], [1, 2, 0]]


def test_what_is_no_array_of_hashes_is_refused() -> None:
    with pytest.raises(UsageError, match="int64"):
        pairs(np.arange(3), 1)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="-1 bits"):
        pairs(np.arange(3, dtype=np.uint64), -1)
    with pytest.raises(UsageError, match="64 and of 256 bits"):
        cross_pairs(np.zeros(2, np.uint64), np.zeros((2, 4), np.uint64), 1)


@pytest.mark.parametrize("edit", EDITS)
def test_edited_photos_are_found(edit: str, photos) -> None:
    change, aim = EDITS[edit]
    edited, _ = sign(change(photo(seed)) for seed in range(NUM_PHOTOS))
    assert found(photos, edited)[0] >= min(aim, 1 - 1 / NUM_PHOTOS)
    assert merged(photos)[0] == 0


@pytest.mark.parametrize("kind", DRAWN)
def test_different_pages_charts_and_screens_are_not_merged_and_their_copies_are(kind: str) -> None:
    drawn, _ = sign(jpeg(DRAWN[kind](seed)) for seed in range(30))
    again, _ = sign(jpeg(DRAWN[kind](seed), 60) for seed in range(30))
    assert merged(drawn)[0] == 0 and found(drawn, again)[0] == 1.0


def test_turned_and_mirrored_copies_are_found_only_when_asked_for(photos) -> None:
    pixels = np.asarray(photo(3))
    files = [jpeg(photo(3)), *(jpeg(Image.fromarray(np.ascontiguousarray(turned(pixels, turn)))) for turn in (4, 1, 2))]
    signatures, _ = sign(files, orientations=8)
    assert len(matches(signatures).left) == 0
    assert matches(signatures, orientations=[4]).orientation.tolist()[0] == 4
    report = find_duplicates(signatures, facts(*((f"p{n}", 1, 9 - n) for n in range(4))), orientations=range(8))
    assert report.kept == ["p0"] and {copy.id for copy in report.dropped} == {"p1", "p2", "p3"}
    assert "mirrored" in report.dropped[0].why
    with pytest.raises(UsageError, match="signed in 1 orientations"):
        matches(photos, orientations=[4])


def test_groups_are_the_connected_parts() -> None:
    rng = np.random.default_rng(0)
    edges = rng.integers(0, 400, (2, 300))
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, labels = connected_components(coo_array((np.ones(300), edges), shape=(400, 400)), directed=False)
    ours = groups(400, [(edges[0, :100], edges[1, :100]), (edges[0, 100:], edges[1, 100:])])
    assert [np.flatnonzero(labels == label)[0] for label in labels] == ours.tolist()
    chain = np.arange(999)
    assert set(groups(1000, [(chain, chain + 1)]).tolist()) == {0}


def test_the_copy_with_most_pixels_then_bytes_then_the_first_id_is_kept_in_any_order() -> None:
    image = photo(7)
    files = {
        "b/small": (jpeg(image.resize((256, 256))), 256 * 256),
        "a/low": (jpeg(image, 30), 512 * 512),
        "z/best": (jpeg(image, 95), 512 * 512),
        "c/equal": (jpeg(image, 95), 512 * 512),
        "other": (jpeg(photo(8)), 512 * 512),
    }
    for order in (list(files), sorted(files), sorted(files, reverse=True)):
        signatures, _ = sign(files[name][0] for name in order)
        report = find_duplicates(signatures, facts(*((name, files[name][1], len(files[name][0])) for name in order)))
        assert sorted(report.kept) == ["c/equal", "other"]
        why = {copy.id: copy.why for copy in report.dropped}
        assert "which is larger: 262,144 pixels against 65,536" in why["b/small"]
        assert "which has more bytes" in why["a/low"] and "comes first by its id" in why["z/best"]
        assert all(copy.kept == "c/equal" and copy.beside == "c/equal" for copy in report.dropped)


def test_a_thousand_equal_files_are_one_in_the_search() -> None:
    signatures, _ = sign([jpeg(photo(1)), jpeg(page(1)), jpeg(page(2))])
    many = signatures.take(np.repeat(np.arange(3), [1000, 1000, 1]))
    report = find_duplicates(many, facts(*((f"{n:04d}", 1, 1) for n in range(2001))))
    assert report.kept == ["0000", "1000", "2000"] and len(report.dropped) == 1998
    assert report.dropped[0].why.startswith("a copy of 0000 (64-bit distance 0, 256-bit 0), which is as large")


def test_facts_must_belong_to_the_signatures(photos) -> None:
    with pytest.raises(UsageError, match="12 signatures, 1 facts"):
        find_duplicates(photos, facts(("a", 1, 1)))
    with pytest.raises(UsageError, match="same id"):
        find_duplicates(photos, facts(*[("a", 1, 1)] * 12))
