"""visavis against the pipelines of dlib and OpenCV, on the same photographs in one run: a table, and JSON.

Usage: python benchmarks/speed.py --data DIR [--rounds N] [--seconds S] [--verifies N] [--precision P] [--accuracy]
[--json FILE]. DIR contains lfw-view1/ and london-full/. `make rivals` creates the environments of the rivals; a rival
without one is left out with a message. Each runs in its own process with its default threads, and they take turns. A
figure is the median of its rounds, with minimum and maximum; a "times" or a "share" is computed within each round.
Linux only. About 15 minutes, 20 with --accuracy; for a quick run: --rounds 5 --seconds 2 --verifies 500.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from race.accuracy import accuracy
from race.figures import Telling, figure
from race.machine import facts
from race.network import share_of_gemm
from race.over_http import memory, overload, rates
from race.photos import Size, sizes
from race.serving import served
from race.verifying import one_face, race
from race.workers import DLIBS, VISAVIS, Worker, commands, started
from start import start

from embedder import Precision

N_TIMES = 3  # that rates are measured, and starts after the first, which warms the disk
READY_S = 4.0


def main() -> None:
    asked = arguments()
    tell = Telling()
    with TemporaryDirectory() as name:
        folder = Path(name)
        found, missing = commands(asked.precision)
        tell.head({**facts(), **{f"LEFT OUT: {rival}": reason for rival, reason in missing.items()}})
        photographs = sizes(asked.data, folder)
        with started(folder, found) as workers:
            tell.head({worker.name: worker.ask("facts") for worker in workers})
            in_process(workers, photographs, asked.rounds, tell)
        share_of_gemm(asked.rounds, tell)
        with started(folder, {VISAVIS: found[VISAVIS]}) as (worker,), served(folder) as service:
            rates(service, worker, photographs[1], N_TIMES, asked.seconds, tell)
        with served(folder) as service:
            memory(service, photographs[1], asked.verifies, tell)
            overload(service, photographs[1], asked.seconds, tell)
        if asked.accuracy:
            embedding = {name: command for name, command in found.items() if name not in DLIBS}
            with started(folder, embedding) as workers:
                accuracy(workers, asked.data / "lfw-view1", tell)
    until_ready(tell)
    tell.write(asked.json)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=20, help="rounds per size; a fifth of them at 12 megapixels (20)")
    parser.add_argument("--seconds", type=float, default=8, help="duration of each load (8)")
    parser.add_argument("--verifies", type=int, default=10_000, help="verifications before memory is last measured")
    parser.add_argument("--precision", choices=get_args(Precision), help="also measure visavis in this precision")
    parser.add_argument("--accuracy", action="store_true", help="also measure visavis and OpenCV on LFW View 1")
    parser.add_argument("--json", type=Path, help="a file for the JSON lines (default: printed below the table)")
    return parser.parse_args()


def in_process(workers: Sequence[Worker], photographs: Sequence[Size], rounds: int, tell: Telling) -> None:
    for size in photographs:
        race(workers, size, rounds, tell)
    one_face(workers, rounds, tell)


def until_ready(tell: Telling) -> None:
    seconds = [start("openvino")[0] for _ in range(N_TIMES + 1)][1:]
    tell(figure(("start", "disk warm"), "until the service is ready", "s", seconds, at_most=READY_S))


if __name__ == "__main__":
    main()
