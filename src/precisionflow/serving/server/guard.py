"""What every HTTP request passes: its body read within bounds, requests in flight, time from body to answer."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from pydantic_core import to_json

from precisionflow.serving.server.limits import Limits
from precisionflow.serving.server.measures import Measures

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Mapping[bytes, bytes]
SPARED = "spared"
"""Key of a scope's state on connections beyond the most from which questions are taken."""
PATIENCE = 1.0
"""Seconds that a client on such a connection has, to leave it to others."""


def said(error: str, *, field: str | None = None) -> bytes:
    """The JSON text of every refusal: one line, and the field it is about."""
    return to_json({"error": " ".join(error.split()), "field": field})


def crowded(limits: Limits) -> str:
    """What a question beyond the most connections is told."""
    return f"{limits.connections} connections are open, the most there may be; come again in 1 s"


class Guard:
    """The application behind bounds on bodies; questions are counted and timed, whatever becomes of them.

    A question is in flight from when it is whole until its answer begins: how long its client takes to send the one
    and to take the other is no load that more replicas would share.
    """

    def __init__(self, application: Application, limits: Limits, measures: Measures) -> None:
        self.application, self.limits, self.measures = application, limits, measures
        self.draining = False
        """Whether connections close behind their answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        spared = SPARED in scope.get("state", {})
        if scope["method"] != "POST":
            await self.application(scope, receive, _last(send) if spared else self._closing(send))
            return
        status = "499"  # the client went away

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            if spared:
                await refuse(counted, 503, crowded(self.limits), rest=receive, wait=PATIENCE, retry=1)
            else:
                await self._bounded(scope, receive, self._closing(counted))
        finally:
            self.measures.requests.labels(*_labels(scope), status).inc()

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application with a body that is whole; 413 for one that is too large, 408 for one that does not come."""
        stated = dict(scope["headers"]).get(b"content-length", b"")
        most, wait = self.limits.body, self.limits.receive
        if stated.isdigit() and int(stated[:20]) > most:
            told = f"given {stated[:20].decode()} bytes; {most} are the most, ask in parts"
            await refuse(send, 413, told, field="body", rest=receive, wait=wait)
            return
        body = bytearray()
        try:
            async with asyncio.timeout(wait):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return
                    body += message.get("body", b"")
                    if len(body) > most:
                        told = f"more than {most} bytes, the most there may be; ask in parts"
                        await refuse(send, 413, told, field="body", rest=receive, wait=wait)
                        return
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            await refuse(send, 408, f"not there after {wait:g} s; send it at once", field="body")
            return
        await self._asked(scope, bytes(body), receive, send)

    async def _asked(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """The application with a whole body, counted as in flight and timed until its answer begins."""
        given: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        start, answered = time.perf_counter(), False

        async def whole() -> Message:
            return given.pop() if given else await receive()

        def end() -> None:
            nonlocal answered
            if not answered:
                answered = True
                self.measures.in_flight.dec()
                self.measures.seconds.labels(*_labels(scope)).observe(time.perf_counter() - start)

        async def timed(message: Message) -> None:
            end()
            await send(message)

        self.measures.in_flight.inc()
        try:
            await self.application(scope, whole, timed)
        finally:
            end()

    def _closing(self, send: Send) -> Send:
        """While the server drains, a connection ends with its answer, so that its client goes to another server."""
        return _last(send, lambda: self.draining)


def _last(send: Send, holds: Callable[[], bool] = lambda: True) -> Send:
    """The connection ends with an answer that begins while it `holds`."""

    async def last(message: Message) -> None:
        if message["type"] == "http.response.start" and holds():
            message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
        await send(message)

    return last


def _labels(scope: Scope) -> tuple[str, str]:
    """Model and endpoint of a route, empty of none: a client's own words would be series without end."""
    return scope.get("state", {}).get("question", ("", ""))  # type: ignore[no-any-return]


async def refuse(
    send: Send,
    status: int,
    error: str,
    *,
    field: str | None = None,
    rest: Receive | None = None,
    wait: float = 0.0,
    retry: int | None = None,
) -> None:
    """Answer before the body is read; the connection ends, since what follows on it is the rest of the body.

    The `rest` is thrown away as it comes, for `wait` seconds at most: a connection that is closed in its midst is
    reset, and a client that has not read yet never learns why.
    """
    body = said(f"{field}: {error}" if field else error, field=field)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if retry is not None:
        headers.append((b"retry-after", str(retry).encode()))
    await send(
        {"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]}
    )
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if rest is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while (await rest()).get("more_body", False):
                    pass
    await send({"type": "http.response.body", "body": b""})
