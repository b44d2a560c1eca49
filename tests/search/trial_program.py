"""A trial that costs nothing: prints `loss` for each step. Words: x, reports, seconds a report, folder."""

import os
import sys
import time
from pathlib import Path

x, reports, pause, folder = float(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])
with (folder / "started").open("a") as file:
    file.write(f"{x} {os.getpid()}\n")
if x > 900:
    sys.exit("diverged")
for step in range(reports):
    print(f"step={step} loss={(x - 3) ** 2 + 1 / (step + 1)} width=nan")
    time.sleep(pause)
