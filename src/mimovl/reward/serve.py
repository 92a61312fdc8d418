"""Run the reward service under uvicorn: ``mimovl reward serve --port 8000``.

On SIGTERM or Ctrl-C the service drains: its address still answers, new requests with 503 and Retry-After, those in
flight with their rewards; then it ends with exit code 0. A second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from types import FrameType

from mimovl.errors import MissingExtraError, UsageError
from mimovl.reward.app import create_app
from mimovl.reward.service import RewardService
from mimovl.reward.service_config import load_service_config

__all__ = ["serve"]

BACKLOG = 2048


def serve(port: int, *, host: str = "127.0.0.1", config: Path | str | None = None, workers: int | None = None) -> None:
    """Serve until a signal says to stop.

    Args:
        port: 0 lets the system choose; the address is printed once requests can be sent.
        host: the address to listen on.
        config: a YAML file, see ``service_config``.
        workers: grading processes, in place of what the file says.

    Raises:
        UsageError: the address cannot be had, or the configuration names something that is not there.
        RecipeError: the configuration cannot be read as written.
        MissingExtraError: the ``serve`` extra is not installed.
    """
    try:
        import uvicorn
    except ImportError:
        raise MissingExtraError("uvicorn", "serve", "the reward service") from None
    loaded = load_service_config(config, workers=workers)
    asked = bool(loaded.token())  # before anything is started that an error would have to end
    service = RewardService(loaded)
    app = create_app(loaded, service)

    class Server(uvicorn.Server):
        """Drains before it stops listening."""

        _draining: asyncio.Task[None] | None = None

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            """Start the workers, listen, and say so."""
            await service.start()  # here and not in the application's start, whose errors uvicorn prints as tracebacks
            await super().startup(sockets)
            while service.not_ready() and not service.draining:
                await asyncio.sleep(0.02)
            _announce(sock, loaded.workers, asked)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """The first signal drains, the second ends at once."""
            if self._draining is not None:
                self.should_exit = self.force_exit = True
                return
            loop = asyncio.get_running_loop()
            self._draining = loop.create_task(self._drain())

        async def _drain(self) -> None:
            await service.drain()
            self.should_exit = True

    sock = _listen(host, port)
    settings = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on", server_header=False)
    with sock:
        Server(settings).run([sock])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise UsageError(f"cannot listen on {host} port {port}: {reason}; choose another --port or --host") from None


def _announce(sock: socket.socket, workers: int, token: bool) -> None:
    host, port = sock.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"reward service on http://{shown}:{port} ({workers} workers, process {os.getpid()})", flush=True)
    if not token and not host.startswith("127.") and host != "::1":
        print(f"warning: {host} can be reached from elsewhere and no token is asked; set token_file", file=sys.stderr)
