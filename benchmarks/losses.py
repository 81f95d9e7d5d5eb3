"""Compare losses on the same budget of CPU time: the six recipes of examples/recipes/losses, one by one.

Usage: python benchmarks/losses.py --chips DATA [--minutes N] [--people P] [--out DIR]. DATA is a folder made by
`visavis prepare`. All runs start with the same weights (one seed), hold out the same people and use one core, so that
N minutes are N CPU-minutes. Prints a table of the equal error rate on the held-out people, before and after, and draws
the curves to DIR/losses.png; a collapsed run is reported and stops there. The figures in docs/training.md are printed
here.
"""

import argparse
import os
from pathlib import Path

import torch

from train.errors import Collapsed
from train.evaluation.report.plot import as_picture, paper
from train.logging.csv_log import read_steps, read_validations
from train.run.run import run_training
from train.run_file_reading import read_run_file

RECIPES = Path(__file__).parent.parent / "examples" / "recipes" / "losses"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chips", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--people", type=int, default=22, help="per batch")
    parser.add_argument("--set", action="append", default=[], help="override KEY=VALUE in each recipe")
    parser.add_argument("--out", type=Path, default=Path("losses"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the thread that makes batches shares the core
    more = [f"data.train={asked.chips}", f"loop.minutes={asked.minutes}", f"sampling.people={asked.people}"]
    for recipe in sorted(RECIPES.glob("*.toml")):
        try:
            run_training(read_run_file(recipe, [*more, *asked.set]), asked.out / recipe.stem, resume=False)
        except Collapsed as collapsed:  # that is what this loss learns; its steps so far are in the table
            print(f"{recipe.stem}: {collapsed}", flush=True)
    report(asked.out)


def report(out: Path) -> None:
    figure = paper(3.2)
    axes = figure.subplots()
    print(f"{'loss':20} {'steps':>6} {'EER first':>10} {'EER last':>9} {'positive':>9} {'negative':>9} {'rank':>6}")
    for recipe in sorted(RECIPES.glob("*.toml")):
        looks, steps = read_validations(out / recipe.stem), read_steps(out / recipe.stem)
        last = steps[-1]
        print(
            f"{recipe.stem:20} {last.step:6} {looks[0].eer:10.1%} {looks[-1].eer:9.1%} "
            f"{last.positive_distance or 0:9.3f} {last.negative_distance or 0:9.3f} {last.effective_rank or 0:6.1f}",
            flush=True,
        )
        axes.plot([look.seconds / 60 for look in looks], [100 * look.eer for look in looks], label=recipe.stem)
    axes.set_xlabel("minutes")
    axes.set_ylabel("EER of people held out, %")
    axes.legend(frameon=False, fontsize=7)
    (out / "losses.png").write_bytes(as_picture(figure, "losses", "EER of people held out, by loss").png)


if __name__ == "__main__":
    main()
