import pytest
import torch
import torch.nn.functional as F

from mimovl.errors import CheckpointError
from mimovl.model import build_model, initialise
from mimovl.types import Message, Part, Sample
from tests.data import small

PROCESSOR = small.processor()


def mixed_samples():
    """Text alone, one picture, two pictures, a clip, a document."""
    first, second = small.picture(131, 97), small.picture(60, 150, 1)
    document = (Part("text", text="A page. "), Part("image", media=first.sha256), Part("text", text=" More text."))
    return [
        PROCESSOR.encode(sample)
        for sample in (
            small.conversation(id="text", answer="There are 3 red circles."),
            small.conversation(first, id="one"),
            small.conversation(first, second, id="two"),
            small.conversation(small.clip(6, 2.0), id="clip"),
            Sample("document", (Message("assistant", document),), {first.sha256: first}),
        )
    ]


def logits(model, *encoded):
    batch = small.batch(encoded)
    return model.logits(model(batch))


def total_loss(model, *encoded):
    """Summed over tokens, so that packs add up."""
    return F.cross_entropy(logits(model, *encoded), small.batch(encoded).labels, reduction="sum")


@torch.no_grad()
def test_packed_logits_equal_unpacked_ones():
    """float64: 1e-12 (measured 9e-15); float32: 1e-5 (measured 2e-6), sums in another order."""
    samples = mixed_samples()
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        model = small.model(dtype=dtype)
        alone = torch.cat([logits(model, sample) for sample in samples])
        assert (logits(model, *samples) - alone).abs().max() < tolerance


def test_packed_loss_and_every_gradient_equal_unpacked_ones():
    """float64, to 1e-10 of each gradient's largest entry."""
    samples = mixed_samples()
    packed, alone = small.model(dtype=torch.float64), small.model(dtype=torch.float64)
    loss = total_loss(packed, *samples)
    loss.backward()
    losses = [total_loss(alone, sample) for sample in samples]
    torch.stack(losses).sum().backward()
    assert torch.allclose(loss, torch.stack(losses).sum(), rtol=1e-12)
    for (name, one), other in zip(packed.named_parameters(), alone.parameters(), strict=True):
        assert one.grad.abs().max() > 0, f"{name} gets no gradient"
        assert (one.grad - other.grad).abs().max() <= 1e-10 * other.grad.abs().max(), name


@torch.no_grad()
@pytest.mark.parametrize("changed", range(5))
def test_no_sample_sees_another(changed):
    """One sample's tokens and pixels change; the logits of all others stay equal to the bit."""
    model, samples = small.model(), mixed_samples()
    before = small.batch(samples)
    start, end = before.cu_seqlens[changed : changed + 2].tolist()
    sample = samples[changed]
    pads = torch.isin(sample.tokens, torch.tensor(PROCESSOR.config.visual_token_ids))
    sample.tokens = torch.where(pads, sample.tokens, (sample.tokens + 1) % 100)
    sample.patches = [-patches for patches in sample.patches]
    after = small.batch(samples)
    one, other = model.logits(model(before)), model.logits(model(after))
    outside = torch.ones(len(one), dtype=torch.bool)
    outside[start:end] = False
    assert torch.equal(one[outside], other[outside])
    assert not torch.equal(one[~outside], other[~outside])


@torch.no_grad()
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same_logits():
    model, batch = small.model(), small.batch(mixed_samples())
    here = model.logits(model(batch))
    model, batch = model.to("cuda"), batch.to("cuda")
    assert (model.logits(model(batch)).cpu() - here).abs().max() < 1e-4


@torch.no_grad()
def test_the_order_of_samples_in_a_pack_does_not_matter():
    model, samples = small.model(dtype=torch.float64), mixed_samples()
    forward = logits(model, *samples).split([sample.num_tokens for sample in samples])
    backward = logits(model, *samples[::-1]).split([sample.num_tokens for sample in samples[::-1]])
    for one, other in zip(forward, backward[::-1], strict=True):
        assert (one - other).abs().max() < 1e-12


@torch.no_grad()
def test_pictures_encoded_beforehand_give_the_same_result():
    """Rollouts encode a picture once for a whole group."""
    model, samples = small.model(), mixed_samples()
    batch = small.batch(samples)
    visual = model.encode(batch.patches, batch.grid_thw)
    assert torch.equal(model.embed(batch), model.embed(batch, visual))
    assert visual.shape == (len(batch.visual_index), 64)


@torch.no_grad()
def test_visual_tokens_take_the_places_of_their_placeholders_only():
    model, samples = small.model(), mixed_samples()
    batch = small.batch(samples)
    embedded = model.embed(batch)
    visual = torch.zeros(batch.num_tokens, dtype=torch.bool)
    visual[batch.visual_index] = True
    pads = torch.tensor([PROCESSOR.config.image_token_id, PROCESSOR.config.video_token_id])
    assert torch.equal(visual, torch.isin(batch.tokens, pads))
    assert torch.equal(embedded[~visual], model.language.embed_tokens(batch.tokens)[~visual])
    assert torch.equal(embedded[visual], model.encode(batch.patches, batch.grid_thw))


def test_a_text_batch_leaves_the_vision_tower_without_gradient():
    model = small.model()
    total_loss(model, mixed_samples()[0]).backward()
    assert all(parameter.grad is None for parameter in model.vision.parameters())


# ---------------------------------------------------------------- building


def test_a_seed_fixes_every_weight_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    first = build_model(small.config(), seed=1)
    torch.manual_seed(6)
    again, other = build_model(small.config(), seed=1), build_model(small.config(), seed=2)
    for one, two in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(first.language.embed_tokens.weight, other.language.embed_tokens.weight)


@torch.no_grad()
def test_initialise_redraws_everything_below_a_module():
    model = small.model()
    for parameter in model.projector.parameters():
        parameter.fill_(7)
    untouched = model.language.embed_tokens.weight.clone()
    initialise(model.projector, seed=0)
    assert not any((parameter == 7).any() for parameter in model.projector.parameters())
    assert torch.equal(model.projector.norm.weight, torch.ones(32))
    assert torch.equal(model.projector.up.bias, torch.zeros(128))
    assert torch.equal(model.language.embed_tokens.weight, untouched)


@torch.no_grad()
@pytest.mark.parametrize("name", ["tiny"])
def test_a_fresh_model_is_neither_silent_nor_loud(name):
    """Hidden states of order 1 at every depth: neither vanishing nor exploding at the start."""
    model = build_model(name, seed=0)
    patches, grid = torch.randn(64, 1176), torch.tensor([[1, 8, 8]])
    assert 0.1 < model.vision(patches, grid).std() < 10
    assert 0.05 < model.encode(patches, grid).std() < 5


def test_the_tiny_preset_is_as_small_as_it_says():
    """8 MB in bfloat16, the room there is for it in the package."""
    counts = build_model("tiny", device="meta").num_parameters()
    assert sum(counts.values()) * 2 <= 8 * 2**20, counts


def test_counting_parameters_counts_a_tied_head_once():
    tied, untied = small.model(tie_embeddings=True), small.model()
    head = untied.language.lm_head.weight.numel()
    assert untied.num_parameters()["language"] - tied.num_parameters()["language"] == head
    assert sum(untied.num_parameters().values()) == sum(p.numel() for p in untied.parameters())


def test_the_meta_device_allocates_nothing():
    model = build_model("mimo-vl-7b", device="meta")
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert model.device.type == "meta"
    assert model.dtype == torch.float32


def test_an_unknown_preset_lists_those_there_are():
    with pytest.raises(CheckpointError, match=r"no model preset 'huge'; there are: tiny, small, mimo-vl-7b"):
        build_model("huge")
