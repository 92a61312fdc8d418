import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from mimovl.data import MIMO_VL_VIDEO, Encoded, collate
from mimovl.errors import DataError
from mimovl.types import Media, Message, Part, Sample
from tests.data import small
from tests.data.test_video import movie

PROCESSOR = small.processor()


def samples():
    first, second = small.picture(131, 97), small.picture(60, 90, 1)
    page = (Part("image", media=second.sha256), Part("text", text=" a page"))
    return [
        PROCESSOR.encode(small.conversation(first, second, id="a")),
        PROCESSOR.encode(small.conversation(id="b")),
        PROCESSOR.encode(small.conversation(small.clip(6, 2.0), first, id="c")),
        PROCESSOR.encode(Sample("d", (Message("assistant", page),), {second.sha256: second}, source="pages")),
    ]


def test_samples_are_laid_end_to_end_without_padding():
    encoded = samples()
    batch = small.batch(encoded)
    ends = np.cumsum([0, *(sample.num_tokens for sample in encoded)]).tolist()
    assert batch.cu_seqlens.tolist() == ends
    assert batch.cu_seqlens.dtype == torch.int32
    assert batch.num_tokens == ends[-1] == batch.labels.shape[0] == batch.loss_weights.shape[0]
    for sample, start, end in zip(encoded, ends, ends[1:], strict=False):
        assert torch.equal(batch.tokens[start:end], sample.tokens)
        assert torch.equal(batch.labels[start:end], sample.labels)
        assert torch.equal(batch.positions[:, start:end], sample.positions)
    assert (batch.sample_ids, batch.sources) == (["a", "b", "c", "d"], ["test", "test", "test", "pages"])


def test_patches_follow_their_placeholders():
    encoded = samples()
    batch = small.batch(encoded)
    assert torch.equal(batch.patches, torch.cat([patches for sample in encoded for patches in sample.patches]))
    assert batch.grid_thw.tolist() == [list(grid) for sample in encoded for grid in sample.grid_thw]
    assert batch.grid_thw.prod(dim=1).sum() == len(batch.patches) == 4 * len(batch.visual_index)
    pads = {PROCESSOR.config.image_token_id, PROCESSOR.config.video_token_id}
    assert set(batch.tokens[batch.visual_index].tolist()) == pads


def test_a_pack_of_text_has_empty_picture_tensors():
    batch = small.batch([PROCESSOR.encode(small.conversation())])
    assert batch.patches.shape == (0, 1176)
    assert batch.grid_thw.shape == (0, 3)
    assert len(batch.visual_index) == 0


def test_one_samples_label_never_predicts_the_next_sample():
    batch = small.batch(samples())
    assert (batch.labels[batch.cu_seqlens[1:].long() - 1] == -100).all()


@pytest.mark.parametrize("change", ["a patch less", "a token more"])
def test_placeholders_that_do_not_match_their_patches_are_named_with_both_numbers(change):
    good, bad = samples()[:2][::-1], samples()[0]
    if change == "a patch less":
        bad.patches[0] = bad.patches[0][:-1]
    else:
        bad.tokens[-1] = PROCESSOR.config.image_token_id
    held = sum(len(patches) for patches in bad.patches)
    with pytest.raises(
        DataError, match=rf"sample a: \d+ visual tokens stand for \d+ patches, its pictures have {held}"
    ):
        small.batch([good[0], bad])


def test_errors_of_two_samples_do_not_cancel_out():
    """One picture too many here and one too few there would shift every picture between them."""
    first, _, third, _ = samples()
    third.patches.append(first.patches.pop())
    third.grid_thw.append(first.grid_thw.pop())
    with pytest.raises(DataError, match="sample a"):
        small.batch([first, third])


def test_other_merge_units_are_followed():
    sample = Encoded(
        "s", "", torch.tensor([5, 9, 5]), torch.zeros(3, 3, dtype=torch.long), torch.full((3,), -100),
        patches=[torch.zeros(9, 7)], grid_thw=[(1, 3, 3)],
    )  # fmt: skip
    assert collate([sample], visual_token_ids=(9,), merge_unit=9).visual_index.tolist() == [1]


def test_a_batch_moves_as_a_whole():
    moved = small.batch(samples()).to("meta")
    assert {moved.tokens.device.type, moved.patches.device.type, moved.cu_seqlens.device.type} == {"meta"}
    assert moved.sample_ids == ["a", "b", "c", "d"]


def test_the_largest_picture_the_longest_clip_many_pictures_and_text_share_a_pack_of_32k():
    """4096 visual tokens of a picture, 16,384 of 256 frames at 2 a second, 40 pictures in one sample, text alone."""
    processor = replace(PROCESSOR, video=MIMO_VL_VIDEO)
    large = small.encoded(small.noise(90, 90).resize((3000, 3000)), "JPEG")
    film = movie(1024, 8, size=(448, 224), gop=4)
    media = (
        [Media(hashlib.sha256(large).hexdigest(), "image", large, 1, 1)],
        [Media(hashlib.sha256(film).hexdigest(), "video", film, 1, 1)],
        [small.picture(28 * (2 + n % 3), 56, n) for n in range(40)],
        [],
    )
    encoded = [processor.encode(small.conversation(*held, id=f"s{n}")) for n, held in enumerate(media)]
    batch = small.batch(encoded)
    visual = [sum(len(patches) for patches in sample.patches) // 4 for sample in encoded]
    assert visual[:2] == [4096, 16_384] and len(encoded[2].grid_thw) == 40
    assert batch.num_tokens <= 32_768 and len(batch.patches) == 4 * len(batch.visual_index) == 4 * sum(visual)
    assert encoded[1].grid_thw[0][0] == 128
    places = torch.isin(encoded[1].tokens, torch.tensor([processor.config.video_token_id]))
    times = encoded[1].positions[0][places].unique()
    assert (times - times[0]).tolist() == list(range(0, 256, 2)), (
        "128 pairs of frames, a second each, two positions a second"
    )
    assert int(batch.grid_thw.prod(dim=1).sum()) == len(batch.patches)
