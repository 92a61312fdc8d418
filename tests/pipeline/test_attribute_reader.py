"""Attributes in the place of pictures: same places, same positions, nothing lost."""

from __future__ import annotations

import io
import random

import torch

from mimovl.curate.world import WorldConfig, build_item, to_training_sample
from mimovl.data import Processor, collate
from mimovl.model import load_checkpoint
from mimovl.pipeline.assets import embedded_base
from mimovl.pipeline.attribute_reader import (
    TABLE_FILE,
    AttributeModel,
    AttributeProcessor,
    attribute_classes,
    attribute_sizes,
    with_attributes,
)
from mimovl.pipeline.base_vision import VOCABULARY
from mimovl.types import IGNORE_INDEX

ENGLISH = WorldConfig(chinese_share=0.0)


def processors() -> tuple[Processor, AttributeProcessor]:
    plain = Processor.load(embedded_base().folder)
    torch.manual_seed(0)
    reader = AttributeModel(load_checkpoint(embedded_base().folder).config, VOCABULARY)
    reading = AttributeProcessor(plain.tokenizer, plain.template, plain.config, plain.image, plain.video, reader=reader)
    return plain, reading


def test_a_prompt_with_attributes_has_the_tokens_and_positions_of_the_one_with_pixels() -> None:
    plain, reading = processors()
    for source in ("world/counting", "world/gui", "world/ocr", "world/clip"):
        item = build_item(source, seed=1, index=3, split="train", config=ENGLISH)
        sample = to_training_sample(item, rng=random.Random(0), thinking_share=0.5, max_turns=3)
        pixels, classes = plain.encode(sample), reading.encode(with_attributes(sample, item, VOCABULARY))
        assert torch.equal(pixels.tokens, classes.tokens) and torch.equal(pixels.positions, classes.positions)
        assert pixels.grid_thw == classes.grid_thw
        assert [len(part) for part in pixels.patches] == [len(part) for part in classes.patches]


def test_every_object_is_among_the_classes_of_its_patches() -> None:
    item = build_item("world/counting", seed=1, index=5, split="train", config=ENGLISH)
    classes, _, _ = attribute_classes(item, VOCABULARY)
    names = list(attribute_sizes(VOCABULARY))
    shapes = {VOCABULARY["shape"][n] for n in classes[:, names.index("shape")].tolist() if n != IGNORE_INDEX}
    assert shapes == {note.attributes["shape"] for note in item.annotations}


def test_visual_tokens_depend_on_the_attributes_of_their_own_cell_alone() -> None:
    _, reading = processors()
    model = reading.reader
    item = build_item("world/counting", seed=1, index=5, split="train", config=ENGLISH)
    sample = to_training_sample(item, rng=random.Random(0), thinking_share=0.0, max_turns=1)
    encoded = reading.encode(with_attributes(sample, item, VOCABULARY))
    batch = collate([encoded], visual_token_ids=(reading.config.image_token_id,))
    with torch.no_grad():
        before = model.encode(batch.patches, batch.grid_thw)
        changed = batch.patches.clone()
        changed[0, 0] = (changed[0, 0] + 1) % len(VOCABULARY["kind"])
        after = model.encode(changed, batch.grid_thw)
    assert before.shape == (len(batch.visual_index), model.config.language.hidden_size)
    assert not torch.equal(before[0], after[0]) and torch.equal(before[1:], after[1:])


def test_coordinates_are_exact_to_the_pixel() -> None:
    item = build_item("world/counting", seed=1, index=5, split="train", config=ENGLISH)
    classes, _, _ = attribute_classes(item, VOCABULARY)
    names = list(attribute_sizes(VOCABULARY))
    boxes = classes[:, [names.index(f"box{side}") for side in range(4)]]
    assert {tuple(box) for box in boxes.tolist() if box[0] != IGNORE_INDEX} == {note.box for note in item.annotations}


def start_of(reader: AttributeModel, name: str, value: int, place: int = 0) -> torch.Tensor:
    """The row of one class of one attribute, of a patch at one place of its cell."""
    first = 0
    for attribute, size in reader.sizes.items():
        if attribute == name:
            break
        first += size
    row: torch.Tensor = reader.attributes["table"].weight[place * sum(reader.sizes.values()) + first + value]
    return row.detach()


def test_the_table_starts_at_words_and_at_numbers_in_order() -> None:
    plain, reading = processors()
    reader = reading.reader
    reader.load_state_dict(load_checkpoint(embedded_base().folder).state_dict(), strict=False)
    reader.start_from_words(plain.tokenizer, seed=3)

    def likeness(one: torch.Tensor, two: torch.Tensor) -> float:
        return float(torch.cosine_similarity(one, two, dim=0))

    words = reader.language.embed_tokens.weight.detach()
    red, blue = (VOCABULARY["colour"].index(name) for name in ("red", "blue"))
    red_word = words[plain.tokenizer.encode(" red")].sum(0)
    for place in range(4):
        assert likeness(start_of(reader, "colour", red, place), red_word) > 0.5
        assert likeness(start_of(reader, "colour", blue, place), red_word) < 0.4
    near, far = (likeness(start_of(reader, "box0", 50), start_of(reader, "box0", n)) for n in (51, 120))
    assert near > 0.6 and far < near - 0.3
    assert abs(likeness(start_of(reader, "box0", 50), start_of(reader, "box1", 50))) < 0.4


def test_the_table_travels_with_the_checkpoint_files() -> None:
    plain, reading = processors()
    files = reading.files()
    assert set(files) == {*plain.files(), TABLE_FILE}
    stored = torch.load(io.BytesIO(files[TABLE_FILE]))
    assert torch.equal(stored["table.weight"], reading.reader.attributes["table"].weight)
