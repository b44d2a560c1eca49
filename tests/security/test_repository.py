"""The repository holds no secret, and its code starts no shell and reads no code."""

import ast
import importlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CODE = [
    path for folder in ("src", "components", "pipelines") for path in sorted((ROOT / folder).rglob("*.py"))
]
SKIPPED = {".git", ".venv", "build", "dist", "runs", "mlruns", "__pycache__"}
SUFFIXES = {
    ".py",
    ".yaml",
    ".yml",
    ".md",
    ".toml",
    ".txt",
    ".json",
    ".cfg",
    ".sh",
    ".env",
    ".html",
    ".jinja",
    "",
}

PATTERNS = {
    "private key": (r"-----BEGIN [A-Z ]*PRIVATE KEY-----", "-----BEGIN RSA " + "PRIVATE KEY-----"),
    "AWS key id": (r"\b(AKIA|ASIA)[0-9A-Z]{16}\b", "AKIA" + "ABCDEFGHIJKLMNOP"),
    "GitHub token": (r"\bgh[pousr]_[A-Za-z0-9]{30,}\b", "ghp_" + "a" * 36),
    "Hugging Face token": (r"\bhf_[A-Za-z0-9]{30,}\b", "hf_" + "a" * 34),
    "Slack token": (r"\bxox[abprs]-[A-Za-z0-9-]{10,}", "xoxb-" + "1234567890-abc"),
    "web token": (
        r"\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.",
        "eyJ" + "a" * 20 + ".eyJ" + "b" * 20 + ".",
    ),
}
"""Kind of secret -> pattern, and an example of it put together here."""


def test_no_file_of_the_repository_holds_a_secret() -> None:
    for pattern, example in PATTERNS.values():
        assert re.search(pattern, example)
    found = [
        f"{path.relative_to(ROOT)}: {kind}"
        for path in _texts()
        for kind, (pattern, _) in PATTERNS.items()
        if re.search(pattern, path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not found


def test_no_secret_stands_in_yaml() -> None:
    """A Secret names what it needs; its values come from the cluster or from whoever installs."""
    assert list(_secret_values({"kind": "Secret", "metadata": {"name": "x"}, "stringData": {"key": "abc"}}))
    assert list(_secret_values({"spec": [{"env": [{"name": "DB_PASSWORD", "value": "abc"}]}]}))
    found = []
    for path in _texts():
        if path.suffix in (".yaml", ".yml"):
            for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
                found += [f"{path.relative_to(ROOT)}: {name}" for name in _secret_values(document)]
    assert not found


def _texts() -> Iterator[Path]:
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [
            name for name in folders if name not in SKIPPED and not name.endswith((".egg-info", "_cache"))
        ]
        yield from (Path(folder, name) for name in files if Path(name).suffix in SUFFIXES)


def _secret_values(node: Any) -> Iterator[str]:
    """Values of Secrets, and of variables that are called like one."""
    if isinstance(node, dict):
        if node.get("kind") == "Secret" and any(node.get(key) for key in ("data", "stringData")):
            yield f"Secret {node['metadata']['name']}"
        if re.search(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY", str(node.get("name", ""))) and node.get("value"):
            yield str(node["name"])
        for child in node.values():
            yield from _secret_values(child)
    elif isinstance(node, list):
        for child in node:
            yield from _secret_values(child)


# The code

FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "commands"}
EXCEPTIONS = {"pickle.UnpicklingError"}
"""What torch.load raises for a damaged file."""
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "pd.read_pickle",
    "tempfile.mktemp",
}
SHELLS = {"sh", "bash", "/bin/sh", "/bin/bash"}

DANGEROUS = """
import pickle
from subprocess import run
run("ls", shell=True)
os.system("ls")
eval("1")
run(["sh", "-c", "ls"])
torch.load("x")
np.load("x", allow_pickle=True)
yaml.load("x", yaml.Loader)
"""


def test_the_code_starts_no_shell_and_reads_no_code() -> None:
    assert sorted(line for line, _ in _dangers(ast.parse(DANGEROUS), None)) == [2, 4, 5, 6, 7, 8, 9, 10]
    found = []
    for path in CODE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [f"{path.relative_to(ROOT)}:{line}: {what}" for line, what in _dangers(tree, _module(path))]
    assert not found


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[1:] if parts[0] == "src" else ("precisionflow", *parts))


def _dangers(tree: ast.AST, module: str | None) -> Iterator[tuple[int, str]]:
    """(line, what) of every import and call that runs or reads code, or may do so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            origin = [] if isinstance(node, ast.Import) else [node.module]
            imported = {".".join(filter(None, [*origin, alias.name])) for alias in node.names} - EXCEPTIONS
            yield from ((node.lineno, name) for name in imported if name.split(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.Call):
            name, keywords = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            if name in FORBIDDEN_CALLS or keywords.get("shell", "False") != "False":
                yield node.lineno, name
            if name == "torch.load" and keywords.get("weights_only") != "True":
                yield node.lineno, name
            if keywords.get("allow_pickle", "False") != "False":
                yield node.lineno, name
            if name in ("yaml.load", "yaml.load_all", "yaml.unsafe_load") and not _safe_loader(node, module):
                yield node.lineno, name
        elif isinstance(node, ast.List | ast.Tuple) and node.elts:
            first = node.elts[0]
            if isinstance(first, ast.Constant) and first.value in SHELLS:
                yield node.lineno, ast.unparse(node)


def _safe_loader(call: ast.Call, module: str | None) -> bool:
    """Whether a call of yaml.load names a loader that makes nothing but plain data."""
    if module is None or len(call.args) < 2:
        return False
    loader = getattr(importlib.import_module(module), ast.unparse(call.args[1]), None)
    return isinstance(loader, type) and issubclass(loader, yaml.constructor.SafeConstructor)
