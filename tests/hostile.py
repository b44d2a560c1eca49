"""Texts that a user may write and that no shell, YAML reader or template engine may act upon."""

from pathlib import Path

CANARY = "touched-by-a-shell"
"""A file of this name appears where a text was run by a shell."""

TEXTS = (
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f"'; touch {CANARY}; '",
    f'" && touch {CANARY} && "',
    f"x | touch {CANARY} # rest",
    "two\nlines: {a: b}\n---\nthird: !!null",
    "{{workflow.name}} {{pod.name}} {{inputs.parameters.component}}",
    "{{$}} {{$.inputs.parameters['destination']}} {{$.json_escape[1]}}",
    "{{{{workflow.name}}}} {{=sprig.env('PATH')}}",
    "${trialParameters.x} ${trialSpec.Name}",
    f"!!python/object/apply:os.system ['touch {CANARY}']",
    "- &anchor *anchor <<: %TAG ! tag:",
    "--config=/etc/passwd",
    "-rf",
    '\\"\\u007b\\u007b\\n\\',
    "$(MLFLOW_TRACKING_PASSWORD) $$(HOME) $(PATH)",
    "$MLFLOW_TRACKING_PASSWORD ${HOME} $$ %s %(name)s {0} {name}",
    "python3 -m precisionflow",
    "<script>alert('x')</script>&amp;",
    "é 模 \u202e \u00a0 ~ 😀",
)
"""Each one alone; `WHOLE` is all of them in one text."""
WHOLE = "\n".join(TEXTS)

SECRETS = {
    "MLFLOW_TRACKING_PASSWORD": "canary-password-83ea",
    "AWS_ACCESS_KEY_ID": "canary-access-11f0",
    "AWS_SECRET_ACCESS_KEY": "canary-secret-97b2",
    "AWS_SESSION_TOKEN": "canary-session-c3d4",
    "KF_PIPELINES_TOKEN": "canary-token-02aa",
}
"""Set while an experiment runs; none of the values may be found afterwards."""

MODULES = (
    *("code", "numbers", "queue", "random", "statistics", "string", "test", "token", "types"),
    *("kfp", "mlflow", "numpy", "optuna", "pandas", "precisionflow", "pyarrow", "torch", "yaml"),
)
"""Names of modules that a user's own scripts may have too."""


def write_modules(folder: Path) -> Path:
    """Fill a folder with scripts that have names of modules; one that imports them fails."""
    for name in MODULES:
        (folder / f"{name}.py").write_text(
            f"raise SystemExit('{name}.py of the current folder is imported')\n"
        )
    return folder
