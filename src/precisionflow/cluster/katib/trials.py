"""Trials of Katib: how they ended, and the record that the search keeps of each."""

from datetime import datetime

from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.katib.api import condition
from precisionflow.records.search import NAN, State, Trial
from precisionflow.search.metric_lines import observed
from precisionflow.search.study import Study
from precisionflow.search.trial import trial_record

ENDS = ("EarlyStopped", "Succeeded", "Failed", "Killed", "MetricsUnavailable")
"""Conditions of a trial that has ended, the one that tells most first."""
_STATES: dict[str, State] = {"Succeeded": "succeeded", "EarlyStopped": "stopped"}
"""Conditions of a trial that counts."""


def ending(trial: Object) -> str | None:
    """How a trial ended, one of `ENDS`; none while it has not."""
    found = condition(trial, *ENDS)
    return found["type"] if found else None


def unread(trial: Object) -> bool:
    """Whether Katib has stopped a trial and not read its metrics yet."""
    return ending(trial) == "EarlyStopped" and not trial["status"].get("observation")


def trial_of(found: Object, study: Study, *, end: int, cause: str) -> Trial:
    """Record of a trial that has ended; `cause` is kept where it failed.

    `end` is its index in the order of ends, and stands for its number until all trials are made.
    """
    status, strategies = found["status"], study.spec.objective.strategies
    values = {
        metric["name"]: observed(metric, strategies[metric["name"]])
        for metric in (status.get("observation") or {}).get("metrics") or ()
    }
    return trial_record(
        study,
        name=found["metadata"]["name"],
        number=end,
        end=end,
        state=_STATES.get(ending(found) or "", "failed"),
        assignments={given["name"]: given["value"] for given in found["spec"]["parameterAssignments"]},
        metrics={name: value for name, value in values.items() if value is not None},
        seconds=_seconds(status),
        cause=cause,
    )


def _seconds(status: Object) -> float:
    """Time from start to completion; NaN where Katib did not note both."""
    if not (status.get("startTime") and status.get("completionTime")):
        return NAN
    start, end = (datetime.fromisoformat(status[name]) for name in ("startTime", "completionTime"))
    return (end - start).total_seconds()
