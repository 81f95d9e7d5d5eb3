"""Compare training with one and with two processes: one recipe, with the same held-out people and batch.

Usage: python benchmarks/processes.py --chips DATA [--people P] [--steps N] [--out DIR]. DATA is a folder made by
`visavis prepare`. The batch-all triplet recipe of examples/recipes/losses runs in one process with three seeds for
weights and batches, then with the first seed and torchrun in two processes, each with half of the people. Prints the
equal error rate on the held-out people after each. The figures in docs/training.md are printed here.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from train.logging.csv_log import read_validations

BIN = Path(sys.executable).parent
RECIPE = Path(__file__).parent.parent / "examples" / "recipes" / "losses" / "triplet-all.toml"
SEEDS = (0, 1, 2)
HELD_OUT = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chips", type=Path, required=True)
    parser.add_argument("--people", type=int, default=8, help="per batch, over all processes")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("processes"))
    asked = parser.parse_args()
    one = [equal_error_rate([], asked, asked.people, seed, asked.out / f"one-seed-{seed}") for seed in SEEDS]
    launcher: list[str | Path] = [BIN / "torchrun", "--no-python", "--nproc-per-node=2"]
    two = equal_error_rate(launcher, asked, asked.people // 2, SEEDS[0], asked.out / "two")
    print(f"one process: EER {', '.join(f'{each:.2%}' for each in one)} with seeds {SEEDS}; two processes: {two:.2%}")


def equal_error_rate(launcher: list[str | Path], asked: argparse.Namespace, people: int, seed: int, out: Path) -> float:
    """Train, and read what the last look at people held out found."""
    settings = {
        "data.train": asked.chips,
        "data.held_out": HELD_OUT,
        "sampling.people": people,
        "loop": f"{{steps = {asked.steps}, ema = 0.99}}",
        "seed": seed,
    }
    command = [*launcher, BIN / "visavis", "train", RECIPE, "--out", out]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    subprocess.run([str(each) for each in command], check=True)
    return read_validations(out)[-1].eer


if __name__ == "__main__":
    main()
