"""The application: a route for each endpoint of each model, health, readiness, metrics, OpenAPI."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, get_args

from fastapi import FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException

from precisionflow import __version__
from precisionflow.records.arithmetic import Arithmetic
from precisionflow.serving.answers.contract import Contract
from precisionflow.serving.endpoints.endpoint import Endpoint, field_error
from precisionflow.serving.server.answering import Answering, Question
from precisionflow.serving.server.batches import Full, Late
from precisionflow.serving.server.guard import Guard, said
from precisionflow.serving.server.measures import CONTENT_TYPE, Measures

JSON = "application/json"
PAUSE = 1.0
"""Seconds between two probes while message passing does not converge."""
LOGGER = logging.getLogger("precisionflow.serving")
SILENT = TelemetryConfig(tracing=False, metrics=False, logs=False, operation_spans=False)
KINDS = {"double": "number", "long": "integer", "string": "string"}


class Serving:
    """What the routes share: models, metrics, and whether the server takes questions."""

    def __init__(self, models: Sequence[Answering], measures: Measures) -> None:
        self.models = {model.name: model for model in models}
        self.measures = measures
        self.draining = self.failed = False
        self.probed = False
        """Whether every model has answered its example."""

    @property
    def unready(self) -> str | None:
        """Why no question should come here; none: it may."""
        if self.draining:
            return "the server is shutting down"
        if self.failed:
            return "a worker has ended; see the log"
        if not self.probed:
            return "the models are not warm yet"
        if stuck := [name for name, model in self.models.items() if not model.converges]:
            return f"message passing of {', '.join(stuck)} does not converge"
        return None

    @contextlib.asynccontextmanager
    async def running(self, _application: FastAPI) -> AsyncIterator[None]:
        """The workers of all models, and probes, while the application runs."""
        tasks = [asyncio.create_task(model.batches.run()) for model in self.models.values()]
        tasks.append(asyncio.create_task(self._probe()))
        for task in tasks:
            task.add_done_callback(self._ended)
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for model in self.models.values():
            model.batches.close()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            self.failed = True
            LOGGER.error("a worker has ended", exc_info=task.exception())

    async def _probe(self) -> None:
        """Warm every model; while one does not converge, ask it again, since nobody else will."""
        while True:
            for model in self.models.values():
                if not self.probed or not model.converges:
                    with contextlib.suppress(Full, Late):
                        await self._example(model)
            self.probed = True
            await asyncio.sleep(PAUSE)

    async def _example(self, model: Answering) -> None:
        try:
            await model.probe()
        except ValueError as mistake:
            LOGGER.warning("%s: its example has no answer (%s)", model.name, mistake)


def application(models: Sequence[Answering], measures: Measures) -> tuple[FastAPI, Serving]:
    """The application and its state."""
    serving = Serving(models, measures)
    app = FastAPI(
        title="precisionflow",
        version=__version__,
        description="Predictions with their uncertainty, posteriors, policies and actions of trained models.",
        lifespan=serving.running,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        telemetry=SILENT,
    )
    _health(app, serving)
    for model in models:
        for endpoint in model.endpoints.values():
            _question(app, model, endpoint)
    app.add_exception_handler(HTTPException, _refused(serving))
    app.add_exception_handler(Exception, _broken)
    return app, serving


def _health(app: FastAPI, serving: Serving) -> None:
    @app.get("/healthz", summary="Whether the process answers")
    async def healthz() -> Response:
        return _json(b'{"alive":true}')

    @app.get("/readyz", summary="Whether questions should come here", responses={503: _told("Not ready")})
    async def readyz() -> Response:
        why = serving.unready
        serving.measures.ready.set(float(why is None))
        return _json(b'{"ready":true}') if why is None else _json(said(why), 503, retry=1)

    @app.get("/metrics", summary="Metrics in Prometheus' text format")
    async def metrics() -> Response:
        serving.measures.ready.set(float(serving.unready is None))
        return Response(serving.measures.text(), media_type=CONTENT_TYPE)

    @app.get("/models", summary="Models, their endpoints, the columns they take and give")
    async def models() -> dict[str, Any]:
        return {
            name: {each: _told_of(endpoint.contract) for each, endpoint in model.endpoints.items()}
            for name, model in serving.models.items()
        }


def _question(app: FastAPI, model: Answering, endpoint: Endpoint) -> None:
    labels = model.name, endpoint.name

    async def ask(request: Request) -> Response:
        request.scope.setdefault("state", {})["question"] = labels
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != JSON:
            return _json(
                said(f"content-type: given {kind or 'none'}; send {JSON}", field="content-type"), 415
            )
        try:
            return _json(await model.answer(endpoint, model.question(endpoint, await request.body())))
        except Full as full:
            told = f"the queue is full; come again in {full.seconds} s"
            return _json(said(told), 503, retry=full.seconds)
        except Late:
            told = "deadline: it passed before there was a worker; ask again or allow more"
            return _json(said(told, field="deadline"), 504)
        except ValueError as mistake:
            found = field_error(mistake, otherwise="columns")
            return _json(said(str(found), field=found.field), 400 if found.field == "body" else 422)

    app.add_api_route(
        f"/models/{model.name}/{endpoint.name}",
        ask,
        methods=["POST"],
        summary=f"{endpoint.name} of {model.name}",
        operation_id=f"{endpoint.name}_{model.name}",
        responses={
            200: {
                "description": "Columns of the answer",
                "content": {JSON: {"schema": _answer(endpoint.contract)}},
            },
            **{
                status: _told(text)
                for status, text in {
                    400: "No JSON",
                    408: "The body did not come",
                    413: "Too large",
                    415: "Not JSON by its content type",
                    422: "A field that is wrong",
                    503: "The queue is full: Retry-After says when to come again",
                    504: "The deadline passed in the queue",
                }.items()
            },
        },
        openapi_extra={
            "requestBody": {"required": True, "content": {JSON: {"schema": _asked(endpoint.contract)}}}
        },
    )


def _json(content: bytes, status: int = 200, *, retry: int | None = None) -> Response:
    headers = None if retry is None else {"Retry-After": str(retry)}
    return Response(content, status, headers, media_type=JSON)


def _refused(serving: Serving) -> Any:
    """404 and 405 say what there is."""

    async def handler(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code != 404:
            return _json(said(f"{request.method} {request.url.path}: {error.detail}"), error.status_code)
        parts = request.url.path.removeprefix("/").split("/")
        if parts[0] == "models" and len(parts) > 1 and parts[1] not in serving.models:
            there = ", ".join(serving.models)
            return _json(said(f"model: given {parts[1]!r}; there are {there}", field="model"), 404)
        if parts[0] == "models" and len(parts) == 3:
            there = ", ".join(serving.models[parts[1]].endpoints)
            return _json(said(f"endpoint: given {parts[2]!r}; {parts[1]} has {there}", field="endpoint"), 404)
        return _json(said(f"{request.url.path}: is no path of this server; /openapi.json lists them"), 404)

    return handler


async def _broken(request: Request, error: Exception) -> Response:
    """A defect: told in the log alone."""
    LOGGER.error("%s %s", request.method, request.url.path, exc_info=error)
    return _json(said("the server failed on this question; its log says why"), 500)


def _told(text: str) -> dict[str, Any]:
    properties = {"error": {"type": "string"}, "field": {"type": ["string", "null"]}}
    return {"description": text, "content": {JSON: {"schema": {"type": "object", "properties": properties}}}}


def _told_of(contract: Contract) -> dict[str, Any]:
    params = {name: default for name, (_, default) in contract.params.items()}
    return {"columns": contract.inputs, "answers": contract.outputs, "params": params}


def _asked(contract: Contract) -> dict[str, Any]:
    """The schema of a body: that of `Question` with the columns and the parameters of the endpoint."""
    schema = Question.model_json_schema()
    kinds: Mapping[str, Any] = {name: _column(kind) for name, kind in contract.inputs.items()}
    schema["properties"]["columns"] |= {"properties": kinds, "required": list(kinds)}
    for name in ("level", "recalibrated"):
        if name not in contract.params:
            del schema["properties"][name]
    return schema


def _answer(contract: Contract) -> dict[str, Any]:
    columns = {name: _column(kind) for name, kind in contract.outputs.items()}
    return {
        "type": "object",
        "properties": {
            "columns": {"type": "object", "properties": columns},
            "rows": {"type": "integer"},
            "arithmetic": {"enum": list(get_args(Arithmetic))},
            "iterations": {"type": "integer"},
            "converged": {"type": "boolean"},
        },
    }


def _column(kind: str | None) -> dict[str, Any]:
    cell = (
        {"type": KINDS[kind]}
        if kind in KINDS
        else {"description": kind or "number, text, truth value or date"}
    )
    return {"type": "array", "items": cell}


def guarded(models: Sequence[Answering], measures: Measures) -> tuple[Guard, Serving]:
    """The application as it is run."""
    app, serving = application(models, measures)
    return Guard(app, models[0].limits, measures), serving
