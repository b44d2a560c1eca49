"""Trained models behind an HTTP server, from their addresses to the last answer."""

import gc
import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path

from precisionflow.console import note, say
from precisionflow.records.arithmetic import ArithmeticCard
from precisionflow.report.tables import Entry, Table
from precisionflow.serving.model import ServedModel, load_predictor
from precisionflow.serving.server.limits import Limits

NAMED = re.compile(r"([A-Za-z0-9][\w.-]*)=(.+)", re.DOTALL)
MOST_THREADS = 1024


def serve_models(
    models: Sequence[str],
    *,
    only: Sequence[str],
    host: str,
    port: int,
    limits: Limits,
    threads: int,
    data: Path | None,
    evaluation: Path | None,
    store: Path | None,
) -> None:
    """Load the models, say where they answer, and answer until the process is told to end.

    `models` are those of `load_predictor`, each may be named as NAME=MODEL. ValueError for every mistake, before
    anything listens.
    """
    loaded = _loaded(models, data=data, evaluation=evaluation, store=store, threads=threads)

    from precisionflow.serving.arithmetic.kept import kept
    from precisionflow.serving.endpoints.assembled import endpoints_of, named
    from precisionflow.serving.server.answering import Answering
    from precisionflow.serving.server.measures import Measures
    from precisionflow.serving.server.process import bound, server_of

    measures, answering = Measures(), []
    for name, address, model in loaded:
        measured, told = kept(address)
        if told:
            note(told)
        endpoints = named(endpoints_of(model, measured=measured), only, name=name)
        answering.append(Answering(name, endpoints, limits=limits, measures=measures))
    with bound(host, port) as listening:
        where = f"http://{_address(host)}:{listening.getsockname()[1]}"

        def started() -> None:
            for each in answering:
                for endpoint in each.endpoints:
                    say(f"POST {where}/models/{each.name}/{endpoint}")
            if not _is_loopback(host):
                note(f"whoever reaches {where} may ask: there is no login")

        # What is there now stays: a collection that went through it, torch's too, would stop all answers for 0.2 s.
        gc.collect()
        gc.freeze()
        server_of(answering, measures, limits=limits, started=started).run([listening])
    say("every accepted request is answered")


def calibrate(
    models: Sequence[str], *, threads: int, data: Path | None, evaluation: Path | None, store: Path | None
) -> list[Table]:
    """Measure the arithmetics of each model and keep the table beside it; the tables. ValueError as `measure`."""
    loaded = _loaded(models, data=data, evaluation=evaluation, store=store, threads=threads)

    from precisionflow.serving.arithmetic.kept import measure

    tables = []
    for _, address, model in loaded:
        card, file = measure(address, model, data=data)
        note(f"written to {file}")
        tables.append(_table(card))
    return tables


def _table(card: ArithmeticCard) -> Table:
    """A row for each arithmetic and number of rows."""
    heads = ("arithmetic", "rows", "median", "95 %", "faster", "error", "excess NLL")
    rows = [
        (
            variant.arithmetic,
            str(timed.rows),
            f"{1e3 * timed.median:.3g} ms",
            f"{1e3 * timed.most:.3g} ms",
            "yes" if timed.faster else "",
            f"{variant.error:.2g}",
            f"{variant.excess_nll:.2g}",
        )
        for variant in card.variants
        for timed in variant.times
    ]
    return Table(card.machine, tuple(map(Entry, heads)), tuple(tuple(map(Entry, row)) for row in rows))


def _loaded(
    models: Sequence[str], *, data: Path | None, evaluation: Path | None, store: Path | None, threads: int
) -> list[tuple[str, str, ServedModel]]:
    """(name, address, model) of each; ValueError for one that is not there, and for a name of two."""
    if not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"--threads: given {threads}; give 1 to {MOST_THREADS}")
    if len(models) > 1 and (data or evaluation):
        raise ValueError("--data, --evaluation: belong to one model; serve the others by themselves")
    given = {"data": data, "evaluation": evaluation, "store": store}
    named = [_named(model) for model in models]
    _check_names([name for name, _ in named if name])
    found = [(name, address, load_predictor(address, **given)) for name, address in named]

    import torch

    torch.set_num_threads(threads)
    loaded = [(name or _usual(model), address, model) for name, address, model in found]
    _check_names([name for name, *_ in loaded])
    return loaded


def _check_names(names: Sequence[str]) -> None:
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]}: is the name of two models; name one, such as first=MODEL")


def _named(text: str) -> tuple[str | None, str]:
    """(the name that stands before =, the model)."""
    found = NAMED.fullmatch(text)
    return (found[1], found[2]) if found and not Path(text).exists() else (None, text)


def _usual(model: ServedModel) -> str:
    from precisionflow.tracking.registry import model_name

    card = model.predictor.experiment_card
    return model_name(card.experiment, card.experiment.dataset)


def _address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
