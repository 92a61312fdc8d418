"""Attributes in the place of pictures: same places, same positions, nothing lost."""

from __future__ import annotations

import random

import torch

from mimovl.curate.world import WorldConfig, build_item, to_training_sample
from mimovl.data import Processor, collate
from mimovl.model import load_checkpoint
from mimovl.pipeline.assets import embedded_base
from mimovl.pipeline.attribute_reader import AttributeModel, AttributeProcessor, attribute_classes, with_attributes
from mimovl.pipeline.base import VOCABULARY
from mimovl.train.vision_base import target_sizes
from mimovl.types import IGNORE_INDEX

ENGLISH = WorldConfig(chinese_share=0.0)


def processors() -> tuple[Processor, AttributeProcessor]:
    plain = Processor.load(embedded_base().folder)
    reading = AttributeProcessor(
        plain.tokenizer,
        plain.template,
        plain.config,
        plain.image,
        plain.video,
        num_attributes=len(target_sizes(VOCABULARY)),
    )
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
    names = list(target_sizes(VOCABULARY))
    shapes = {VOCABULARY["shape"][n] for n in classes[:, names.index("shape")].tolist() if n != IGNORE_INDEX}
    assert shapes == {note.attributes["shape"] for note in item.annotations}


def test_visual_tokens_depend_on_the_attributes_of_their_own_cell_alone() -> None:
    _, reading = processors()
    model = AttributeModel(load_checkpoint(embedded_base().folder).config, VOCABULARY)
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
