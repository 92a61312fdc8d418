"""FLOPs by part, against ``torch.utils.flop_counter`` on a model that runs, and by hand where no counter reaches."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop
from torch.utils.flop_counter import FlopCounterMode

from mimovl.model import VisionLanguageModel, build_model, preset
from mimovl.model.vision_encoder import WindowPlan
from mimovl.plan import PARTS, Flops, Load, count_flops, flops_per_token
from mimovl.train.loss import language_model_loss
from mimovl.train.optimizer import set_trainable
from mimovl.types import PackedBatch
from tests.data import small

COMBINATIONS = [c for size in (1, 2, 3) for c in itertools.combinations(PARTS, size)]


@functools.cache
def batch(*, pictures: bool = True) -> PackedBatch:
    """Two pictures, one with windows cut short at its edges; a clip; and a sample of text alone."""
    processor = small.processor()
    media = [(small.picture(131, 97), small.picture(252, 140)), (small.clip(6, 2.0, 84, 140),)] if pictures else []
    return small.batch([processor.encode(small.conversation(*items)) for items in [*media, ()]])


def squared(load: Load, packed: PackedBatch) -> Load:
    """The counter takes causal attention for the whole square of queries and keys; so must we, to be compared."""
    return replace(load, pairs=float((packed.cu_seqlens.diff().double() ** 2).sum()))


def counted(model: VisionLanguageModel, packed: PackedBatch) -> tuple[dict[str, float], dict[str, float]]:
    """Operations of forward and of backward by part, as torch counts them while they happen.

    With attention computed plainly: two products forward, four backward, which the counter sees as the matrix products
    they are. It does not know the kernel that the CPU would take.
    """
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        loss = language_model_loss(model, packed).total
        forward = _by_part(counter)
        if loss.requires_grad:
            loss.backward()
    both = _by_part(counter)
    return forward, {part: both[part] - forward[part] for part in both}


def _by_part(counter: FlopCounterMode) -> dict[str, float]:
    sums = {name: sum(count.values()) for name, count in counter.get_flop_counts().items()}
    parts = {part: float(sums.get(f"VisionLanguageModel.{part}", 0)) for part in PARTS}
    return {**parts, "head": sums.get("Global", 0) - sum(parts.values())}  # the loss multiplies by the head itself


@pytest.mark.parametrize("trained", COMBINATIONS, ids="+".join)
@pytest.mark.parametrize("pictures", [True, False], ids=["pictures", "text"])
def test_every_operation_is_counted_for_every_choice_of_trained_parts(trained: tuple[str, ...], pictures: bool) -> None:
    """To the last operation: both count the same matrix products, so there is nothing to tolerate."""
    model, packed = small.model(), batch(pictures=pictures)
    set_trainable(model, trained)
    found = count_flops(model.config, squared(Load.of_batch(packed, model.config), packed), trained)
    forward, backward = counted(model, packed)
    assert {part: work.forward for part, work in found.items()} == forward
    # The gradient of the head's input belongs to the head here; the counter's module tree agrees.
    assert sum(work.backward for work in found.values()) == sum(backward.values())
    assert found["vision"].backward == backward["vision"]


@pytest.mark.parametrize("trained", [("language",), ("projector",), PARTS], ids="+".join)
def test_full_checkpointing_repeats_the_forward_pass_of_every_block_that_has_a_backward_pass(
    trained: tuple[str, ...],
) -> None:
    model, packed = small.model(), batch()
    set_trainable(model, trained)
    plain = sum(itertools.chain(*(part.values() for part in counted(model, packed))))
    for block in itertools.chain(model.vision.blocks, model.language.layers):
        original = block.forward
        block.forward = functools.partial(checkpoint, original, use_reentrant=False)
    with set_checkpoint_early_stop(False):
        again = sum(itertools.chain(*(part.values() for part in counted(model, packed))))
    load = squared(Load.of_batch(packed, model.config), packed)
    repeated = [
        sum(work.repeated for work in count_flops(model.config, load, trained, checkpointing=how).values())
        for how in ("full", "none")
    ]
    assert again - plain == repeated[0] - repeated[1]


def test_selective_checkpointing_repeats_no_product() -> None:
    config = preset("mimo-vl-7b")
    load = Load.typical(config, 8192)
    assert count_flops(config, load, checkpointing="selective") == count_flops(config, load)


def test_causal_attention_is_half_the_square_and_the_diagonal() -> None:
    config = small.config()
    assert Load.of([3, 5], [], labels=0, config=config).pairs == 6 + 15
    one, two = (count_flops(config, Load.of([n], [], labels=0, config=config))["language"] for n in (100, 200))
    square = config.language.num_layers * 4 * config.language.hidden_size
    assert two.forward - 2 * one.forward == square * (200 * 201 / 2 - 100 * 101)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=4))
def test_window_and_frame_pairs_are_those_of_the_plan_the_model_follows(merged: list[tuple[int, int, int]]) -> None:
    config = small.config()
    grids = [(frames, 2 * rows, 2 * columns) for frames, rows, columns in merged]
    plan = WindowPlan(torch.tensor(grids), config.vision)
    load = Load.of([1], grids, labels=0, config=config)
    assert load.window_pairs == sum(length**2 for length in plan.windows.lengths)
    assert load.frame_pairs == sum(length**2 for length in plan.frames.lengths)
    assert load.patches == len(plan.positions)


def test_a_typical_pack_asks_what_a_pack_of_that_description_does() -> None:
    config = preset("mimo-vl-7b")
    typical = Load.typical(config, 8192, visual_share=0.5, picture_tokens=1024, sample_tokens=2048, label_share=0.25)
    assert typical == Load.of([2048] * 4, [(1, 64, 64)] * 4, labels=2048, config=config)
    assert Load.typical(config, 100, sample_tokens=1000).pairs == 100 * 101 / 2, "a sample is no longer than its pack"


def test_the_published_model_does_six_operations_a_token_for_each_number_of_its_matrices() -> None:
    """What "6 N" means, from the parameters themselves; attention over one other token is all that is added."""
    model = build_model("mimo-vl-7b", device="meta")
    matrices = sum(p.numel() for name, p in model.language.named_parameters() if p.ndim == 2 and "embed" not in name)
    found = flops_per_token(model.config, 8192, visual_share=0, sample_tokens=1, label_share=1)
    language = model.config.language
    assert found == 6 * matrices + 12 * language.num_layers * language.hidden_size
    frozen = flops_per_token(model.config, 8192, (), visual_share=0, sample_tokens=1, label_share=1)
    assert found == 3 * frozen


def test_a_frozen_decoder_behind_a_trained_projector_still_passes_gradients_back() -> None:
    config = preset("mimo-vl-7b")
    work = count_flops(config, Load.typical(config, 8192), ("projector",))
    assert work["language"].backward == work["language"].forward + 2 * _attention(work, config) / 2
    assert work["vision"].backward == 0 and work["vision"].repeated == 0
    text = count_flops(config, Load.typical(config, 8192, visual_share=0), ("projector",))
    assert all(part.backward == 0 for part in text.values()), "text alone teaches a projector nothing"


def _attention(work: dict[str, Flops], config: object) -> float:
    """Forward operations of attention: twice what a kernel repeats in its backward pass."""
    return 2 * work["language"].repeated


def test_work_adds_up() -> None:
    both = Flops(1, 2, 3) + 2 * Flops(10, 20, 30)
    assert (both.model, both.executed) == (63, 126)
