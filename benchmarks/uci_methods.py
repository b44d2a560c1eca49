"""The methods' table of docs/uci.md: `precisionflow run uci-methods` in a folder of its own, as Markdown.

Test NLL ± half the 95 % interval; ↑ better and ↓ worse than `homoscedastic` by the verdict. The data are read through
PRECISIONFLOW_DATA.
"""

import tempfile
from pathlib import Path

from measured import Measured, arguments, present, run_experiment

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import CONTRASTS, TABLE

DATASETS = {
    "bostonHousing": "boston",
    "concrete": "concrete",
    "energy": "energy",
    "wine-quality-red": "wine",
    "yacht": "yacht",
}
RMSE_OF = ("energy", "yacht")
MARKS = {"better": "↑ ", "worse": "↓ "}


def main() -> None:
    """Run, print the table, say for how many sets a learned precision is better than one for all rows."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--out", type=Path, help="results folder; kept, and finished stages are not run again"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.out or Path(temporary)
        minutes = run_experiment("uci-methods", folder)
        table = read_parquet(folder / "aggregate" / "table.parquet", TABLE).to_pylist()
        contrasts = read_parquet(folder / "aggregate" / "contrasts.parquet", CONTRASTS).to_pylist()
    scores = {(row["variant"], row["dataset"], row["metric"]): row for row in table}
    verdicts = {
        (row["variant"], row["dataset"]): row["verdict"] for row in contrasts if row["metric"] == "nll"
    }
    variants = list(dict.fromkeys(row["variant"] for row in table))
    print("| | " + " | ".join([*DATASETS.values(), "coverage", *(f"RMSE {name}" for name in RMSE_OF)]) + " |")
    print("|---" * (len(DATASETS) + len(RMSE_OF) + 2) + "|")
    for variant in variants:
        cells = []
        for dataset in DATASETS:
            row = scores[variant, dataset, "nll"]
            half = (row["high"] - row["low"]) / 2
            mark = MARKS.get(verdicts.get((variant, dataset), ""), "")
            cells.append(f"{mark}{row['mean']:.2f} ± {half:.2f}".replace("-", "\N{MINUS SIGN}"))
        covered = [100 * scores[variant, dataset, "coverage_95"]["mean"] for dataset in DATASETS]
        cells.append(f"{min(covered):.0f} to {max(covered):.0f}")
        cells += [f"{scores[variant, dataset, 'rmse']['mean']:.2f}" for dataset in RMSE_OF]
        print(f"| `{variant}` | " + " | ".join(cells) + " |")
    counts = {
        verdict: sum(verdicts["gaussian_nll", dataset] == verdict for dataset in DATASETS)
        for verdict in ("better", "worse")
    }
    results = [
        Measured(f"sets where gaussian_nll is {verdict} than homoscedastic", count, "sets")
        for verdict, count in counts.items()
    ]
    present([*results, Measured("wall time of the run", minutes, "min")], given.json)


if __name__ == "__main__":
    main()
