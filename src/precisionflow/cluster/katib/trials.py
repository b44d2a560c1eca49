"""Trials of Katib: how they ended, and the record that the search keeps of each."""

from collections.abc import Mapping
from datetime import datetime

from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.katib.api import condition
from precisionflow.search.plan import Plan
from precisionflow.search.space import typed
from precisionflow.search.trials import NAN, State, Trial, searched_settings

ENDS = ("EarlyStopped", "Succeeded", "Failed", "Killed", "MetricsUnavailable")
"""Conditions of a trial that has ended, the one that tells most first."""
UNAVAILABLE = "unavailable"
"""Value of a metric that the trial did not print, in Katib's words."""
_STATES: dict[str, State] = {"Succeeded": "succeeded", "EarlyStopped": "stopped"}
"""Conditions of a trial that counts."""


def ending(trial: Object) -> str | None:
    """How a trial ended, one of `ENDS`; none while it has not."""
    found = condition(trial, *ENDS)
    return found["type"] if found else None


def unread(trial: Object) -> bool:
    """Whether Katib has stopped a trial and not read its metrics yet."""
    return ending(trial) == "EarlyStopped" and not trial["status"].get("observation")


def trial_of(found: Object, plan: Plan, *, cause: str) -> Trial:
    """Record of a trial that has ended; `cause` is kept where it failed."""
    end, status = ending(found), found["status"]
    metrics = {
        metric["name"]: float(value)
        for metric in (status.get("observation") or {}).get("metrics") or ()
        if (value := _extracted(metric, plan.strategies[metric["name"]])) != UNAVAILABLE
    }
    state = _STATES.get(end or "", "failed")
    assignments = {given["name"]: given["value"] for given in found["spec"]["parameterAssignments"]}
    return Trial(
        name=found["metadata"]["name"],
        state=state,
        settings=searched_settings(plan.template, assignments),
        parameters={p.name: typed(assignments[p.name], p) for p in plan.parameters},
        metrics=metrics,
        value=metrics.get(plan.metric, NAN) if state != "failed" else NAN,
        seconds=_seconds(status),
        cause=cause if state == "failed" else "",
    )


def _extracted(metric: Mapping[str, str], strategy: str) -> str:
    """Lowest, highest or latest value of a metric, as the objective asks; the latest where that is no number."""
    value = metric[strategy]
    return metric["latest"] if value == UNAVAILABLE else value


def _seconds(status: Object) -> float:
    """Time from start to completion; NaN where Katib did not note both."""
    if not (status.get("startTime") and status.get("completionTime")):
        return NAN
    start, end = (datetime.fromisoformat(status[name]) for name in ("startTime", "completionTime"))
    return (end - start).total_seconds()
