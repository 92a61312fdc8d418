"""Guidance: the right positions look at the right places, and the term is the divergence of their attention."""

from __future__ import annotations

import random

import pytest
import torch

from mimovl.curate.world import WorldConfig, build_item, to_training_sample
from mimovl.data import Processor, collate
from mimovl.model import load_checkpoint
from mimovl.pipeline.assets import embedded_base
from mimovl.pipeline.attribute_reader import AttributeModel, AttributeProcessor, attribute_sizes, with_attributes
from mimovl.pipeline.base_vision import VOCABULARY
from mimovl.pipeline.guide import COUNTING_LAYER, QUESTION_LAYER, Guide
from mimovl.types import IGNORE_INDEX, PackedBatch

ENGLISH = WorldConfig(chinese_share=0.0)
BOXES = [list(attribute_sizes(VOCABULARY)).index(f"box{side}") for side in range(4)]


@pytest.fixture(scope="module")
def reading() -> AttributeProcessor:
    plain = Processor.load(embedded_base().folder)
    torch.manual_seed(0)
    model = AttributeModel(load_checkpoint(embedded_base().folder).config, VOCABULARY)
    return AttributeProcessor(plain.tokenizer, plain.template, plain.config, plain.image, plain.video, reader=model)


def pack(reading: AttributeProcessor, *sources: str) -> PackedBatch:
    """One conversation without thought about each source's picture, end to end."""
    encoded = []
    for number, source in enumerate(sources):
        item = build_item(source, seed=1, index=number, split="train", config=ENGLISH)
        sample = to_training_sample(item, rng=random.Random(number), thinking_share=0.0, max_turns=4)
        encoded.append(reading.encode(with_attributes(sample, item, VOCABULARY)))
    return collate(encoded, visual_token_ids=(reading.config.image_token_id,))


def guide(reading: AttributeProcessor) -> Guide:
    reading.reader.guide_attention(reading.tokenizer, 0.5)
    assert reading.reader.guide
    return reading.reader.guide


def test_a_box_that_is_written_looks_at_the_patches_that_have_it(reading: AttributeProcessor) -> None:
    batch = pack(reading, "world/grounding", "world/arithmetic", "world/grounding")
    words = [reading.tokenizer.decode([token]) for token in batch.tokens.tolist()]
    classes = batch.patches[:, BOXES].long().view(-1, 4, 4)
    guided = list(guide(reading).boxes(batch))
    assert [head for head, _, _ in guided] == [0, 1, 2, 3]
    first = guided[0][1]
    assert len(first) >= 4  # several boxes of each picture
    for row, before in enumerate(first.tolist()):
        box = [int(words[before + 1 + 2 * place]) for place in range(4)]
        for place, (_, positions, where) in enumerate(guided):
            assert positions[row] == before + 2 * place
            looked_at = where[row].nonzero().flatten().tolist()
            rows = [batch.visual_index.tolist().index(token) for token in looked_at]
            assert rows and all((classes[visual] == torch.tensor(box)).all(-1).any() for visual in rows)
            sample = torch.searchsorted(batch.cu_seqlens, torch.tensor([before, *looked_at]), right=True)
            assert len(sample.unique()) == 1


def test_boxes_in_questions_are_not_guided(reading: AttributeProcessor) -> None:
    batch = pack(reading, "world/grounding")
    batch.labels.fill_(IGNORE_INDEX)
    assert not list(guide(reading).boxes(batch)) and not list(guide(reading).questions(batch))


def test_answers_look_at_the_naming_words_of_their_own_question(reading: AttributeProcessor) -> None:
    batch = pack(reading, "world/attributes", "world/counting")
    words = [reading.tokenizer.decode([token], keep_special=True) for token in batch.tokens.tolist()]
    named: set[str] = set()
    for _, positions, where in guide(reading).questions(batch):
        assert (where == where[0]).all()
        looked_at = where[0].nonzero().flatten().tolist()
        named |= {words[token].strip() for token in looked_at}
        between = words[looked_at[-1] : int(positions[0])]
        assert between.count("<|im_start|>") == 1  # the answer's own
        assert (batch.labels[positions] != IGNORE_INDEX).all()
    assert named & {"red", "green", "blue", "yellow", "purple", "orange"}
    assert named & {"circle", "square", "triangle", "star", "cross"}
    assert not named & {"How", "many", "the", "there"}


@pytest.mark.parametrize("chinese", [0.0, 1.0])
def test_a_count_looks_as_often_as_there_are_things_of_its_kind(reading: AttributeProcessor, chinese: float) -> None:
    """Against the scenes themselves: the share of attention that does not rest is n / (n + 5)."""
    items = [
        build_item("world/counting", seed=2, index=number, split="train", config=WorldConfig(chinese_share=chinese))
        for number in range(12)
    ]
    samples = [to_training_sample(item, rng=random.Random(1), thinking_share=0.5, max_turns=3) for item in items]
    encoded = [
        reading.encode(with_attributes(sample, item, VOCABULARY)) for sample, item in zip(samples, items, strict=True)
    ]
    batch = collate(encoded, visual_token_ids=(reading.config.image_token_id,))
    asked = sum(len(sample.messages) // 2 for sample in samples)
    guided = list(guide(reading).counts(batch))
    assert len(guided) >= 2 * 0.9 * asked  # two heads; a centre may lie on another thing's patch
    pictures = set(batch.visual_index.tolist())
    for _, position, wanted in guided:
        said = int(reading.tokenizer.decode([int(batch.tokens[position + 1])]))
        first = max(bound for bound in batch.cu_seqlens.tolist() if bound <= int(position))
        looked_at = wanted[0].nonzero().flatten().tolist()
        assert looked_at[0] == first and set(looked_at[1:]) <= pictures and looked_at[-1] < int(position)
        assert float(wanted[0, first]) == pytest.approx(5 / (5 + said))
        assert float(wanted.sum()) == pytest.approx(1)


def test_the_term_is_the_missing_attention_of_the_guided_heads(reading: AttributeProcessor) -> None:
    """Against attention computed sample by sample with a plain softmax."""
    batch = pack(reading, "world/grounding", "world/attributes", "world/counting", "world/grounding")
    watching = guide(reading)
    reading.reader.train()
    kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    reading.reader(batch)
    kept.update(watching._seen)
    expected = torch.zeros(())
    for layer, share, guided in (
        (watching.layer, 0.5, watching.boxes(batch)),
        (QUESTION_LAYER, 0.15, watching.questions(batch)),
    ):
        q, k = kept[layer]
        for head, positions, where in guided:
            for row, position in enumerate(positions.tolist()):
                first = max(bound for bound in batch.cu_seqlens.tolist() if bound <= position)
                scores = k[first : position + 1, head // 2] @ q[position, head] / q.shape[-1] ** 0.5
                expected -= share * scores.softmax(0)[where[row, first : position + 1]].sum().log()
    q, k = kept[COUNTING_LAYER]
    counted = list(watching.counts(batch))
    assert counted
    for head, positions, where in counted:
        position, wanted = int(positions), where[0]
        first = max(bound for bound in batch.cu_seqlens.tolist() if bound <= position)
        scores = k[first : position + 1, head // 2] @ q[position, head] / q.shape[-1] ** 0.5
        expected += 2.0 * torch.nn.functional.kl_div(
            scores.log_softmax(0), wanted[first : position + 1], reduction="sum"
        )
    term = reading.reader.auxiliary_loss(batch)
    assert term is not None and term.item() > 0
    torch.testing.assert_close(term, expected, rtol=1e-5, atol=1e-4)
    term.backward()
    gradients = [parameter.grad for parameter in reading.reader.parameters() if parameter.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)


def test_a_pack_of_text_and_an_evaluated_model_have_no_term(reading: AttributeProcessor) -> None:
    guide(reading)
    text = pack(reading, "world/arithmetic")
    reading.reader.train()
    reading.reader(text)
    assert reading.reader.auxiliary_loss(text) is None
    reading.reader.eval()
    pictures = pack(reading, "world/grounding")
    reading.reader(pictures)
    assert reading.reader.auxiliary_loss(pictures) is None
    reading.reader.guide_attention(reading.tokenizer, 0.0)
    assert reading.reader.guide is None
