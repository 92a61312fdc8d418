"""Rotary positions equal those of ``get_rope_index``, and of the rule Qwen2.5-VL was published with."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.data.positions import VisualSpan, mrope_positions
from tests.data import small

grids = st.tuples(st.integers(1, 5).map(lambda n: 2 * n), st.integers(1, 5).map(lambda n: 2 * n))
images = st.tuples(st.just("image"), st.just(1), grids, st.just(0.0))
clips = st.tuples(st.just("video"), st.integers(1, 9), grids, st.sampled_from([0.25, 0.5, 2 / 3, 0.7, 1.0, 1.1, 2.0]))
texts = st.integers(0, 6)


@st.composite
def layouts(draw, visuals):
    """Text and visuals in turn: (tokens, spans, kinds)."""
    config = small.config()
    tokens, spans, kinds = [5] * draw(st.integers(1, 6)), [], []
    for kind, frames, (rows, columns), seconds in draw(st.lists(visuals, max_size=4)):
        span = VisualSpan(len(tokens), (frames, rows, columns), seconds)
        tokens += [config.image_token_id if kind == "image" else config.video_token_id] * span.num_tokens(4)
        # Neighbours of one kind need a token between them, as the picture's own delimiters are.
        tokens += [5] * draw(st.integers(1, 6))
        spans.append(span)
        kinds.append(kind)
    return torch.tensor(tokens), spans, kinds


@pytest.fixture(scope="module")
def rope_index(transformers):
    """``get_rope_index`` of a model on the meta device."""
    config = transformers.Qwen2_5_VLConfig(**small.config().to_hf())
    with torch.device("meta"):
        model = transformers.Qwen2_5_VLForConditionalGeneration(config).model

    def index(tokens, spans, kinds):
        settings = small.config()
        grid = {
            kind: [s.grid_thw for s, k in zip(spans, kinds, strict=True) if k == kind] for kind in ("image", "video")
        }
        seconds = [s.seconds_per_pair for s, k in zip(spans, kinds, strict=True) if k == "video"]
        types = (tokens == settings.image_token_id).int() + 2 * (tokens == settings.video_token_id).int()
        positions, _ = model.get_rope_index(
            tokens[None],
            mm_token_type_ids=types[None],
            image_grid_thw=torch.tensor(grid["image"]) if grid["image"] else None,
            video_grid_thw=torch.tensor(grid["video"]) if grid["video"] else None,
            second_per_grid_ts=torch.tensor(seconds) if seconds else None,
        )
        return positions[:, 0]

    return index


@pytest.mark.parametrize("rule", ["maximum", "spatial"])
@settings(max_examples=60)
@given(layout=layouts(images))
def test_pictures_under_both_rules(rope_index, rule, layout):
    tokens, spans, kinds = layout
    ours = mrope_positions(len(tokens), spans, small.config(text_after_video=rule))
    assert torch.equal(ours, rope_index(tokens, spans, kinds))


@settings(max_examples=60)
@given(layout=layouts(st.one_of(images, clips)))
def test_clips_under_the_spatial_rule(rope_index, layout):
    tokens, spans, kinds = layout
    ours = mrope_positions(len(tokens), spans, small.config(text_after_video="spatial"))
    assert torch.equal(ours, rope_index(tokens, spans, kinds))


@settings(max_examples=60)
@given(layout=layouts(st.one_of(images, clips)))
def test_clips_under_the_maximum_rule(layout):
    """Against the definition: whatever follows a visual starts one past the largest position so far."""
    tokens, spans, _ = layout
    ours = mrope_positions(len(tokens), spans, small.config(text_after_video="maximum"))
    place = 0
    for span in spans:
        assert ours[:, place].tolist() == [ours[:, :place].max().item() + 1 if place else 0] * 3
        end = span.start + span.num_tokens(4)
        begin = ours[:, span.start - 1].max().item() + 1
        assert ours[:, span.start].tolist() == [begin] * 3
        assert ours[1:, span.start : end].amin() == begin
        step = span.seconds_per_pair * small.config().vision.tokens_per_second
        frame = span.num_tokens(4) // span.grid_thw[0]
        times = ours[0, span.start : end].view(-1, frame)[:, 0] - begin
        assert times.tolist() == [int(torch.tensor(float(n)) * step) for n in range(span.grid_thw[0])]
        place = end
    assert ours[:, place].tolist() == [ours[:, :place].max().item() + 1 if place else 0] * 3
