"""A stage whose parameters, gradients and optimizer states are divided among processes (PyTorch's FSDP2).

Every block is a unit: its parameters are gathered when it is needed and dropped again. One arrangement serves all:

    fsdp: full      every parameter divided among all processes
    fsdp: hybrid    divided within groups of shard_size, repeated from group to group (HSDP)
    fsdp: off       repeated everywhere: groups of one

The model is made without memory, divided, and each process then reads its own rows from the checkpoint's files: no
process ever holds the whole. Processes stay in step whatever their packs hold: a pack without a picture sends a blank
one through the vision tower (``VisionLanguageModel.sees_always``), which adds exactly nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from mimovl.errors import CheckpointError, DataError
from mimovl.model import VisionLanguageModel
from mimovl.model.hf_checkpoint import check_tied_head, hf_name, is_ignored, published_name, published_shape
from mimovl.model.shards import DTYPES, open_shard, stored_tensors
from mimovl.team import Team
from mimovl.train.blocks import arrange_blocks
from mimovl.train.config import StageConfig
from mimovl.train.context_parallel import ContextShare
from mimovl.train.distributed import Layout, agree
from mimovl.train.export import finish_sharded
from mimovl.train.loss import Objective, SummedLoss, language_model_loss
from mimovl.train.low_precision import Gradients, Noise, RoundedAdamW, local
from mimovl.train.optimizer import Groups, Optimizer, Parts
from mimovl.train.parallel_config import ParallelConfig, torch_dtype
from mimovl.train.same_start import folder_digest
from mimovl.train.sharded_muon import ShardedMuon, rows_of
from mimovl.train.spread import Checkpoints, Wish, decide
from mimovl.train.transfer import join_packs, to_device
from mimovl.types import PackedBatch

__all__ = ["ShardedSpread", "load_shards", "needs_sharding", "shard_model"]

T = TypeVar("T")


def needs_sharding(parallel: ParallelConfig) -> bool:
    """Whether a stage needs more than a team in which everybody holds the whole model in float32."""
    plain = ParallelConfig(
        data_parallel=parallel.data_parallel,
        activation_checkpointing=parallel.activation_checkpointing,
        compile=parallel.compile,
        reshard_after_forward=parallel.reshard_after_forward,
    )
    return parallel != plain


class ShardedSpread:
    """How a stage is spread with FSDP2.

    Args:
        team: all processes, joined in a process group (one process, too).
        parallel: what the recipe says.
        stage: which is spread.
        device: this process's.
        weights: checkpoint folder to read parameters from, where the model has no memory yet (meta device).
        checkpoints: where resume points go.
        seed: of the noise that rounds narrow parameters and states.
        stop_asked: whether this process was asked to end.
        tell: shown what cannot be done as asked, by the leader.

    Raises:
        RecipeError: so many processes cannot be arranged as the recipe says.
    """

    def __init__(
        self,
        team: Team,
        parallel: ParallelConfig,
        stage: StageConfig,
        *,
        device: torch.device,
        weights: Path | None,
        checkpoints: Checkpoints,
        seed: int = 0,
        stop_asked: Callable[[], bool] | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.team = team
        self.parallel = parallel
        self.checkpoints = checkpoints
        self.dtype: torch.dtype | None = torch_dtype(parallel.dtype)
        self._layout = layout = Layout.of(parallel, stage, team.size)
        self._device, self._weights, self._seed = device, weights, seed
        self._stop_asked, self._tell = stop_asked, tell if team.leads else None
        repeated = init_device_mesh(device.type, (layout.replicas, layout.shards), mesh_dim_names=("replica", "shard"))
        self._mesh = repeated if layout.replicas > 1 else repeated["shard"]
        self._shards = repeated["shard"]
        self._context: dist.ProcessGroup | None = None
        if layout.context > 1:
            lanes = init_device_mesh(device.type, (layout.data, layout.context), mesh_dim_names=("data", "context"))
            self._context = lanes["context"].get_group()
        self._lane = team.rank // layout.context
        self._gradients = Gradients(torch_dtype(parallel.gradient_dtype) if parallel.own_gradients else None)
        self._model: VisionLanguageModel | None = None

    @property
    def parameter_dtype_name(self) -> str:
        """In which parameters are kept."""
        return self.parallel.parameter_dtype

    # ------------------------------------------------------------ the model

    def prepare(self, model: VisionLanguageModel, stage: StageConfig) -> VisionLanguageModel:
        """Divide the model, fill it from the checkpoint where it is still empty, and arrange its blocks."""
        model.to(torch_dtype(self.parallel.parameter_dtype))
        arrange_blocks(model, self.parallel, self._device, tell=self._tell)
        shard_model(model, self._mesh, self.parallel)
        if self._weights is not None:
            if self.team.size > 1:  # each reads its own rows
                agree(self.team, "the weights it starts from", folder_digest(self._weights))
            load_shards(model, self._weights, self._device, self._shards.size(), self._shards.get_local_rank())
        model.sees_always = True
        self._gradients.watch(p for p in model.parameters() if p.requires_grad)
        self._model = model
        return model

    def optimizer(self, modules: Mapping[str, nn.Module], stage: StageConfig) -> Optimizer:
        """AdamW and Muon over this process's parts."""
        config, states = stage.optimizer, torch_dtype(self.parallel.optimizer_dtype)
        noise = Noise(self._seed, self._shards.get_local_rank())

        def make(adamw: Groups, matrices: Groups) -> list[torch.optim.Optimizer]:
            inner: list[torch.optim.Optimizer] = []
            if adamw and self.parallel.is_narrow:
                inner.append(RoundedAdamW(adamw, self._gradients, noise, betas=config.betas, state_dtype=states))
            elif adamw:
                inner.append(torch.optim.AdamW(adamw, betas=config.betas, eps=1e-8, fused=True))
            if matrices:
                inner.append(
                    ShardedMuon(
                        matrices,
                        self._gradients,
                        noise,
                        momentum=config.momentum,
                        weight_decay=config.weight_decay,
                        state_dtype=states,
                        group=self._shards.get_group(),
                    )
                )
            return inner

        rates = {str(part): rate for part, rate in stage.learning_rate.items()}
        return Optimizer(modules, rates, config, make=make, clip=self._clip, norms=self._norms)

    # ------------------------------------------------------------ a step

    def lanes(self, packs: int) -> list[int]:
        """Those of this process's group."""
        return list(range(self._lane, packs, self._layout.data))

    def merge(self, shares: list[T], add: Callable[[T, T], T] | None = None) -> list[T]:
        """Of all groups; of the processes of a group added up, or, where all must know the same, compared.

        Raises:
            DataError: processes that share a pack hold different ones; names both and what each holds.
        """
        gathered, size = self.team.gather(shares), self._layout.context
        groups = [gathered[first : first + size] for first in range(0, len(gathered), size)]
        merged: list[T] = []
        for number in range(len(shares)):
            for place, group in enumerate(groups):
                whole = group[0][number]
                for rank, other in enumerate(group[1:], place * size + 1):
                    if add:
                        whole = add(whole, other[number])
                    elif other[number] != whole:
                        raise DataError(
                            f"ranks {place * size} and {rank} share a pack and disagree on it: the one has {whole}, "
                            f"the other {other[number]}; give all processes the same recipe, overrides and folders"
                        )
                merged.append(whole)
        return merged

    def batches(self, packs: Sequence[PackedBatch]) -> Iterator[tuple[PackedBatch, bool]]:
        """``micro_packs`` at a time."""
        size = self.parallel.micro_packs
        for first in range(0, len(packs), size):
            yield to_device(join_packs(packs[first : first + size]), self._device), first + size >= len(packs)

    def loss(self, model: VisionLanguageModel, batch: PackedBatch, objective: Objective) -> SummedLoss:
        """Of the tokens that are this process's."""
        if self._context is None:
            return objective(model, batch)
        assert objective is language_model_loss, "no other objective is a sum over tokens that can be shared"
        return language_model_loss(model, batch, ContextShare(batch, self._context))

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:
        """Gradients are divided among the processes as they come; groups that repeat them wait for the last."""
        model = self._model
        assert isinstance(model, FSDPModule)
        if self._layout.replicas > 1:
            model.set_requires_all_reduce(last)
        if self._layout.shards == 1:  # what is gathered serves all packs of a step
            model.set_reshard_after_backward(last)
        loss.backward()

    def gradients(self, optimizer: Optimizer, *, seen: bool) -> None:
        """Where no pack of the step has a picture, the tower learns nothing: as one process, it is left alone."""
        if seen:
            return
        for parameter, name in optimizer.names.items():
            if name.startswith(("vision.", "projector.")):
                self._gradients.drop(parameter)

    def _clip(self, parameters: list[nn.Parameter], largest: float) -> float:
        """Global norm over all parts, in float32; one sum over the processes."""
        total = self._gradients.squared_norm(parameters, self._device)
        dist.all_reduce(total, group=self._shards.get_group())
        norm = float(total.sqrt())
        if norm > largest:
            self._gradients.scale(parameters, largest / (norm + 1e-6))
        return norm

    def _norms(self, parts: Parts) -> dict[str, float]:
        """Of each part's gradients, the same in every process: what becomes of the step is decided by them."""
        totals = torch.stack([self._gradients.squared_norm(parameters, self._device) for parameters in parts.values()])
        dist.all_reduce(totals, group=self._shards.get_group())
        norms: list[float] = totals.sqrt().tolist()
        return dict(zip(parts, self.team.broadcast(norms) if self._layout.replicas > 1 else norms, strict=True))

    def wish(self, *, due: bool) -> Wish:
        """The leader's wish to save, anybody's request to end."""
        return decide(self.team, due=due, stop=bool(self._stop_asked and self._stop_asked()))

    def finish(
        self, out: Path, model: VisionLanguageModel, side_files: Mapping[str, bytes], done: dict[str, Any]
    ) -> None:
        """Tensor after tensor is put together and written by the leader."""
        self.checkpoints.settle(out)
        finish_sharded(out, model, side_files, done, team=self.team)
        self.checkpoints.drop(out)


def shard_model(model: VisionLanguageModel, mesh: DeviceMesh, parallel: ParallelConfig) -> None:
    """Divide every block, then what is left.

    Args:
        model: with ``requires_grad`` set, on any device, in the dtype its parameters are kept in.
        mesh: (replica, shard) or shard alone.
        parallel: precision, and whether blocks are dropped after their forward pass.
    """
    compute = torch_dtype(parallel.dtype) if parallel.dtype != parallel.parameter_dtype else None
    # Angles of the vision tower stay float32, so inputs are left as they come.
    policy = MixedPrecisionPolicy(
        param_dtype=compute, reduce_dtype=torch_dtype(parallel.gradient_dtype), cast_forward_inputs=False
    )
    # What one process holds whole need not be dropped to be gathered again.
    reshard = parallel.reshard_after_forward and mesh.size(mesh.ndim - 1) > 1
    for block in [*model.vision.blocks, *model.language.layers]:
        fully_shard(block, mesh=mesh, mp_policy=policy, reshard_after_forward=reshard)
    # The loss reads the output matrix after the forward pass.
    fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=False)
    for module in model.modules():
        # Gradients are summed; the loss is divided by all labels of the step. One process alone would divide by one.
        if isinstance(module, FSDPModule) and mesh.size() > 1:
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def load_shards(model: VisionLanguageModel, folder: Path, device: torch.device, shards: int, shard: int) -> None:
    """Give a divided model memory and read its rows from a checkpoint.

    Args:
        model: divided, on the meta device.
        folder: a Hugging Face folder.
        device: where the parts go.
        shards: how many processes divide each parameter.
        shard: number of this one.

    Raises:
        CheckpointError: a tensor is missing, unknown, quantised or of another shape; names it. Or there is a head that
            is not the embedding it is said to be tied to.
    """
    config = model.config
    stored = {published_name(name): one for name, one in stored_tensors(folder).items() if not is_ignored(name)}
    if config.language.tie_embeddings:
        check_tied_head(folder, stored)
        stored.pop("lm_head.weight", None)
    wanted = {hf_name(name): (name, parameter) for name, parameter in model.named_parameters()}
    for names, what in ((wanted.keys() - stored.keys(), "missing"), (stored.keys() - wanted.keys(), "unknown")):
        if names:
            raise CheckpointError(
                f"{folder}: {len(names)} of {len(wanted)} tensors are {what}, the first is {sorted(names)[0]}; "
                "is it another architecture?"
            )
    model.to_empty(device=device)
    if config.language.tie_embeddings:
        model.language.lm_head.weight = model.language.embed_tokens.weight
    empty = dict(model.named_parameters())
    for published, (name, parameter) in wanted.items():
        one, shape = stored[published], published_shape(name, parameter, config)
        if one.shape != tuple(shape) or one.dtype not in DTYPES:
            raise CheckpointError(
                f"{one.file}: tensor {one.name} is {one.dtype} of shape {list(one.shape)}, config.json makes it a "
                f"floating-point one of shape {list(shape)}; the weights and the configuration are of different models"
            )
        target = local(empty[name].detach())
        rows = rows_of(shape[0], shards, shard)
        if rows.stop > rows.start:
            with open_shard(one.file) as file:
                target.copy_(file.get_slice(one.name)[rows].reshape(target.shape))
