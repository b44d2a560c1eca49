"""Argo workflows of runs, made of invented nodes."""

import json
from typing import Any


def node(name: str, phase: str, **more: Any) -> dict[str, Any]:
    return {"name": f"wf.root.{name}", "phase": phase, "startedAt": "2026-01-01T00:00:00Z", **more}


def driver(name: str, *, cached: bool) -> dict[str, Any]:
    decision = {"name": "cached-decision", "value": json.dumps(cached)}
    return node(f"{name}-driver", "Succeeded", outputs={"parameters": [decision]})


def workflow(*nodes: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": spec, "status": {"nodes": {str(number): one for number, one in enumerate(nodes)}}}
