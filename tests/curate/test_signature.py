from pathlib import Path

import numpy as np
import pytest
from PIL import ImageDraw, ImageFont

from benchmarks.dedup_quality import DRAWN, EDITS, jpeg, page, photo, screen
from mimovl.curate import signature
from mimovl.curate.grey import read_grey, turned
from mimovl.curate.signature import FLAT, LOOK_SIDE, Signatures, flat_share, looks_alike, sign, turned_looks
from mimovl.errors import DataError


def test_pages_charts_and_screens_are_flat_and_photos_are_not() -> None:
    for draw in DRAWN.values():
        assert flat_share(read_grey(jpeg(draw(0)))) > 1.2 * FLAT
    for quality in (85, 30):
        assert flat_share(read_grey(jpeg(photo(0), quality))) < 0.7 * FLAT


def test_flat_pictures_keep_a_small_copy_and_photos_none() -> None:
    signatures, refused = sign([jpeg(photo(1)), jpeg(page(1)), b"", jpeg(screen(1))])
    assert signatures.look.tolist() == [-1, 0, 1] and signatures.looks.shape == (2, LOOK_SIDE, LOOK_SIDE)
    assert list(refused) == [2] and refused[2].reason == "empty_file"
    assert signatures.is_flat.tolist() == [False, True, True]


def test_a_screen_looks_like_its_copy_and_not_like_itself_with_one_switch_or_digit_changed() -> None:
    original, switched, digit = screen(3), screen(3), screen(3)
    ImageDraw.Draw(switched).rectangle((719, 79, 761, 101), (60, 140, 90))
    ImageDraw.Draw(digit).text((330, 81), "7", (30, 30, 30), ImageFont.load_default(15))
    edits = [EDITS["re-encoded q30"][0](original), EDITS["resized"][0](original), jpeg(switched), jpeg(digit)]
    looks = sign([jpeg(original), *edits])[0].looks
    assert looks_alike(np.repeat(looks[:1], 4, axis=0), looks[1:]).tolist() == [True, True, False, False]


def test_one_word_makes_another_page() -> None:
    changed = page(4)
    draw = ImageDraw.Draw(changed)
    draw.rectangle((50, 220, 95, 236), "white")
    draw.text((50, 220), "wholly", "black", ImageFont.load_default(13))
    looks = sign([jpeg(page(4)), jpeg(page(4), 40), jpeg(changed)])[0].looks
    assert looks_alike(looks[[0, 0]], looks[[1, 2]]).tolist() == [True, False]


def test_lost_contrast_is_no_likeness() -> None:
    look = sign([jpeg(page(2))])[0].looks
    faint = (look // 8 + 200).astype(np.uint8)
    assert not looks_alike(look, faint)[0] and not looks_alike(faint, look)[0]
    assert looks_alike(np.full_like(look, 90), np.full_like(look, 200))[0]


def test_small_copies_turn_as_pictures_do() -> None:
    looks = np.random.default_rng(0).integers(0, 255, (2, 64, 64), dtype=np.uint8)
    for turn in range(8):
        assert np.array_equal(turned_looks(looks, turn)[1], turned(looks[1], turn))


def test_batches_make_no_difference() -> None:
    files = [jpeg(draw(seed)) for seed in range(2) for draw in (photo, page, screen)]
    whole, parts = sign(files, orientations=8)[0], sign(files, orientations=8, batch=2)[0]
    assert whole.hash64.shape == (6, 8) and whole.hash256.shape == (6, 8, 4)
    for name in ("hash64", "hash256", "flat", "look", "looks"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))


def test_saved_signatures_name_their_hashes_and_others_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signatures = sign([jpeg(photo(0)), jpeg(page(0))])[0]
    signatures.save(tmp_path / "s.npz")
    loaded = Signatures.load(tmp_path / "s.npz")
    assert np.array_equal(loaded.hash256, signatures.hash256) and np.array_equal(loaded.looks, signatures.looks)
    assert len(loaded.take(np.array([1]))) == 1
    (tmp_path / "other.npz").write_bytes(b"nothing")
    with pytest.raises(DataError, match="no signatures"):
        Signatures.load(tmp_path / "other.npz")
    monkeypatch.setattr(signature, "HASH_NAMES", {64: "mimovl-dct64-v2", 256: "mimovl-dct256-v2"})
    with pytest.raises(DataError, match="mimovl-dct64-v1.*mimovl-dct64-v2"):
        Signatures.load(tmp_path / "s.npz")
