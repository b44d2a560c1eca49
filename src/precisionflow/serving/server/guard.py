"""What every HTTP request passes: its body read within bounds, requests in flight, time from headers to answer."""

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


def said(error: str, *, field: str | None = None) -> bytes:
    """The JSON text of every refusal: one line, and the field it is about."""
    return to_json({"error": " ".join(error.split()), "field": field})


class Guard:
    """The application behind bounds on bodies; questions are counted and timed, whatever becomes of them."""

    def __init__(self, application: Application, limits: Limits, measures: Measures) -> None:
        self.application, self.limits, self.measures = application, limits, measures
        self.draining = False
        """Whether connections close behind their answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        if scope["method"] != "POST":
            await self.application(scope, receive, self._closing(send))
            return
        start, status = time.perf_counter(), "499"  # the client went away

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        self.measures.in_flight.inc()
        try:
            await self._bounded(scope, receive, self._closing(counted))
        finally:
            self.measures.in_flight.dec()
            # Labels are those of a route: a client's own words would be series without end.
            labels = scope.get("state", {}).get("question", ("", ""))
            self.measures.requests.labels(*labels, status).inc()
            self.measures.seconds.labels(*labels).observe(time.perf_counter() - start)

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
        given: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def whole() -> Message:
            return given.pop() if given else await receive()

        await self.application(scope, whole, send)

    def _closing(self, send: Send) -> Send:
        """While the server drains, a connection ends with its answer, so that its client goes to another server."""

        async def last(message: Message) -> None:
            if self.draining and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        return last


async def refuse(
    send: Send,
    status: int,
    error: str,
    *,
    field: str | None = None,
    rest: Receive | None = None,
    wait: float = 0.0,
) -> None:
    """Answer before the body is read; the connection ends, since what follows on it is the rest of the body.

    The `rest` is thrown away as it comes, for `wait` seconds at most: a connection that is closed in its midst is
    reset, and a client that has not read yet never learns why.
    """
    body = said(f"{field}: {error}" if field else error, field=field)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
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
