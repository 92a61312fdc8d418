"""The reward service on several machines: the application of ``app`` as replicas of a Ray Serve deployment.

    serve run mimovl.reward.ray_serve:build config=service.yaml replicas=4

Each replica is a whole service, with limits, workers and memory of its own; Ray routes requests, replaces replicas that
die and drains those it stops. A request whose replica dies is answered 500, and the client sends it again. A retry may
reach another replica, which does not know its id and grades it anew: the same reward, because rewards are pure. Files
that the configuration names must lie at the same path on every machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mimovl.errors import MimovlError, MissingExtraError, UsageError
from mimovl.reward.app import create_app
from mimovl.reward.service import RewardService
from mimovl.reward.service_config import TOKEN_VARIABLE, ServiceConfig, load_service_config
from mimovl.suggest import nearest

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["DEPLOYMENT", "RewardReplica", "build", "deployment"]

DEPLOYMENT = "mimovl-rewards"

REQUESTS_AT_ONCE = 256
"""Of one replica; beyond its own queue it refuses with 429, which says more than Ray's waiting would."""

HEALTH_SECONDS = 10.0


class _Arguments(BaseModel):
    """What may stand behind ``serve run mimovl.reward.ray_serve:build``."""

    model_config = ConfigDict(extra="forbid")

    config: str = ""
    replicas: Annotated[int, Field(ge=1)] = 2
    workers: Annotated[int, Field(ge=1)] | None = None


class RewardReplica:
    """One replica.

    Args:
        config: rewards and limits.
        token: that requests must carry, where the configuration names no file with one.

    Raises:
        UsageError: a reward function or model cannot be loaded.
    """

    def __init__(self, config: ServiceConfig, token: str = "") -> None:
        if token:
            os.environ[TOKEN_VARIABLE] = token
        self.service = RewardService(config)
        self._application = create_app(config, self.service)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Ray Serve; the workers start with the application."""
        return self._application

    def check_health(self) -> None:
        """Called by Ray Serve, which replaces a replica that raises here several times.

        Raises:
            MimovlError: there is nobody to grade.
        """
        if self.service.started and (reason := self.service.not_ready()):
            raise MimovlError(reason)


def deployment(config: ServiceConfig, *, replicas: int, token: str = "") -> Any:
    """The service as a Ray Serve application, for ``serve.run``.

    Args:
        config: rewards and limits of each replica; it reserves ``config.workers`` processors.
        replicas: how many.
        token: see ``RewardReplica``.

    Raises:
        MissingExtraError: the ``ray`` extra is not installed.
    """
    try:
        from ray import serve
    except ImportError:
        raise MissingExtraError("ray", "ray", "the reward service on several machines") from None
    replica = serve.deployment(
        serve.ingress()(RewardReplica),
        name=DEPLOYMENT,
        num_replicas=replicas,
        max_ongoing_requests=REQUESTS_AT_ONCE,
        ray_actor_options={"num_cpus": config.workers},
        graceful_shutdown_timeout_s=config.drain_seconds,
        health_check_period_s=HEALTH_SECONDS,
    )
    return replica.bind(config, token)


def build(arguments: Mapping[str, Any]) -> Any:
    """Make the application from the words after ``serve run mimovl.reward.ray_serve:build``.

    Args:
        arguments: ``config``, a YAML file; ``replicas``, 2 unless said; ``workers`` of each, in place of the file's.

    Raises:
        UsageError: an argument is unknown or no whole number, or the configuration names something that is not there.
        RecipeError: the configuration cannot be read as written.
        MissingExtraError: the ``ray`` extra is not installed.
    """
    try:
        given = _Arguments.model_validate(dict(arguments))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        known = list(_Arguments.model_fields)
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{name}: unknown argument{nearest(name, known)}; known: {', '.join(known)}") from None
        raise UsageError(f"{name}={first['input']!r}: {first['msg']}") from None
    config = load_service_config(given.config or None, workers=given.workers)
    return deployment(config, replicas=given.replicas, token="" if config.token_file else config.token())
