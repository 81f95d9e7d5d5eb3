"""Compare training with one and with two processes: the same run file, people and batches.

Usage: python benchmarks/processes.py --chips DATA [--people P] [--steps N] [--out DIR]. DATA is a folder made by
`visavis prepare`. The batch-all triplet recipe of examples/recipes/losses runs in one process, and by torchrun in two.
Prints by how much their losses differ, and the equal error rate on the held-out people after each. Miners and Adam turn
rounding into larger differences within some steps.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from train.logging.csv_log import read_steps, read_validations

BIN = Path(sys.executable).parent
RECIPE = Path(__file__).parent.parent / "examples" / "recipes" / "losses" / "triplet-all.toml"
HELD_OUT = 0.25
LOOKED_AT = (1, 10, 100, 400)  # steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chips", type=Path, required=True)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("processes"))
    asked = parser.parse_args()
    one, two = asked.out / "one", asked.out / "two"
    train([], asked, one)
    train([BIN / "torchrun", "--no-python", "--nproc-per-node=2"], asked, two)
    for here, there in zip(read_steps(one), read_steps(two), strict=True):
        if here.step in LOOKED_AT:
            apart = abs(here.loss - there.loss) / here.loss
            print(f"step {here.step}: loss {here.loss:.6g} and {there.loss:.6g}, {apart:.1e} apart")
    rates = [read_validations(each)[-1].eer for each in (one, two)]
    print(f"EER {rates[0]:.2%} with one process, {rates[1]:.2%} with two")


def train(launcher: list[str | Path], asked: argparse.Namespace, out: Path) -> None:
    settings = {
        "data.train": asked.chips,
        "data.held_out": HELD_OUT,
        "sampling.people": asked.people,
        "loop": f"{{steps = {asked.steps}, ema = 0.99, precision = 'f32'}}",
        "guard.every": 1,
    }
    command = [*launcher, BIN / "visavis", "train", RECIPE, "--out", out]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    subprocess.run([str(each) for each in command], check=True)


if __name__ == "__main__":
    main()
