"""``mimovl plan``: what the stages of a recipe take in memory, time and money, before anyone starts them.

    plan = plan_recipe(load_recipe("recipes/mimo-vl-7b.yaml").recipe, gpus=128, gpu=find_gpu("h200"))
    print(plan_text(plan))

Speed is not predicted: it follows from the model FLOPs utilisation one states. What is predicted are the FLOPs
(``plan/flops.py``) and the memory (``plan/memory.py``); where a stage does not fit, the smallest change that makes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimovl.errors import UsageError
from mimovl.model import ModelConfig, preset, read_config
from mimovl.pipeline.assets import embedded_base
from mimovl.plan import PARTS, Flops, Gpu, Load, Memory, Spread, Workload, count_flops, num_parameters, plan_memory
from mimovl.recipe import Recipe
from mimovl.train.config import StageConfig
from mimovl.train.parallel_config import ParallelConfig

__all__ = ["RunPlan", "StagePlan", "plan_recipe"]

_BYTES = {"float32": 4, "bfloat16": 2}
_GPUS_OF_A_MACHINE = 8
_GIB = 1024.0**3


@dataclass(frozen=True)
class StagePlan:
    """One stage."""

    stage: StageConfig
    parallel: ParallelConfig
    workload: Workload
    config: ModelConfig
    memory: Memory
    """Of one GPU."""
    activations: dict[str, float]
    """Bytes kept from forward to backward, with each kind of checkpointing."""
    flops: dict[str, Flops]
    """Of a token, by part, on average."""
    tokens: int
    tokens_per_second: float
    """All GPUs together."""
    executed_share: float
    """Of the peak, with what is computed a second time."""
    idle: float
    """Share of the GPUs' time in which they have no pack of the step."""
    days: float
    cost: float
    fits: bool
    changes: tuple[str, ...]
    """What makes it fit, as settings of ``parallel``; empty where it fits, or where nothing does."""
    tokens_at_once: float
    """Of one GPU."""


@dataclass(frozen=True)
class RunPlan:
    """All stages of a recipe, and what they were reckoned with."""

    recipe: Recipe
    config: ModelConfig
    origin: str
    """Where the model's shape was taken from."""
    stages: tuple[StagePlan, ...]
    left_out: tuple[str, ...]
    """Steps of the recipe that are not reckoned."""
    gpus: int
    gpu: Gpu
    mfu: float
    price: float
    """Dollars an hour and GPU."""
    price_assumed: bool


def plan_recipe(
    recipe: Recipe, *, gpus: int, gpu: Gpu, mfu: float = 0.4, price_per_hour: float | None = None
) -> RunPlan:
    """Reckon every stage of a recipe; reads no data, and no weights.

    Args:
        recipe: the run.
        gpus: how many.
        gpu: which.
        mfu: model FLOPs utilisation to reckon with, of the peak in the stage's precision.
        price_per_hour: of one GPU; None takes the table's assumption.

    Raises:
        UsageError: the recipe has no stage, the GPUs cannot be divided as it says, or a figure is impossible.
    """
    if gpus < 1:
        raise UsageError(f"--gpus {gpus}: at least 1")
    if price_per_hour is not None and not 0 <= price_per_hour < math.inf:
        raise UsageError(f"--price-per-hour {price_per_hour}: dollars, 0 or more")
    if not 0 < mfu <= 1:
        raise UsageError(f"--mfu {mfu}: a share of the peak, above 0 and at most 1")
    config, origin = _shape(recipe)
    stages = [*(recipe.base.language if recipe.base else ()), *(recipe.base.reading if recipe.base else ())]
    stages += recipe.stages
    if not stages:
        raise UsageError(f"recipe {recipe.name} has no stage of training to plan")
    price = gpu.price if price_per_hour is None else price_per_hour
    left_out = [name for name, there in (("base.vision", recipe.base), ("rl", recipe.rl)) if there]
    return RunPlan(
        recipe,
        config,
        origin,
        tuple(_plan_stage(recipe, stage, config, gpus, gpu, mfu, price) for stage in stages),
        (*left_out, "data", "evaluation"),
        gpus,
        gpu,
        mfu,
        price,
        price_per_hour is None,
    )


def _shape(recipe: Recipe) -> tuple[ModelConfig, str]:
    """The model's shape and where it is from; a start that is not there yet is taken to have the preset's."""
    if recipe.base:
        shape = preset(recipe.model)
        return shape.with_vocabulary(recipe.base.tokenizer.vocab_size), f"preset {recipe.model}"
    folder = embedded_base().folder if recipe.start == "embedded" else Path(recipe.start)
    if (folder / "config.json").is_file():
        return read_config(folder), str(recipe.start)
    why = "holds no config.json" if folder.exists() else "is not there yet"
    return preset(recipe.model), f"preset {recipe.model} ({recipe.start} {why})"


def _plan_stage(
    recipe: Recipe, stage: StageConfig, config: ModelConfig, gpus: int, gpu: Gpu, mfu: float, price: float
) -> StagePlan:
    parallel, workload = recipe.parallel_of(stage), stage.workload or Workload()
    groups = _groups(stage, parallel, gpus)
    others = (workload, config, gpus)
    memory = _memory(stage, parallel, *others)
    load = _load(config, stage.length, workload)
    trained = frozenset(map(str, stage.train))
    flops = {
        part: (1 / stage.length) * work
        for part, work in count_flops(config, load, trained, checkpointing=parallel.activation_checkpointing).items()
    }
    model, executed = (sum(getattr(work, kind) for work in flops.values()) for kind in ("model", "executed"))
    busy = stage.packs / (-(-stage.packs // groups) * groups)
    speed = gpus * gpu.peak(parallel.dtype) * mfu * busy / model
    tokens = stage.steps * stage.packs * stage.length
    days = tokens / speed / 86_400
    fits = memory.total <= gpu.usable * _GIB
    return StagePlan(
        stage,
        parallel,
        workload,
        config,
        memory,
        {
            how: _memory(stage, parallel.model_copy(update={"activation_checkpointing": how}), *others).activations
            for how in ("none", "selective", "full")
        },
        flops,
        tokens,
        speed,
        mfu * executed / model,
        1 - busy,
        days,
        days * 24 * gpus * price,
        fits,
        () if fits else tuple(_changes(stage, parallel, workload, config, gpus, gpu)),
        _tokens_at_once(stage, parallel, groups),
    )


def _groups(stage: StageConfig, parallel: ParallelConfig, gpus: int) -> int:
    """How many groups of GPUs share the packs of a step."""
    groups, rest = divmod(gpus, parallel.context_parallel)
    if rest:
        raise UsageError(
            f"stage {stage.name}: {gpus} GPUs cannot be divided into groups of context_parallel "
            f"{parallel.context_parallel}; give a multiple of it"
        )
    if parallel.data_parallel not in (None, groups):
        raise UsageError(
            f"stage {stage.name}: data_parallel {parallel.data_parallel} × context_parallel "
            f"{parallel.context_parallel} needs {parallel.data_parallel * parallel.context_parallel} GPUs, --gpus "
            f"gives {gpus}; leave data_parallel unset to use all there are"
        )
    if gpus % (shards := _shards(parallel, gpus)):
        raise UsageError(
            f"stage {stage.name}: {gpus} GPUs cannot be divided into groups of shard_size {shards}; give a multiple of "
            "it, or choose a divisor"
        )
    return groups


def _shards(parallel: ParallelConfig, gpus: int) -> int:
    """GPUs that divide parameters among them; in hybrid those of a machine, where the recipe does not say."""
    if parallel.fsdp == "hybrid":
        return parallel.shard_size or min(gpus, _GPUS_OF_A_MACHINE)
    return gpus if parallel.fsdp == "full" else 1


def _tokens_at_once(stage: StageConfig, parallel: ParallelConfig, groups: int) -> float:
    """Of one GPU: no more packs than its group has of a step."""
    packs = min(parallel.micro_packs, -(-stage.packs // max(1, groups)))
    return stage.length * packs / parallel.context_parallel


def _load(config: ModelConfig, tokens: float, workload: Workload) -> Load:
    return Load.typical(config, tokens, **workload.model_dump())


def _memory(stage: StageConfig, parallel: ParallelConfig, workload: Workload, config: ModelConfig, gpus: int) -> Memory:
    """Of one GPU, which computes its share of the packs it takes at once."""
    tokens = _tokens_at_once(stage, parallel, gpus // parallel.context_parallel)
    spread = Spread(
        shards=_shards(parallel, gpus),
        reshard=parallel.reshard_after_forward,
        checkpointing=parallel.activation_checkpointing,
        compute=_BYTES[parallel.dtype],
        parameter=_BYTES[parallel.parameter_dtype],
        gradient=_BYTES[parallel.gradient_dtype],
        state=_BYTES[parallel.optimizer_dtype],
        states=_states(stage, config),
    )
    return plan_memory(config, _load(config, tokens, workload), frozenset(map(str, stage.train)), spread)


def _states(stage: StageConfig, config: ModelConfig) -> float:
    """Numbers the optimizer keeps for a trained parameter: adamw two, muon one but for the tables of tokens."""
    if stage.optimizer.name == "adamw":
        return 2.0
    counts = num_parameters(config)
    tables = counts["embeddings"] * (1 if config.language.tie_embeddings else 2) * ("language" in stage.train)
    return 1.0 + tables / sum(counts[part] for part in PARTS if part in stage.train)


def _changes(
    stage: StageConfig, parallel: ParallelConfig, workload: Workload, config: ModelConfig, gpus: int, gpu: Gpu
) -> Iterator[str]:
    """The fewest of the usual remedies, cheapest first, that make the stage fit; nothing if all of them do not."""

    def fits(updates: list[dict[str, Any]]) -> bool:
        changed = parallel.model_copy(update={key: value for update in updates for key, value in update.items()})
        return _memory(stage, changed, workload, config, gpus).total <= gpu.usable * _GIB

    chosen: list[dict[str, Any]] = []
    for update in _remedies(parallel, gpus):
        chosen.append(update)
        if fits(chosen):
            break
    else:
        return
    for update in list(chosen):
        without = [other for other in chosen if other is not update]
        if fits(without):
            chosen = without
    final = {key: value for update in chosen for key, value in update.items()}
    yield from (f"{key}: {value}" for key, value in final.items() if getattr(parallel, key) != value)


def _remedies(parallel: ParallelConfig, gpus: int) -> Iterator[dict[str, Any]]:
    """Changes that save memory, those that cost least first."""
    if parallel.fsdp == "off" and gpus > 1:
        yield {"fsdp": "full"}
    if parallel.dtype == "float32":
        yield {"dtype": "bfloat16"}
    if parallel.micro_packs > 1:
        yield {"micro_packs": 1}
    if parallel.activation_checkpointing == "none":
        yield {"activation_checkpointing": "selective"}
    if parallel.activation_checkpointing != "full":
        yield {"activation_checkpointing": "full"}
    if parallel.fsdp == "hybrid":
        yield {"fsdp": "full", "shard_size": None}
    for field in ("optimizer_dtype", "gradient_dtype", "parameter_dtype"):
        if getattr(parallel, field) == "float32":
            yield {field: "bfloat16"}
    context = parallel.context_parallel * 2
    while context <= gpus and gpus % context == 0:
        yield {"context_parallel": context, "micro_packs": 1}
        context *= 2
