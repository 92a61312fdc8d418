import re

from PIL import Image

from mimovl.curate.world import WorldConfig, build_item, split_of
from mimovl.curate.world.items import KEY_SEPARATOR
from tests.curate.world.cached_items import items


def test_interleaved_documents_alternate_text_and_small_pictures() -> None:
    for item in items("world/interleaved", 60):
        kinds = [isinstance(piece, Image.Image) for piece in item.document]
        assert kinds.count(True) in (2, 3) and kinds.count(True) == kinds.count(False)
        assert all(one != other for one, other in zip(kinds, kinds[1:], strict=False))
        assert all(side in (56, 84) for piece in item.document if isinstance(piece, Image.Image) for side in piece.size)


def test_each_text_describes_the_picture_beside_it() -> None:
    for item in items("world/interleaved", 60):
        keys = item.key.split(KEY_SEPARATOR)
        texts = [piece for piece in item.document if isinstance(piece, str)]
        pictures = [piece for piece in item.document if isinstance(piece, Image.Image)]
        for key, text, picture in zip(keys, texts, pictures, strict=True):
            assert key.startswith(f"scene {picture.width}x{picture.height}: ")
            for size, colour, shape, place in re.findall(r"(\w+) (\w+) (\w+) @ ([a-z ]+)", key):
                assert re.search(rf"{size} {colour} {shape} (at|in) the {place}", text)


def test_every_picture_of_a_document_is_on_the_wanted_side() -> None:
    for split in ("train", "heldout"):
        assert {split_of(item.key) for item in items("world/interleaved", 40, split)} == {split}


def test_plain_texts_are_short_and_varied() -> None:
    texts = [item.document[0] for item in items("world/text", 200)]
    assert len(set(texts)) > 190
    assert all(20 < len(text) < 900 for text in texts)


def test_some_texts_describe_pictures_of_the_same_split() -> None:
    for split in ("train", "heldout"):
        found = [item for item in items("world/text", 150, split) if not item.key.startswith("text ")]
        assert 20 < len(found) < 80
        assert {split_of(item.key) for item in found} == {split}


def test_the_share_of_descriptions_is_set_by_the_config() -> None:
    config = WorldConfig(described_share=0.0)
    found = [build_item("world/text", seed=0, index=i, split="train", config=config) for i in range(40)]
    assert all(item.key.startswith("text ") for item in found)
