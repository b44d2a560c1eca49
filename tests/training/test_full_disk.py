"""A disk that is full while weights or a checkpoint are written."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource, signal, sys
from pathlib import Path
import torch
from precisionflow.training.files import save_weights, saving
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
tensors = {"weight": torch.zeros(100_000)}
path = Path(sys.argv[2])
try:
    if sys.argv[1] == "weights":
        save_weights(tensors, path)
    else:
        with saving(path) as file:
            torch.save(tensors, file)
except OSError as error:
    print(error.filename, error.strerror)
"""


@pytest.mark.parametrize("kind", ["weights", "checkpoint"])
def test_it_is_an_error_of_the_file_system_that_names_the_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "state"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"{path} cannot be written, the disk may be full")
