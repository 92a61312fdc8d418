"""What ``mimovl reward serve --config FILE`` may say: rewards of one's own, limits, the token.

    workers: 4
    functions: {haiku: rewards.py:haiku}                  # (sample, text) -> Verdict, beside this file
    models:
      multimodal_rlhf: {load: my_package.rm:load, arguments: {path: rm/}}
    kinds: {chart_qa: number}
    token_file: token.txt

Every key has a default. Paths are relative to the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import Field, field_validator

from mimovl.errors import UsageError
from mimovl.load_object import load_object
from mimovl.recipe_load import load_model
from mimovl.recipe_model import RecipeModel
from mimovl.reward.router import MICRO_BATCH, RewardFunction, RewardModel
from mimovl.suggest import nearest
from mimovl.verify import KINDS

__all__ = ["TOKEN_VARIABLE", "ModelConfig", "ServiceConfig", "load_object", "load_service_config"]

TOKEN_VARIABLE = "MIMOVL_REWARD_TOKEN"
"""Environment variable with the bearer token, for the service and for its clients."""

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class ModelConfig(RecipeModel):
    """A reward model of the service."""

    load: str
    """What makes it: package.module:function or file.py:function; called with ``arguments``, gives a RewardModel."""
    arguments: dict[str, Any] = {}
    """Keyword arguments of that call."""


class ServiceConfig(RecipeModel):
    """Rewards and limits of a reward service."""

    workers: Count = Field(default_factory=lambda: max(2, os.cpu_count() or 1))
    """Processes that grade."""
    functions: dict[str, str] = {}
    """Task → reward of one's own, package.module:function or file.py:function; it runs in the workers."""
    models: dict[str, ModelConfig] = {}
    """Task → reward model; runs in the service's own process."""
    kinds: dict[str, str] = {}
    """Task → kind of its gold answers, where they come without one."""
    micro_batch: Count = MICRO_BATCH
    """Conversations a reward model is handed at once, gathered over requests."""
    gather_seconds: Annotated[float, Field(ge=0)] = 0.01
    """How long a reward model waits for its micro-batch to fill."""
    max_items: Count = 1024
    """Items of one request; more are refused with 413."""
    max_body_bytes: Count = 32 << 20
    """Size of one request; a larger one is refused with 413."""
    max_queued_items: Count = 8192
    """Items admitted and not yet answered; requests beyond are refused with 429 and Retry-After."""
    body_seconds: Seconds = 30.0
    """For a request's body to arrive; a slower one is refused with 408."""
    request_seconds: Seconds = 120.0
    """For a request to be answered; a slower one gets 504, and its result if it asks again under the same id."""
    item_seconds: Seconds = 10.0
    """By the clock, for one item in a worker; then it is NOT_GRADED and the worker replaced."""
    item_cpu_seconds: Seconds = 2.0
    """Of the worker's own time, for one item; then it is NOT_GRADED and the worker replaced."""
    item_attempts: Count = 3
    """Workers an item may end before it is NOT_GRADED: a worker can also be killed for what is not the item's fault."""
    worker_memory_mb: Count = 2048
    """Memory a worker may take beyond what it starts with."""
    drain_seconds: Seconds = 60.0
    """For requests in flight to be answered after SIGTERM."""
    kept_answers: Annotated[int, Field(ge=0)] = 65536
    """Items whose answers are kept for retries under the same request id."""
    token_file: str = ""
    """File with the bearer token that requests must carry; without it MIMOVL_REWARD_TOKEN; else none is asked."""

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: dict[str, str]) -> dict[str, str]:
        for task, kind in kinds.items():
            if kind not in KINDS:
                known = ", ".join(KINDS)
                raise ValueError(f"task {task!r}: unknown kind {kind!r}{nearest(kind, KINDS)}; known: {known}")
        return kinds

    def token(self) -> str:
        """The bearer token, or nothing.

        Raises:
            UsageError: the file cannot be read or is empty.
        """
        if not self.token_file:
            return os.environ.get(TOKEN_VARIABLE, "").strip()
        try:
            token = Path(self.token_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"token_file {self.token_file} cannot be read ({error})") from None
        if not token:
            raise UsageError(f"token_file {self.token_file} is empty; write the token into it")
        return token

    def load_models(self) -> dict[str, RewardModel]:
        """The reward models, loaded.

        Raises:
            UsageError: one names something that is not there or is no RewardModel.
        """
        models: dict[str, RewardModel] = {}
        for task, entry in self.models.items():
            model = load_object(entry.load, f"models.{task}.load")(**entry.arguments)
            if not callable(getattr(model, "score", None)):
                raise UsageError(f"models.{task}: {entry.load} gave {type(model).__name__}, which has no method score")
            models[task] = cast(RewardModel, model)
        return models

    def load_functions(self) -> dict[str, RewardFunction]:
        """The reward functions, loaded.

        Raises:
            UsageError: one names something that is not there.
        """
        return {task: load_object(name, f"functions.{task}") for task, name in self.functions.items()}


def load_service_config(path: Path | str | None, *, workers: int | None = None) -> ServiceConfig:
    """Read a configuration file, whose paths are relative to its folder.

    Args:
        path: a YAML file; None for the defaults.
        workers: in place of what the file says.

    Raises:
        RecipeError: the file cannot be read as written; names file, line and field.
        UsageError: a task has a function and a model.
    """
    config = ServiceConfig() if path is None else load_model(ServiceConfig, path).recipe
    folder = Path(path).resolve().parent if path is not None else Path.cwd()
    if both := sorted(config.functions.keys() & config.models.keys()):
        raise UsageError(f"{path}: task {both[0]!r} stands under functions and under models; keep one of them")
    changes: dict[str, Any] = {
        "functions": {task: _beside(folder, name) for task, name in config.functions.items()},
        "models": {
            task: entry.model_copy(update={"load": _beside(folder, entry.load)})
            for task, entry in config.models.items()
        },
        "token_file": str(folder / config.token_file) if config.token_file else "",
    }
    if workers is not None:
        changes["workers"] = workers
    return config.model_copy(update=changes)


def _beside(folder: Path, name: str) -> str:
    file, colon, attribute = name.rpartition(":")
    return f"{folder / file}:{attribute}" if colon and file.endswith(".py") else name
