"""The process of a server: its socket, clients that send or take nothing, SIGTERM with requests in flight."""

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from types import FrameType

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from precisionflow.serving.server.answering import Answering
from precisionflow.serving.server.application import Serving, guarded
from precisionflow.serving.server.guard import PATIENCE, SPARED, Guard, crowded, said
from precisionflow.serving.server.limits import Limits
from precisionflow.serving.server.measures import Measures

KEEP_ALIVE = 75
"""Seconds that an idle connection is kept: longer than balancers keep theirs."""
MOST_PORTS = 65_535
SPARE = 32
"""Connections beyond the most from which questions are taken: who asks for health is answered on them."""
GRACE = 20.0
"""Seconds beyond the deadline of a request until the process ends in spite of it."""


def bound(host: str, port: int) -> socket.socket:
    """A socket to listen at; port 0 is a free one. ValueError for an address that cannot be had."""
    if not 0 <= port <= MOST_PORTS:
        raise ValueError(f"--port: given {port}; give 0 to {MOST_PORTS}")
    with contextlib.ExitStack() as closing:
        try:
            family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            found = closing.enter_context(socket.socket(family, socket.SOCK_STREAM))
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
        except OSError as error:
            reason = error.strerror or error
            raise ValueError(
                f"--host {host} --port {port}: cannot listen there ({reason}); choose another"
            ) from None
        closing.pop_all()
        return found


def server_of(
    models: Sequence[Answering],
    measures: Measures,
    *,
    limits: Limits,
    started: Callable[[], None] = lambda: None,
) -> "Server":
    """A server; `run([socket])` answers requests until SIGTERM or Ctrl-C, and what was accepted by then too."""
    guard, serving = guarded(models, measures)
    config = uvicorn.Config(
        guard,
        http=protocol(limits),
        ws="none",
        loop="asyncio",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=int(limits.deadline + limits.receive + GRACE),
    )
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    return Server(config, guard, serving, drain=limits.drain, started=started)


class Server(uvicorn.Server):
    """Ends some time after SIGTERM, in which it goes on answering and says that it is not ready."""

    def __init__(
        self,
        config: uvicorn.Config,
        guard: Guard,
        serving: Serving,
        *,
        drain: float,
        started: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self.guard, self.serving, self.drain, self.told = guard, serving, drain, started
        self.ends = float("inf")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.told()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        self.serving.draining = self.guard.draining = True
        again = self.ends < float("inf")
        self.ends = min(self.ends, time.monotonic() + (self.drain if sig == signal.SIGTERM else 0.0))
        if again and sig == signal.SIGINT:
            self.force_exit = True

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or time.monotonic() >= self.ends


class Bounded(H11Protocol):
    """HTTP/1.1 that answers 408 where the headers of a request do not come, 503 to connections beyond the most.

    A connection whose client does not take its answer in time ends.
    """

    limits: Limits
    """Those of the server; `protocol` sets them."""
    _silent: asyncio.TimerHandle | None = None
    _untaken: asyncio.TimerHandle | None = None
    _patience: float

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience = self.limits.receive
        # so that `pause_writing` says that the client has something to take, `resume_writing` that it took all
        transport.set_write_buffer_limits(high=0)
        beyond = len(self.connections) - self.limits.connections
        if beyond > SPARE:
            self._end(503, "Service Unavailable", crowded(self.limits), b"Retry-After: 1\r\n")
            return
        if beyond > 0:
            self._patience = min(PATIENCE, self.limits.receive)
            self.app_state = {**self.app_state, SPARED: True}
        self._listen()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._heard()
        elif self.conn.trailing_data[0] and self._silent is None:
            self._listen()

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard()
        self._took()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._untaken = self.loop.call_later(self._patience, self.transport.abort)

    def resume_writing(self) -> None:
        self._took()
        super().resume_writing()

    def _took(self) -> None:
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None

    def _listen(self) -> None:
        self._silent = self.loop.call_later(self._patience, self._late)

    def _heard(self) -> None:
        if self._silent is not None:
            self._silent.cancel()
            self._silent = None

    def _late(self) -> None:
        self._silent = None
        told = f"headers: not there after {self._patience:g} s; send them at once"
        self._end(408, "Request Timeout", told)

    def _end(self, status: int, phrase: str, told: str, more: bytes = b"") -> None:
        body = said(told)
        head = (
            f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n"
        ).encode()
        with contextlib.suppress(RuntimeError):
            self.transport.write(head + more + b"\r\n" + body)
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        self._end(400, "Bad Request", f"request: {msg.removesuffix('.').lower()}; send HTTP/1.1")


def protocol(limits: Limits) -> type[Bounded]:
    """The protocol of a server with these limits."""
    return type("Bounded", (Bounded,), {"limits": limits})
