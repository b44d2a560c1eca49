"""A run in which cells fail: the others are trained, everything is told, and failed ones are tried again when asked."""

from pathlib import Path

from precisionflow.ablation.aggregate import read_aggregate
from precisionflow.results.layout import Results
from tests.command_line import TINY, Line

AXES = "ablation: {axes: {rate: {sane: {training.learning_rate: 0.001}, wild: {training.learning_rate: 1.0e+30}}}}\n"


def test_a_variant_that_fails_does_not_hide_the_others(line: Line, tmp_path: Path) -> None:
    experiment, out = tmp_path / "tiny.yaml", tmp_path / "out"
    experiment.write_text(
        TINY.replace("steps: 2,", "steps: 40,") + AXES + "seeds: [0, 1]\n", encoding="utf-8"
    )
    done = line("run", experiment, "--out", out)
    assert done.code == 1, done.err
    assert "train tiny linnerud wild seed 1 split 0: failed: validation loss is" in done.out
    assert "tiny on linnerud: 2 failed cells; nothing is said of a variant with one" in done.out
    assert "run: 2 cells failed, see the table above; run with --retry-failed to try them again" in done.out
    tables = read_aggregate(Results(out).aggregate)
    assert {(row["variant"], row["seed"]) for row in tables.failures.to_pylist()} == {
        ("wild", 0),
        ("wild", 1),
    }
    assert {row["verdict"] for row in tables.contrasts.to_pylist()} == {"refused: 2 of 2 seeds failed"}
    page = (out / "report" / "report.html").read_text(encoding="utf-8")
    assert "2 failed cells" in page
    assert "validation loss is" in page

    planned = line("status", out).out
    assert "tiny: 4 cells, 2 done, 2 failed, 0 open; nothing is left" in planned
    assert (
        f"2 cells failed; `precisionflow run {out}/experiments/tiny.yaml --out {out} --retry-failed` tries"
        in planned
    )

    again = line("run", experiment, "--out", out)
    assert (again.code, "0 of 11 stages run" in again.out) == (1, True)
    retried = line("run", experiment, "--out", out, "--retry-failed")
    assert "run: tries 2 failed cells again" in retried.out
    assert "train tiny linnerud wild seed 0 split 0: failed: " in retried.out
    assert "train tiny linnerud sane" not in retried.out
