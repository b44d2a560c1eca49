"""Benchmarks: what they import from this package is there, as mypy knows no module of pipelines and components."""

import ast
import subprocess
import sys
from pathlib import Path

BENCHMARKS = sorted(Path(__file__).parents[1].glob("benchmarks/*.py"))
IMPORTED = """
import importlib, sys
for line in sys.stdin:
    where, module, name = line.split()
    if not hasattr(importlib.import_module(module), name):
        try:
            importlib.import_module(f"{module}.{name}")
        except ImportError:
            print(where, module, name)
"""
"""Names in, those that are not there out; in a process of its own, as it imports nearly all there is."""


def test_every_name_that_a_benchmark_imports_is_there() -> None:
    names = [
        f"{file.name} {node.module} {alias.name}\n"
        for file in BENCHMARKS
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("precisionflow")
        for alias in node.names
    ]
    assert len(names) > 200
    command = [sys.executable, "-c", IMPORTED]
    done = subprocess.run(command, input="".join(names), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
