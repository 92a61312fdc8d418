"""The reward service as a FastAPI application; its OpenAPI page is /docs.

    app = create_app(load_service_config("service.yaml"))        # any ASGI server; mimovl.reward.serve runs uvicorn

This file does without ``from __future__ import annotations``: FastAPI reads the annotations of the routes, and the
names in them are imported inside a function.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from mimovl import __version__
from mimovl.errors import DataError, MissingExtraError
from mimovl.reward.adapters.openrlhf import OpenRLHFRequest, OpenRLHFResponse, items_of, response_of
from mimovl.reward.gate import DIGEST, Gate, refusal_body, refusal_headers
from mimovl.reward.schema import Problem, ProblemItem, Reward, RewardItem, RewardRequest, RewardResponse, ServiceInfo
from mimovl.reward.service import Refusal, RewardService
from mimovl.reward.service_config import ServiceConfig
from mimovl.suggest import nearest

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["create_app"]

SHOWN = 5
"""Problems of a request that are listed."""

REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "The bearer token is missing or wrong."},
    408: {"model": Problem, "description": "The body did not arrive in time."},
    409: {"model": Problem, "description": "The X-Request-ID was used for another request."},
    413: {"model": Problem, "description": "Too many items, or too large a body."},
    422: {"model": Problem, "description": "A malformed request, an unknown task, a gold answer its grader rejects."},
    429: {"model": Problem, "description": "The queue is full; see Retry-After."},
    503: {"model": Problem, "description": "Shutting down; see Retry-After."},
    504: {"model": Problem, "description": "Not done in time; ask again with the same X-Request-ID."},
}


def create_app(config: ServiceConfig, service: RewardService | None = None) -> "FastAPI":
    """Make the application; its workers start and end with it.

    Args:
        config: rewards and limits.
        service: in place of a new one.

    Raises:
        UsageError: the configuration names something that is not there.
        MissingExtraError: the ``serve`` extra is not installed.
    """
    try:
        from fastapi import FastAPI, Header, Request, Response
        from fastapi.exceptions import RequestValidationError
        from fastapi.responses import JSONResponse
    except ImportError:
        raise MissingExtraError("fastapi", "serve", "the reward service") from None
    service = service or RewardService(config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="mimovl rewards",
        version=__version__,
        description="Rewards in [0, 1] for completions of any task, by rule graders and reward models.",
        lifespan=lifespan,
    )
    app.state.service = service
    app.add_middleware(Gate, service=service)

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> JSONResponse:
        return JSONResponse(refusal_body(error), error.status, headers=refusal_headers(error))

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse(refusal_body(as_refusal(error.errors())), 422)

    @app.post("/v1/rewards", responses=REFUSALS)
    async def rewards(
        request: Request,
        body: RewardRequest,
        x_request_id: Annotated[str, Header(description="Names the request, so that a retry is not new work.")] = "",
    ) -> RewardResponse:
        """Reward completions: one reward for each item, in order."""
        verdicts = await service.score(body.items, x_request_id, request.scope[DIGEST])
        return RewardResponse.model_construct(rewards=[Reward.of(verdict) for verdict in verdicts])

    @app.post("/v1/openrlhf", responses=REFUSALS)
    async def openrlhf(body: OpenRLHFRequest) -> OpenRLHFResponse:
        """Answer OpenRLHF's ``--reward.remote_url``; labels hold task and gold, see ``adapters.openrlhf``."""
        try:
            items = items_of(body)
        except DataError as error:
            raise Refusal(422, str(error)) from error
        verdicts = await service.score(items)
        return response_of(verdicts)

    @app.get("/v1/info", responses={401: REFUSALS[401]})
    async def info() -> ServiceInfo:
        """What the service rewards, and its limits."""
        return service.info()

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process lives."""
        return {"status": "ok"}

    @app.get("/readyz", responses={503: {"model": Problem, "description": "Not ready; do not send requests."}})
    async def readyz() -> dict[str, str]:
        """Whether requests can be taken."""
        if reason := service.not_ready():
            raise Refusal(503, reason, retry_after=1)
        return {"status": "ready"}

    @app.get("/metrics")
    async def metrics() -> Response:
        """Prometheus metrics."""
        text, content_type = service.metrics.text()
        return Response(text, media_type=content_type)

    return app


def as_refusal(errors: Sequence[Any]) -> Refusal:
    """What pydantic found in a body, in our words: place and field, and the nearest field to an unknown one."""
    items: dict[int, str] = {}
    messages: list[str] = []
    for error in errors:
        keys = [key for key in error["loc"] if key != "body"]
        place = "" if error["type"] == "json_invalid" else _place(keys)
        message = f"{place or 'body'}: {_what(error, keys)}"
        messages.append(message)
        if keys[:1] == ["items"] and len(keys) > 1 and isinstance(keys[1], int):
            items.setdefault(keys[1], message)
    rest = f"; and {len(messages) - SHOWN} more" if len(messages) > SHOWN else ""
    shown = [ProblemItem(index=index, message=message) for index, message in list(items.items())[:SHOWN]]
    return Refusal(422, "; ".join(messages[:SHOWN]) + rest, items=shown)


def _place(keys: Sequence[int | str]) -> str:
    """items[3].completion."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")


def _what(error: Any, keys: Sequence[int | str]) -> str:
    if error["type"] == "json_invalid":
        return f"not JSON ({error['ctx']['error']} at character {error['loc'][-1]})"
    if error["type"] == "missing":
        return "the field is missing" if keys else "missing; send JSON with Content-Type: application/json"
    if error["type"] == "extra_forbidden":
        fields = [*(RewardItem if len(keys) == 3 else RewardRequest).model_fields] if len(keys) in (1, 3) else []
        return f"unknown field{nearest(str(keys[-1]), fields)}" + (f"; known: {', '.join(fields)}" if fields else "")
    return str(error["msg"])
