"""Same weights, same inputs, same logits as ``Qwen2_5_VLForConditionalGeneration``."""

import pytest
import torch

from mimovl.data import Processor
from mimovl.model import build_model, preset
from mimovl.model.hf_checkpoint import hf_name
from mimovl.types import Message, Part, Sample
from tests.data import small
from tests.parity import referee
from tests.parity.referee import TOLERANCE

PROCESSOR = small.processor()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    model = small.model()
    return model, referee.twin(model, tmp_path_factory.mktemp("logits"))


def worst(pair, *samples, processor=PROCESSOR):
    """Largest difference between our pack of all samples and the referee's run of each alone."""
    model, twin = pair
    encoded = [processor.encode(sample) for sample in samples]
    theirs = torch.cat([referee.logits(twin, one, processor) for one in encoded])
    mine = referee.ours(model, encoded)
    assert mine.abs().max() > 1, "weights too small to tell anything"
    return float((mine - theirs).abs().max())


SIZES = [(1, 1), (28, 28), (56, 56), (30, 41), (112, 112), (131, 97), (113, 224), (300, 45), (97, 403), (252, 364)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_picture_of_any_size(pair, width, height):
    assert worst(pair, small.conversation(small.picture(width, height))) < TOLERANCE


def test_the_tiny_preset(tmp_path):
    processor = Processor.fresh(small.tokenizer(), preset("tiny"))
    model = small.random_biases(build_model(processor.config, seed=0))
    pair = model, referee.twin(model, tmp_path)
    assert (
        worst(pair, small.conversation(small.picture(252, 140), small.picture(60, 90)), processor=processor) < TOLERANCE
    )


def test_several_pictures_in_one_sample(pair):
    pictures = [small.picture(*size) for size in ((131, 97), (56, 56), (252, 140))]
    assert worst(pair, small.conversation(*pictures)) < TOLERANCE


def test_text_alone_is_bit_equal(pair):
    assert worst(pair, small.conversation(answer="There are 3 red circles. " * 20)) == 0


def test_pictures_within_several_turns(pair):
    first, second = small.picture(90, 200), small.picture(140, 60, 1)
    messages = (
        small.user("Describe the picture.", first),
        small.assistant("A large green star."),
        small.user("And this? /no_think", second),
        small.assistant("<think>\n\n</think>\n\nA small orange cross."),
    )
    sample = Sample("s", messages, {item.sha256: item for item in (first, second)})
    assert worst(pair, sample) < TOLERANCE


def test_a_document_that_begins_and_ends_with_a_picture(pair):
    first, second = small.picture(90, 200), small.picture(140, 60, 1)
    parts = (Part("image", media=first.sha256), Part("text", text=" between "), Part("image", media=second.sha256))
    sample = Sample("s", (Message("assistant", parts),), {item.sha256: item for item in (first, second)})
    assert worst(pair, sample) < TOLERANCE


def test_a_pack_of_everything_equals_each_sample_alone(pair):
    samples = [
        small.conversation(small.picture(131, 97)),
        small.conversation(answer="text alone"),
        small.conversation(small.picture(252, 364), small.picture(28, 28)),
        small.conversation(small.picture(131, 97, 5)),
    ]
    assert worst(pair, *samples) < TOLERANCE


@pytest.mark.parametrize("num_frames, fps", [(1, 2.0), (4, 2.0), (6, 2.0), (10, 4.0), (9, 3.0), (8, 1.0), (12, 12.0)])
def test_a_clip_with_the_referees_positions_after_it(pair, num_frames, fps):
    """transformers from 5.3 on continues text past the larger side of a clip's grid: our rule ``spatial``."""
    processor = small.processor(text_after_video="spatial")
    model, twin = pair
    clip = small.clip(num_frames, fps, 84, 140)
    encoded = processor.encode(small.conversation(clip))
    step = torch.tensor([referee.seconds_per_pair(clip, processor)])
    theirs = referee.logits(twin, encoded, processor, second_per_grid_ts=step)
    assert (referee.ours(model, [encoded]) - theirs).abs().max() < TOLERANCE


def test_a_clip_with_positions_after_it_as_published(pair):
    """Before 5.3, and in vLLM, text continues past the largest position: our rule ``maximum``, given explicitly."""
    sample = small.conversation(small.clip(20, 2.0), small.picture(60, 90))
    processor = small.processor(text_after_video="maximum")
    model, twin = pair
    encoded = processor.encode(sample)
    spatial = small.processor(text_after_video="spatial").encode(sample)
    assert encoded.positions.max() > spatial.positions.max(), "the clip is too short to tell the rules apart"
    theirs = referee.logits(twin, encoded, processor, position_ids=encoded.positions[:, None])
    assert (referee.ours(model, [encoded]) - theirs).abs().max() < TOLERANCE


def test_clips_and_pictures_packed_together(pair):
    processor = small.processor(text_after_video="spatial")
    model, twin = pair
    clips = [small.clip(8, 2.0, 84, 84), small.clip(6, 1.0, 140, 56, 1)]
    samples = [processor.encode(small.conversation(clip, small.picture(70, 130))) for clip in clips]
    theirs = []
    for clip, encoded in zip(clips, samples, strict=True):
        step = torch.tensor([referee.seconds_per_pair(clip, processor)])
        theirs.append(referee.logits(twin, encoded, processor, second_per_grid_ts=step))
    assert (referee.ours(model, samples) - torch.cat(theirs)).abs().max() < TOLERANCE


@torch.no_grad()
def test_visual_tokens_equal_the_referees(pair):
    model, twin = pair
    encoded = PROCESSOR.encode(small.conversation(small.picture(252, 364), small.picture(131, 97)))
    patches, grid = torch.cat(encoded.patches), torch.tensor(encoded.grid_thw)
    theirs = torch.cat(twin.get_image_features(patches, grid).pooler_output)
    assert (model.encode(patches, grid) - theirs).abs().max() < TOLERANCE


def test_loss_and_gradients_equal_the_referees(pair):
    """Loss to 1e-6; each gradient to 1e-4 of its largest entry (measured 2.4e-6)."""
    model, twin = pair
    encoded = PROCESSOR.encode(small.conversation(small.picture(131, 97)))
    theirs = referee.inputs(encoded, PROCESSOR)
    labels = torch.full_like(encoded.tokens, -100)
    labels[1:] = encoded.labels[:-1]
    theirs_loss = twin(**theirs, labels=labels[None]).loss
    theirs_loss.backward()
    batch = small.batch([encoded])
    loss = torch.nn.functional.cross_entropy(model.logits(model(batch)), batch.labels)
    loss.backward()
    assert abs(loss.item() - theirs_loss.item()) < 1e-6
    gradients = {name: parameter.grad for name, parameter in twin.named_parameters()}
    for name, parameter in model.named_parameters():
        nested = hf_name(name).replace("model.", "model.language_model.").replace("visual.", "model.visual.")
        wanted = gradients[nested].reshape(parameter.shape)
        assert (parameter.grad - wanted).abs().max() <= 1e-4 * wanted.abs().max(), name
    model.zero_grad()
    twin.zero_grad()


@torch.no_grad()
def test_half_precision_is_as_exact_as_the_referees(pair, tmp_path):
    """In bfloat16 both are 0.012 from float32 on average (and were bit-equal when this was written)."""
    model = small.model(dtype=torch.bfloat16)
    twin = referee.hugging_face(referee.save_checkpoint(model, tmp_path / "half"), dtype=torch.bfloat16)
    encoded = PROCESSOR.encode(small.conversation(small.picture(131, 97)))
    mine, theirs = referee.ours(model, [encoded]).float(), referee.logits(twin, encoded, PROCESSOR).float()
    exact = referee.logits(pair[1], encoded, PROCESSOR)
    assert (mine - exact).abs().mean() < 1.1 * (theirs - exact).abs().mean()
