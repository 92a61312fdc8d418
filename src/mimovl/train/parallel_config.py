"""What a recipe says about spreading a stage over processes and keeping it in their memory.

    parallel: {fsdp: full, activation_checkpointing: full, dtype: bfloat16}        at the top, for every stage
    stages: [{name: long-context, parallel: {context_parallel: 4, …}, …}]          or in a stage, instead of the top's

``mimovl train`` and ``mimovl run`` follow it. Every default is one process in float32. A pack is the unit: a step's
packs are divided among the processes, each takes ``micro_packs`` of its own at a time, and gradients add up to those of
one process that takes them all.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator

from mimovl.recipe_model import RecipeModel

__all__ = ["ParallelConfig", "torch_dtype"]

Size = Annotated[int, Field(ge=1)]
Precision = Literal["float32", "bfloat16"]


def torch_dtype(name: Precision) -> torch.dtype:
    """Torch's object of a recipe's word."""
    dtype: torch.dtype = getattr(torch, name)
    return dtype


class ParallelConfig(RecipeModel):
    """How many processes share a stage, what they share, and in which precision."""

    data_parallel: Size | None = None
    """Processes, or groups of context_parallel processes, that share each step's packs; unset: all there are."""
    context_parallel: Size = 1
    """Processes that share the tokens of each pack: their activations and attention are divided, parameters are not."""
    fsdp: Literal["off", "full", "hybrid"] = "off"
    """Parameters, gradients and optimizer states: whole in every process (off), divided among all (full), or divided
    within groups of shard_size and repeated from group to group (hybrid)."""
    shard_size: Size | None = None
    """Processes of a group that divides parameters in hybrid; unset: those of one machine."""
    reshard_after_forward: bool = True
    """Drop gathered parameters of a block after its forward pass and gather them again for its backward pass."""
    micro_packs: Size = 1
    """Packs a process computes at once; the rest of its share follows, and gradients add up."""
    activation_checkpointing: Literal["none", "selective", "full"] = "none"
    """What of a block is computed again in the backward pass instead of kept: nothing, all but matrix products and
    attention (selective), or all of it from the block's input (full)."""
    compile: bool = False
    """Compile each block with torch.compile."""
    dtype: Precision = "float32"
    """Of the forward and backward computation; softmax, norms and the loss are float32 always."""
    parameter_dtype: Precision = "float32"
    """Of the parameters between steps; bfloat16 ones are updated with stochastic rounding."""
    gradient_dtype: Precision = "float32"
    """In which gradients add up, over packs and over processes; where it is not that of the parameters, a gradient is
    taken out of autograd's hands as soon as it is there."""
    optimizer_dtype: Precision = "float32"
    """Of the optimizer's states; bfloat16 ones are written with stochastic rounding."""

    @property
    def own_gradients(self) -> bool:
        """Whether gradients add up in another type than their parameters'."""
        return self.gradient_dtype != self.parameter_dtype

    @property
    def is_narrow(self) -> bool:
        """Whether anything kept between steps is of another type than float32."""
        return {self.parameter_dtype, self.gradient_dtype, self.optimizer_dtype} != {"float32"}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.shard_size is not None and self.fsdp != "hybrid":
            raise ValueError(f"shard_size {self.shard_size} has a meaning only with fsdp: hybrid, not {self.fsdp!r}")
        if self.micro_packs > 1 and self.context_parallel > 1:
            raise ValueError(
                f"micro_packs {self.micro_packs} computes packs together while context_parallel "
                f"{self.context_parallel} divides each; keep one of them at 1"
            )
        if self.dtype == "float32" and self.parameter_dtype == "bfloat16":
            raise ValueError("parameter_dtype bfloat16 under dtype float32 gains nothing; set dtype: bfloat16 too")
        return self
