"""What is done to each block before a stage: forget activations and compute them again, and compile.

    activation_checkpointing: none        keep all that the backward pass reads
                              selective   keep what matrix products and attention give, repeat the cheap rest
                              full        keep a block's input, repeat the block
    compile: true                         torch.compile, block by block: equal blocks are compiled once

Both wrap a block's ``forward`` and leave its name and parameters alone, so that checkpoints do not know of them and
FSDP's gathering stays outside.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from mimovl.model import VisionLanguageModel
from mimovl.model.attention import PackedAttention
from mimovl.train.parallel_config import ParallelConfig

__all__ = ["arrange_blocks", "no_compiler"]

_KEPT = (
    "aten::mm",
    "aten::addmm",
    "aten::bmm",
    "aten::linear",
    "aten::_scaled_dot_product_flash_attention_for_cpu",
    "aten::_scaled_dot_product_flash_attention",
    "aten::_scaled_dot_product_efficient_attention",
    "aten::_scaled_dot_product_cudnn_attention",
    "aten::_scaled_dot_product_attention_math",
    "torch_attn::_varlen_attn",
    "flash_attn::_flash_attn_varlen_forward",
)
"""Operations whose results selective checkpointing keeps."""


def no_compiler(device: torch.device) -> str:
    """Why blocks cannot be compiled for a device; empty where they can."""
    if device.type == "cuda":
        from importlib.util import find_spec

        return "" if find_spec("triton") else "Triton is not installed"
    names = [os.environ.get("CXX", ""), "g++", "clang++", "c++"]
    return "" if any(name and shutil.which(name) for name in names) else "there is no C++ compiler (g++ or clang++)"


def arrange_blocks(
    model: VisionLanguageModel,
    parallel: ParallelConfig,
    device: torch.device,
    *,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Wrap every block of the tower and the decoder as the recipe says.

    Args:
        model: whose blocks are wrapped, once.
        parallel: says how.
        device: where they will run.
        tell: shown that blocks stay uncompiled where there is no compiler; the stage goes on without.
    """
    wrap: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = []
    if parallel.activation_checkpointing != "none":
        selective = parallel.activation_checkpointing == "selective"
        options: dict[str, Any] = {"context_fn": _selective} if selective else {}
        wrap.append(lambda forward: partial(_forgetful, forward, options))
    if parallel.compile:
        if reason := no_compiler(device):
            if tell:
                tell(f"compile: blocks are not compiled: {reason}")
        else:
            _leave_segments_out()
            # Tokens and patches are another number in each pack; on a GPU a graph finds out for itself which of them.
            wrap.append(partial(torch.compile, dynamic=True) if device.type == "cpu" else torch.compile)
    for block in [*model.vision.blocks, *model.language.layers]:
        for one in wrap:
            block.forward = one(block.forward)


def _leave_segments_out() -> None:
    """Attention by segments stays out of compiled code, which would be compiled again for every layout of a pack."""
    by_segment: Any = PackedAttention.by_segment
    if not hasattr(by_segment, "_torchdynamo_disable"):
        untraced: Callable[[Any], Any] = torch.compiler.disable
        setattr(PackedAttention, "by_segment", untraced(by_segment))  # noqa: B010


def _forgetful(forward: Callable[..., Any], options: dict[str, Any], *arguments: Any, **named: Any) -> Any:
    """Only where a backward pass will follow: not while answers are sampled."""
    if not torch.is_grad_enabled():
        return forward(*arguments, **named)
    return checkpoint(forward, *arguments, use_reentrant=False, **options, **named)


def _selective() -> Any:
    return create_selective_checkpoint_contexts(_policy)  # type: ignore[no-untyped-call]


def _policy(context: Any, operation: Any, *arguments: Any, **options: Any) -> CheckpointPolicy:
    kept = operation.name().partition(".")[0] in _KEPT
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE
