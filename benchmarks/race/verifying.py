"""The time of one verification in process, bytes to decision: all libraries in turns on the same photographs."""

import sys
from collections.abc import Sequence
from itertools import product

from .figures import Telling, figure
from .photos import Size
from .workers import OPENBLAS, OPENCV, WHEEL, Worker, is_ours

SLOW = 5  # rounds of the other photographs per round of slow ones
N_WARMING = 2  # passes of each network before any is counted
Taken = dict[str, list[float]]


def race(workers: Sequence[Worker], size: Size, rounds: int, tell: Telling) -> None:
    """Print milliseconds, speed ratios and memory for one size of photographs."""
    for worker in workers:
        worker.ask("read", [[str(probe), str(reference)] for probe, reference in size.pairs])
    place = ("one verification", f"two photos of {size.name}, {size.mean_kb:,.0f} kB each")
    decided = decided_by_all(workers, range(1 if size.is_slow else len(size.pairs)), tell)
    taken = in_turns(workers, decided, max(3, rounds // SLOW) if size.is_slow else rounds)
    for name, ms in taken.items():
        tell(figure(place, name, "ms", ms))
    tell_times(place, taken, dict(zip((OPENBLAS, WHEEL, OPENCV), size.bars, strict=True)), tell)
    for worker in workers:
        tell(figure(place, f"{worker.name}, peak memory so far", "MiB", [worker.memory_mib()]))


def tell_times(place: tuple[str, str], taken: Taken, bars: dict[str, float], tell: Telling) -> None:
    """The speed ratios of visavis in every precision to every rival, computed within each round."""
    for (ours, our_ms), (theirs, their_ms) in product(taken.items(), taken.items()):
        if is_ours(ours) and not is_ours(theirs):
            times = [they / we for they, we in zip(their_ms, our_ms, strict=True)]
            bar = {"at_least": bars[theirs]} if theirs in bars else {}
            tell(figure(place, f"{ours} against {theirs}", "times", times, **bar))


def in_turns(workers: Sequence[Worker], decided: Sequence[int], rounds: int) -> Taken:
    """Return the milliseconds of each in every round; the order rotates from round to round."""
    taken: Taken = {worker.name: [] for worker in workers}
    for number in range(rounds):
        first = number % len(workers)
        for worker in (*workers[first:], *workers[:first]):
            taken[worker.name].append(worker.ask("verify", decided[number % len(decided)])["ms"])
    return taken


def decided_by_all(workers: Sequence[Worker], numbers: Sequence[int], tell: Telling) -> list[int]:
    """Return the pairs that all pipelines can decide; this also warms them up."""
    found = []
    for number in numbers:
        told = {worker.name: worker.ask("verify", number)["told"] for worker in workers}
        undecided = [f"{name} ({what})" for name, what in told.items() if not isinstance(what, bool)]
        if undecided:
            tell.note(f"pair {number + 1} is skipped: no decision by {', '.join(undecided)}")
        else:
            found.append(number)
    if not found:
        sys.exit("no pair of these photographs can be decided by all pipelines")
    return found


def one_face(workers: Sequence[Worker], rounds: int, tell: Telling) -> None:
    """The networks alone, on one face that is cut already, as each embeds it (ours: with its mirror image)."""
    taken: Taken = {worker.name: [] for worker in workers}
    for number in range(rounds + N_WARMING):
        for worker in workers:
            ms = worker.ask("network")
            if number >= N_WARMING:
                taken[worker.name].append(ms)
    for name, ms in taken.items():
        tell(figure(("network", "one face"), name, "ms", ms))
