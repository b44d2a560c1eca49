"""`make images` with a stand-in for the builder."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TAKES_NOTES = """#!/bin/sh
echo "$SOURCE_DATE_EPOCH $*" >>"$NOTES"
case "$1 $*" in
push*refused*) exit 1 ;;
"push "*--digestfile*) shift 3; printf "$DIGEST" >"$1" ;;
"push "*) ;;
--version*) echo "${0##*/} 5.0" ;;
"image "*) echo "elsewhere/$5@sha256:0"; echo "${5%:*}@$DIGEST" ;;
esac
"""
"""Stands for a builder, which a development machine may lack: notes its calls, has a digest of what it pushes."""


def build(checkout: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    bin_folder = checkout.parent / "bin"
    environment = {
        "PATH": f"{bin_folder}:/usr/bin:/bin",
        "NOTES": str(checkout.parent / "notes"),
        "PYTHON": sys.executable,
    } | variables
    script = checkout / "containers" / "build"
    return subprocess.run(
        ["sh", script, *words], env=environment, capture_output=True, text=True, check=False
    )
