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
from mimovl.pipeline.guided_attention import Guided
from mimovl.types import IGNORE_INDEX, PackedBatch

ENGLISH = WorldConfig(chinese_share=0.0)
BOXES = [list(attribute_sizes(VOCABULARY)).index(f"box{side}") for side in range(4)]


@pytest.fixture(scope="module")
def reading() -> AttributeProcessor:
    plain = Processor.load(embedded_base().folder)
    torch.manual_seed(0)
    base = load_checkpoint(embedded_base().folder)
    model = AttributeModel(base.config, VOCABULARY)
    model.load_state_dict(base.state_dict(), strict=False)
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


Found = dict[tuple[int, int], dict[int, float | None]]
"""Head and position → token to look at → share of the attention, None: anywhere among them."""


def places(guided: Guided) -> Found:
    found: Found = {place: {} for place in zip(guided.heads.tolist(), guided.positions.tolist(), strict=True)}
    assert len(found) == len(guided)
    shares = [None] * len(guided.keys) if guided.shares is None else guided.shares.tolist()
    rows = [(int(guided.heads[row]), int(guided.positions[row])) for row in guided.rows]
    for row, key, share in zip(rows, guided.keys.tolist(), shares, strict=True):
        assert key not in found[row]
        found[row][key] = share
    return found


def sample_start(batch: PackedBatch, token: int) -> int:
    return max(bound for bound in batch.cu_seqlens.tolist() if bound <= token)


def test_a_box_that_is_written_looks_at_the_patches_that_have_it(reading: AttributeProcessor) -> None:
    batch = pack(reading, "world/grounding", "world/arithmetic", "world/grounding")
    words = [reading.tokenizer.decode([token]) for token in batch.tokens.tolist()]
    classes = batch.patches[:, BOXES].long().view(-1, 4, 4)
    guided = places(guide(reading).boxes(batch))
    assert {head for head, _ in guided} == {0, 1, 2, 3}
    first = [position for head, position in guided if head == 0]
    assert len(first) >= 4  # several boxes of each picture
    for before in first:
        box = [int(words[before + 1 + 2 * place]) for place in range(4)]
        for head in range(4):
            looked_at = list(guided.pop((head, before + 2 * head)))
            rows = [batch.visual_index.tolist().index(token) for token in looked_at]
            assert rows and all((classes[visual] == torch.tensor(box)).all(-1).any() for visual in rows)
            sample = torch.searchsorted(batch.cu_seqlens, torch.tensor([before, *looked_at]), right=True)
            assert len(sample.unique()) == 1
    assert not guided


def test_boxes_in_questions_are_not_guided(reading: AttributeProcessor) -> None:
    batch = pack(reading, "world/grounding")
    batch.labels.fill_(IGNORE_INDEX)
    assert not len(guide(reading).boxes(batch)) and not len(guide(reading).questions(batch))


def test_answers_look_at_the_naming_words_of_their_own_question(reading: AttributeProcessor) -> None:
    batch = pack(reading, "world/attributes", "world/counting")
    words = [reading.tokenizer.decode([token], keep_special=True) for token in batch.tokens.tolist()]
    named: set[str] = set()
    for (_, position), where in places(guide(reading).questions(batch)).items():
        looked_at = sorted(where)
        named |= {words[token].strip() for token in looked_at}
        between = words[looked_at[-1] : position]
        assert between.count("<|im_start|>") == 1  # the answer's own
        assert batch.labels[position] != IGNORE_INDEX
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
    guided = places(guide(reading).counts(batch))
    assert len(guided) >= 2 * 0.9 * asked  # two heads; a centre may lie on another thing's patch
    pictures = set(batch.visual_index.tolist())
    for (_, position), wanted in guided.items():
        said = int(reading.tokenizer.decode([int(batch.tokens[position + 1])]))
        first = sample_start(batch, position)
        looked_at = sorted(wanted)
        assert looked_at[0] == first and set(looked_at[1:]) <= pictures and looked_at[-1] < position
        assert wanted[first] == pytest.approx(5 / (5 + said))
        assert sum(share or 0 for share in wanted.values()) == pytest.approx(1)


# ---------------------------------------------------------------- against the same thing done place by place


def plain_places(watching: Guide, batch: PackedBatch) -> dict[int, Found]:
    """Layer → where it should look, found token by token."""
    tokens, labels, visual = batch.tokens.tolist(), batch.labels.tolist(), batch.visual_index.tolist()
    words = [watching._tokenizer.decode([token]) for token in tokens]
    numbers = [int(word) if word.isascii() and word.isdecimal() else -1 for word in words]
    unit = len(batch.patches) // max(1, len(visual))
    cells = batch.patches.view(-1, unit, batch.patches.shape[-1]).tolist() if visual else []
    column = {name: place for place, name in enumerate(watching._columns)}
    boxes: Found = {}
    for start in range(1, len(tokens) - 6):
        box, between = numbers[start : start + 7 : 2], words[start + 1 : start + 6 : 2]
        if labels[start - 1] >= 0 and min(box) >= 0 and between == [",", ",", ","]:
            seen = range(sample_start(batch, start), start)
            right = [
                token
                for token, cell in zip(visual, cells, strict=True)
                if token in seen and any([patch[side] for side in watching._boxes] == box for patch in cell)
            ]
            if right:
                boxes |= {(head, start - 1 + 2 * head): dict.fromkeys(right) for head in range(4)}
    questions: Found = {}
    counts: Found = {}
    begins = [place for place, token in enumerate(tokens) if token == watching._begin]
    for asked, answered in zip(begins, begins[1:], strict=False):
        first = sample_start(batch, asked)
        if first != sample_start(batch, answered):
            continue
        end = min(place for place in (*begins, *batch.cu_seqlens.tolist(), len(tokens)) if place > answered)
        for position in [place for place in range(answered, end) if labels[place] >= 0][::3]:
            for head, names in zip(watching._question_heads, watching._names, strict=True):
                naming = [place for place in range(asked, answered) if names[tokens[place]]]
                if naming:
                    questions[head, position] = dict.fromkeys(naming)
        said = min(place for place in range(answered, end + 1) if place == end or tokens[place] == watching._end) - 1
        text = watching._tokenizer.decode(tokens[asked:answered]).strip().removesuffix(" /no_think")
        kind = watching._counted.get(text.split("\n")[-1].strip())
        if kind is None or labels[said] < 0:
            continue
        wanted = {first: 5.0}
        for token, cell in zip(visual, cells, strict=True):
            for patch in cell if token in range(first, answered) else ():
                asks = [(name, value) for name, value in (("shape", kind.shape), ("colour", kind.colour)) if value]
                fits = all(patch[column[name]] == VOCABULARY[name].index(value) for name, value in asks)
                if patch[column["centre"]] == 1 and fits:
                    wanted[token] = wanted.get(token, 0.0) + 1
        if sum(wanted.values()) - 5 == numbers[said]:
            shares: dict[int, float | None] = {token: much / sum(wanted.values()) for token, much in wanted.items()}
            counts |= {(head, said - 1): shares for head in watching._counting_heads}
    return {watching.layer: boxes, QUESTION_LAYER: questions, COUNTING_LAYER: counts}


def plain_term(
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]], found: dict[int, Found], batch: PackedBatch, layer: int
) -> torch.Tensor:
    """Against attention computed position by position with a plain softmax; shares are weighted 4, words 0.3."""
    (q, k), weight = seen[layer], {QUESTION_LAYER: 0.15, COUNTING_LAYER: 2.0}.get(layer, 0.5)
    term = q.new_zeros(())
    for (head, position), where in found[layer].items():
        first = sample_start(batch, position)
        keys = k[first : position + 1, head * k.shape[1] // q.shape[1]]
        logs = (keys @ q[position, head] / q.shape[-1] ** 0.5).log_softmax(0)[torch.tensor(list(where)) - first]
        if None in where.values():
            term = term - weight * logs.logsumexp(0)
        else:
            share = torch.tensor(list(where.values()), dtype=q.dtype)
            term = term + weight * (share * (share.log() - logs)).sum()
    return term


def mixed(reading: AttributeProcessor, seed: int = 0) -> PackedBatch:
    """Samples of many turns, with and without thought, in both languages."""
    config, encoded = WorldConfig(chinese_share=0.3), []
    for number, source in enumerate(("grounding", "counting", "recall", "dense", "attributes", "counting", "gui") * 2):
        item = build_item(f"world/{source}", seed=seed, index=number, split="train", config=config)
        sample = to_training_sample(item, rng=random.Random(number), thinking_share=0.5, max_turns=6)
        encoded.append(reading.encode(with_attributes(sample, item, VOCABULARY)))
    return collate(encoded, visual_token_ids=(reading.config.image_token_id, reading.config.video_token_id))


def test_places_are_those_that_are_found_token_by_token(reading: AttributeProcessor) -> None:
    batch, watching = mixed(reading), guide(reading)
    expected = plain_places(watching, batch)
    assert all(len(found) > 10 for found in expected.values())
    assert places(watching.boxes(batch)) == expected[watching.layer]
    assert places(watching.questions(batch)) == expected[QUESTION_LAYER]
    counted = places(watching.counts(batch))
    assert counted.keys() == expected[COUNTING_LAYER].keys()
    for place, shares in counted.items():
        assert shares == pytest.approx(expected[COUNTING_LAYER][place])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_term_and_gradients_are_those_of_each_place_alone(
    reading: AttributeProcessor, dtype: torch.dtype, tolerance: float
) -> None:
    watching = guide(reading)
    language = reading.config.language
    for batch in (mixed(reading), mixed(reading, seed=5)):
        sides: list[dict[int, tuple[torch.Tensor, torch.Tensor]]] = [{}, {}]
        for layer in (watching.layer, QUESTION_LAYER, COUNTING_LAYER):
            shapes = [
                (batch.num_tokens, heads, language.head_dim) for heads in (language.num_heads, language.num_kv_heads)
            ]
            drawn = [torch.randn(shape, dtype=dtype) for shape in shapes]
            for side in sides:
                q, k = (x.clone().requires_grad_() for x in drawn)
                side[layer] = (q, k)
        found = plain_places(watching, batch)
        expected = torch.stack([plain_term(sides[1], found, batch, layer) for layer in found]).sum()
        watching._seen.update(sides[0])
        term = watching.loss(batch)
        assert term is not None and term.dtype == dtype and not watching._seen
        torch.testing.assert_close(term, expected, rtol=tolerance, atol=0)
        term.backward()
        expected.backward()
        for layer in found:
            for one, other in zip(sides[0][layer], sides[1][layer], strict=True):
                assert one.grad is not None and other.grad is not None
                assert float((one.grad - other.grad).norm() / other.grad.norm()) < tolerance


def test_nothing_is_guided_in_an_empty_batch(reading: AttributeProcessor) -> None:
    none = torch.zeros(0, dtype=torch.long)
    empty = PackedBatch(
        tokens=none,
        positions=none.view(3, 0),
        cu_seqlens=torch.zeros(1, dtype=torch.int32),
        labels=none,
        loss_weights=torch.zeros(0),
        patches=torch.zeros(0, len(attribute_sizes(VOCABULARY))),
        grid_thw=none.view(0, 3),
        visual_index=none,
    )
    assert guide(reading).loss(empty) is None


def test_the_term_is_the_missing_attention_of_the_guided_heads(reading: AttributeProcessor) -> None:
    """Of the heads of a forward pass."""
    batch = pack(reading, "world/grounding", "world/attributes", "world/counting", "world/grounding")
    watching = guide(reading)
    reading.reader.train()
    reading.reader(batch)
    found = plain_places(watching, batch)
    assert all(found.values())
    expected = torch.stack([plain_term(dict(watching._seen), found, batch, layer) for layer in found]).sum()
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
