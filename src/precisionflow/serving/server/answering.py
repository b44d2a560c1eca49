"""A model behind its queue: the question that a request's body is, batches computed, convergence remembered."""

import itertools
import math
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from precisionflow.records.arithmetic import Arithmetic
from precisionflow.serving.endpoints.endpoint import Answered, Endpoint, FieldError, field_error
from precisionflow.serving.server.batches import Batches, Request
from precisionflow.serving.server.limits import Limits
from precisionflow.serving.server.measures import Measures, observe

LAST = 20
"""Batches that say whether message passing converges."""


class Question(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, list[Any]] = Field(min_length=1)
    """Name of each column -> its cells, equally many in each."""
    level: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Probability of the interval; none: 0.95."""
    recalibrated: str | None = None
    """Method of evaluation.recalibration; none: as the model states it."""
    deadline: Annotated[float, Field(gt=0, le=3600)] | None = None
    """Longest time until the answer is computed, in seconds; none: the server's."""
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Largest error of a cheaper arithmetic, in units of the stated std (of classes, of probability) where float32
    would be late; 0: float32 alone."""


class Kind(NamedTuple):
    """Requests of one kind share a batch."""

    endpoint: str
    params: tuple[tuple[str, Any], ...]
    apart: int | None = None
    """A number of its own for each request that shares a batch with none."""


class Answering:
    """The endpoints of a model, its queue, and whether its message passing converges."""

    def __init__(
        self, name: str, endpoints: Mapping[str, Endpoint], *, limits: Limits, measures: Measures
    ) -> None:
        self.name, self.endpoints, self.limits, self.measures = name, endpoints, limits, measures
        self.batches = Batches(self._compute, limits, queued=self._queued)
        self._converged: tuple[bool, ...] = ()
        self._apart = itertools.count()
        for each in endpoints.values():
            measures.begin(name, each.name)

    @property
    def converges(self) -> bool:
        """Whether most of the last batches of message passing converged; before the first they have not."""
        passing = any(each.passes_messages for each in self.endpoints.values())
        return not passing or 2 * sum(self._converged) > len(self._converged)

    def question(self, endpoint: Endpoint, body: bytes) -> Request:
        """A body as a request; FieldError for what is none."""
        asked = asked_in(body)
        given = {
            name: value for name in ("level", "recalibrated") if (value := getattr(asked, name)) is not None
        }
        for name in given:
            if name not in endpoint.contract.params:
                raise FieldError(name, f"{endpoint.name} of {self.name} takes none; leave it out")
        _of_field("recalibrated", lambda: endpoint.check(given))
        given_rows = max(map(len, asked.columns.values()))
        if given_rows > self.limits.rows:
            raise FieldError(
                "columns", f"has {given_rows} rows; {self.limits.rows} are the most, ask in parts"
            )
        rows, value = _of_field("columns", lambda: endpoint.read(asked.columns))
        apart = next(self._apart) if endpoint.apart else None
        kind = Kind(endpoint.name, tuple(sorted(given.items())), apart)
        return Request(kind, rows, value, asked.deadline or self.limits.deadline, asked.tolerance)

    async def answer(self, endpoint: Endpoint, request: Request) -> bytes:
        """The JSON text that answers a request; errors as `Batches.ask`."""
        waiting = self.measures.waiting.labels(self.name, endpoint.name)
        waiting.inc(request.rows)
        try:
            return await self.batches.ask(request)  # type: ignore[no-any-return]
        finally:
            waiting.dec(request.rows)

    async def probe(self) -> None:
        """Ask each endpoint for its example, so that the first request meets a warm model and readiness is known."""
        for endpoint in self.endpoints.values():
            columns = endpoint.example()
            if columns is not None:
                body = to_json({"columns": columns})
                await self.batches.ask(self.question(endpoint, body))

    def _queued(self, request: Request, seconds: float) -> None:
        kind = request.kind
        assert isinstance(kind, Kind)
        self.measures.queued.labels(self.name, kind.endpoint).observe(seconds)

    def _compute(self, kind: Hashable, requests: Sequence[Request]) -> list[bytes | Exception]:
        """Answers of a batch. Where one request's mistake shows only now, each is answered by itself."""
        assert isinstance(kind, Kind)
        try:
            return list(self._answers(kind, requests))
        except ValueError as mistake:
            if len(requests) == 1:
                return [mistake]
        return [answer for request in requests for answer in self._compute(kind, [request])]

    def _answers(self, kind: Kind, requests: Sequence[Request]) -> list[bytes]:
        labels, rows = (self.name, kind.endpoint), sum(request.rows for request in requests)
        start = time.perf_counter()
        endpoint = self.endpoints[kind.endpoint].at(
            rows,
            tolerance=min(request.tolerance for request in requests),
            seconds=min(request.latest for request in requests) - time.monotonic(),
        )
        answered = endpoint.answer([request.value for request in requests], dict(kind.params))
        seconds = time.perf_counter() - start
        self.measures.computing.labels(*labels).observe(seconds)
        self.measures.rows.labels(*labels).observe(rows)
        self.measures.arithmetic.labels(*labels, endpoint.arithmetic).inc()
        if len(answered.iterations):
            self.measures.iterations.labels(*labels).observe(max(answered.iterations))
        if finite := [energy for energy in answered.free_energies if math.isfinite(energy)]:
            observe(self.measures.free_energy.labels(*labels), sum(finite) / len(finite))
        if endpoint.passes_messages:
            most = not len(answered.converged) or 2 * sum(answered.converged) > rows
            self._converged = (*self._converged, most)[-LAST:]
        return list(_texts(answered, requests, endpoint.arithmetic))


def asked_in(body: bytes) -> Question:
    """The question of a body; FieldError that names the field, or says where it is no JSON."""
    try:
        return Question.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise FieldError("body", f"is no JSON ({first['ctx']['error']})") from None
        field = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in first["loc"])
        raise FieldError(
            field.removeprefix(".") or "body", first["msg"][:1].lower() + first["msg"][1:]
        ) from None


def _of_field(field: str, work: Any) -> Any:
    """What `work` gives; a ValueError that names neither field nor cell is the `field`'s."""
    try:
        return work()
    except ValueError as mistake:
        raise field_error(mistake, otherwise=field) from None


def _texts(answered: Answered, requests: Sequence[Request], arithmetic: Arithmetic) -> Iterator[bytes]:
    """The answer to each request as JSON."""
    columns: Mapping[str, list[Any]] = {
        str(name): answered.columns[name].tolist() for name in answered.columns.columns
    }
    start = 0
    for request in requests:
        end = start + request.rows
        whole = start == 0 and end == len(answered.columns)
        part = columns if whole else {name: cells[start:end] for name, cells in columns.items()}
        said: dict[str, Any] = {"columns": part, "rows": request.rows, "arithmetic": arithmetic}
        if len(answered.iterations):
            converged = all(answered.converged[start:end])
            said |= {"iterations": max(answered.iterations[start:end]), "converged": converged}
        yield to_json(said, inf_nan_mode="null")
        start = end
