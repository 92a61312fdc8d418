"""Blocks that forget their activations or are compiled compute the same; without a compiler they say so and go on."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mimovl.model import VisionLanguageModel, attention
from mimovl.train import language_model_loss
from mimovl.train.blocks import arrange_blocks, no_compiler
from mimovl.train.parallel_config import ParallelConfig
from tests import tiny

CPU = torch.device("cpu")


def gradients(model: VisionLanguageModel) -> dict[str, torch.Tensor]:
    encoded = [tiny.processor().encode(sample) for sample in tiny.mixed()[:6]]
    language_model_loss(model, tiny.batch(encoded)).total.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def arranged(tell: Any = None, **parallel: Any) -> VisionLanguageModel:
    model = tiny.model()
    arrange_blocks(model, ParallelConfig.model_validate(parallel), CPU, tell=tell)
    return model


@pytest.mark.parametrize("how", ["selective", "full"])
def test_activations_computed_again_give_the_same_gradients_to_the_bit(how: str) -> None:
    expected = gradients(tiny.model())
    found = gradients(arranged(activation_checkpointing=how))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def kept_bytes(how: str) -> int:
    """What autograd keeps from forward to backward, parameters and inputs aside."""
    model = arranged(activation_checkpointing=how)
    encoded = [tiny.processor().encode(sample) for sample in tiny.mixed()[:6]]
    batch, kept = tiny.batch(encoded), {}
    known = {tensor.untyped_storage().data_ptr() for tensor in model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(batch)
    return sum(size for size, _ in kept.values())


def test_less_is_kept_the_more_is_computed_again() -> None:
    """Selective keeps its results in a cache of its own, which autograd's hooks do not see."""
    assert kept_bytes("full") < 0.5 * kept_bytes("none")


def test_names_of_parameters_stay(tiny_start) -> None:
    model = arranged(activation_checkpointing="full")
    assert model.state_dict().keys() == tiny.model().state_dict().keys()


def test_without_a_compiler_blocks_stay_as_they_are_and_somebody_is_told(monkeypatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    told: list[str] = []
    model = arranged(told.append, compile=True)
    assert told == ["compile: blocks are not compiled: there is no C++ compiler (g++ or clang++)"]
    assert "forward" not in vars(model.language.layers[0])
    assert no_compiler(CPU)


@pytest.mark.engines
@pytest.mark.filterwarnings("ignore")  # torch.compile warns about modules and tensors of its own
@pytest.mark.skipif(bool(no_compiler(CPU)), reason=no_compiler(CPU))
@pytest.mark.parametrize("how", ["none", "selective", "full"])
def test_compiled_blocks_give_the_same_gradients(how: str) -> None:
    expected = gradients(tiny.model())
    found = gradients(arranged(compile=True, activation_checkpointing=how))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5 * float(value.abs().max()), msg=name)


@torch.library.custom_op("tests::flash", mutates_args=())
def flash(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, a: torch.Tensor, b: torch.Tensor, m: int, n: int, c: bool
) -> torch.Tensor:
    """What compiled code sees of a flash kernel: one call, whatever the segments."""
    return q.clone()


flash.register_fake(lambda q, *_: torch.empty_like(q))


@pytest.mark.engines
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(bool(no_compiler(CPU)), reason=no_compiler(CPU))
@pytest.mark.parametrize("kernel", ["segments", "flash"])
def test_blocks_are_not_compiled_again_for_every_layout_of_a_pack(monkeypatch, kernel: str) -> None:
    """After eight times torch gives up and computes uncompiled, without a word but a warning."""
    torch._dynamo.reset()
    if kernel == "flash":
        monkeypatch.setattr(attention, "flash_attention", lambda device: torch.ops.tests.flash)
        monkeypatch.setattr(attention, "flash_takes", lambda q: True)
    model, samples = arranged(compile=True), tiny.mixed()
    packs = [samples[first : first + count] for first in range(3) for count in (2, 4, 3, 5)]
    batches = [tiny.batch([tiny.processor().encode(sample) for sample in pack]) for pack in packs]
    assert len({len(batch.cu_seqlens) for batch in batches}) == 4
    with torch.no_grad():
        for batch in batches[:3]:
            model(batch)
        with torch.compiler.set_stance("fail_on_recompile"):
            for batch in batches[3:]:
                model(batch)
