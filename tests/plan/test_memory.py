"""Memory, against what autograd keeps and against the peak of a process that trains."""

from __future__ import annotations

import functools
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from mimovl.model import build_model, preset
from mimovl.plan import PARTS, Load, Spread, activation_bytes, num_parameters, plan_memory
from mimovl.plan.memory import MIN_CHUNK_LOGITS
from mimovl.train import linear_cross_entropy
from mimovl.train.optimizer import set_trainable
from tests.data import small

COMBINATIONS = [c for size in (1, 2, 3) for c in itertools.combinations(PARTS, size)]
WIDTH = {torch.float32: 4, torch.bfloat16: 2}
GIB = 1024**3


def saved_bytes(forward: Callable[[], Any], known: Iterable[torch.Tensor]) -> int:
    """Bytes of all storages that autograd keeps, each once, without those that are there anyway."""
    there = {tensor.untyped_storage().data_ptr() for tensor in known}
    kept: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in there:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = forward()
    del result
    return sum(storage.nbytes() for storage in kept.values())


@functools.cache
def batch(equal: bool) -> Any:
    """Samples of one length, or of several."""
    pictures = [[small.picture(224, 224)] * 2] * 2 if equal else [[small.picture(131, 97)], [small.picture(252, 140)]]
    return small.batch([small.processor().encode(small.conversation(*media)) for media in pictures])


@pytest.mark.parametrize("trained", COMBINATIONS, ids="+".join)
@pytest.mark.parametrize("dtype", list(WIDTH), ids=["float32", "bfloat16"])
@pytest.mark.parametrize("equal", [True, False], ids=["equal", "unequal"])
def test_what_forward_keeps_is_what_autograd_saves(trained: tuple[str, ...], dtype: torch.dtype, equal: bool) -> None:
    """Within 1 % for samples and pictures of one length, 8 % for others.

    Those are gathered by their lengths on the CPU, which keeps a copy of what attention gave and two indices a
    layer: 7.7 % of what this model keeps, as its feed-forward keeps little. Not planned: kernels for unequal segments
    need none.
    """
    model, packed = small.model(dtype=dtype), batch(equal)
    set_trainable(model, trained)
    found = saved_bytes(lambda: model(packed), [*model.parameters(), packed.patches])
    load = Load.of_batch(packed, model.config)
    kept, _ = activation_bytes(model.config, load, trained, width=WIDTH[dtype])
    pixels_and_ids = 4 * packed.patches.numel() + 48 * packed.num_tokens
    assert found == pytest.approx(kept - pixels_and_ids, rel=0.01 if equal else 0.08)


@pytest.mark.parametrize("trained", [("projector",), PARTS], ids="+".join)
def test_full_checkpointing_keeps_the_inputs_of_blocks(trained: tuple[str, ...]) -> None:
    model, packed = small.model(), batch(True)
    set_trainable(model, trained)
    for block in itertools.chain(model.vision.blocks if "vision" in trained else (), model.language.layers):
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
    found = saved_bytes(lambda: model(packed), [*model.parameters(), packed.patches])
    load = Load.of_batch(packed, model.config)
    # Rotary angles are handed to a block in a tuple: kept for it, but not where autograd's hooks could see them.
    found += 2 * 4 * 16 * (packed.num_tokens + len(packed.patches) * ("vision" in trained))
    kept, added = activation_bytes(model.config, load, trained, checkpointing="full")
    pixels_and_ids = 4 * packed.patches.numel() + 48 * packed.num_tokens
    assert found == pytest.approx(kept - pixels_and_ids, rel=0.01)
    plain, less = activation_bytes(model.config, load, trained)
    assert kept - pixels_and_ids < (plain - pixels_and_ids) / 2
    assert added > less, "kept no longer, it is there while a block runs backward"


PEAK = """
import ctypes, functools, gc, json, sys
import torch
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts
from mimovl.model import LanguageConfig, ModelConfig, VisionConfig, build_model
from mimovl.plan import Load, Spread, plan_memory
from mimovl.train import OptimizerConfig
from mimovl.train.loss import language_model_loss
from mimovl.train.optimizer import Optimizer, set_trainable
from mimovl.types import PackedBatch

trained, lengths, vocabulary, how = sys.argv[1].split("+"), json.loads(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
config = ModelConfig(
    vision=VisionConfig(depth=4, hidden_size=128, intermediate_size=352, num_heads=4, full_attention_blocks=(1, 3)),
    language=LanguageConfig(
        num_layers=4, hidden_size=256, intermediate_size=704, num_heads=4, num_kv_heads=2, vocab_size=vocabulary,
        mrope_section=(8, 12, 12), rope_theta=1e4, max_position=4096,
    ),
)

def status(field):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(field))

def pack(lengths, grids):
    size, merged = sum(lengths), sum(frames * rows * columns for frames, rows, columns in grids) // 4
    labels = torch.randint(0, vocabulary, (size,))
    labels[: size // 2] = -100
    return PackedBatch(
        torch.randint(0, 90, (size,)), torch.arange(size).repeat(3, 1), torch.tensor([0, *lengths]).cumsum(0), labels,
        torch.ones(size), torch.randn(merged * 4, 1176), torch.tensor(grids), torch.arange(merged) + 4,
        sources=["a"] * len(lengths),
    )

model = build_model(config, seed=0)
set_trainable(model, trained)
aten = torch.ops.aten
kept = [aten.mm.default, aten.addmm.default, aten._scaled_dot_product_flash_attention_for_cpu.default]
options = {"context_fn": functools.partial(create_selective_checkpoint_contexts, kept)} if how == "selective" else {}
for block in [] if how == "none" else [*(model.vision.blocks if "vision" in trained else ()), *model.language.layers]:
    block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False, **options)
modules = {name: part for name, part in model.named_children() if name in trained}
optimizer = Optimizer(modules, dict.fromkeys(trained, 1e-4), OptimizerConfig())
small = pack([300], [(1, 8, 8)])
language_model_loss(model, small).total.backward()
optimizer.step()
language_model_loss(model, small).total.backward()  # from here on gradients are there
gc.collect()
ctypes.CDLL("libc.so.6").malloc_trim(0)
before = status("VmRSS")
large = pack(lengths, [(1, 32, 32)] * 3)
open("/proc/self/clear_refs", "w").write("5")  # the high-water mark starts anew
language_model_loss(model, large).total.backward()
memory = plan_memory(config, Load.of_batch(large, config), trained, Spread(checkpointing=how))
print(json.dumps({"measured": status("VmHWM") - before, "planned": memory.activations + memory.workspace}))
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize(
    ("trained", "vocabulary", "how"),
    [
        ("projector", 1000, "none"),
        ("vision+projector+language", 20_000, "none"),
        ("vision+projector+language", 1000, "selective"),
        ("vision+projector+language", 1000, "full"),
    ],
)
def test_the_peak_of_a_training_step_is_as_planned(trained: str, vocabulary: int, how: str) -> None:
    """Within 10 %, for 170 to 600 MB: a child's high-water mark over what model and optimizer take between steps.

    Measured −8 % (full checkpointing) to +4 %. What differs: which gradients come and go together depends on the order
    of the backward pass, samples of unequal length are copied, and the allocator rounds up (it is told to keep no freed
    pages).
    """
    source = Path(__file__).parents[2] / "src"
    environment = {**os.environ, "PYTHONPATH": str(source), "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PEAK, trained, "[1000, 700, 1300, 500, 596]", str(vocabulary), how]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["planned"] > 150e6
    assert found["measured"] == pytest.approx(found["planned"], rel=0.1)


def test_parameters_are_counted_as_they_are() -> None:
    model = build_model("small", device="meta")
    counts = num_parameters(model.config)
    assert {part: counts[part] for part in PARTS} == model.num_parameters()
    assert counts["language_block"] == sum(p.numel() for p in model.language.layers[0].parameters())
    assert sum(counts[part] for part in PARTS) == pytest.approx(100e6, rel=0.02), "about a hundred million"


def test_the_plain_loss_is_planned_up_to_the_size_that_is_computed_plainly() -> None:
    assert linear_cross_entropy.MIN_CHUNK_LOGITS == MIN_CHUNK_LOGITS


def test_the_loss_of_32k_tokens_never_holds_their_logits() -> None:
    config = preset("mimo-vl-7b")
    load = replace(Load.typical(config, 32_768, label_share=1.0), patches=0.0)
    spread = Spread(checkpointing="full", compute=2)
    full = 4.0 * 32_768 * config.language.vocab_size
    assert plan_memory(config, load, ("language",), spread).workspace < 0.5 * full
    logits_alone = 4.0 * config.language.vocab_size * config.language.hidden_size // 4
    assert plan_memory(config, load, ("language",), spread).workspace > logits_alone


def test_what_stays_between_steps_is_what_trained_parts_need() -> None:
    """MiMo-VL-7B in float32: 4 bytes a parameter, 4 a gradient, 8 of AdamW's; 133 GB in all."""
    config = preset("mimo-vl-7b")
    load = Load.typical(config, 64)
    everything = plan_memory(config, load)
    assert everything.parameters + everything.gradients + everything.optimizer == 16 * 8_306_217_216
    first = plan_memory(config, load, ("projector",))
    assert first.parameters == everything.parameters
    assert (first.gradients, first.optimizer) == (4 * 47_196_416, 8 * 47_196_416)


def test_dividing_parameters_gathers_blocks_to_compute_with() -> None:
    config = preset("mimo-vl-7b")
    load = Load.typical(config, 8192)
    whole, divided = (plan_memory(config, load, spread=Spread(shards=shards, compute=2)) for shards in (1, 64))
    for field in ("parameters", "gradients", "optimizer"):
        assert getattr(divided, field) == getattr(whole, field) / 64
    assert divided.activations == whole.activations
    kept = plan_memory(config, load, spread=Spread(shards=64, reshard=False, compute=2))
    assert kept.gathered > 2 * 8.3e9 > divided.gathered > 0
    assert plan_memory(config, load, spread=Spread()).gathered == 0, "alone in float32 there is nothing to gather"


def test_checkpointing_saves_more_the_more_it_repeats() -> None:
    config = preset("mimo-vl-7b")
    load = Load.typical(config, 8192)
    none, selective, full = (
        activation_bytes(config, load, checkpointing=how, width=2)[0] for how in ("none", "selective", "full")
    )
    assert none > 1.4 * selective > 10 * full
