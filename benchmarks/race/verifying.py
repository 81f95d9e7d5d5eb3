"""One verification in process, bytes to decision: all in turns on the same photographs; and who is how much faster."""

from collections.abc import Sequence

from .figures import Telling, figure
from .photos import Size
from .workers import OPENBLAS, VISAVIS, WHEEL, Worker

SLOW = 5  # one round of slow photographs for so many of the others
N_WARMING = 2  # turns of each before any is counted
Taken = dict[str, list[float]]


def race(workers: Sequence[Worker], size: Size, rounds: int, tell: Telling) -> None:
    """Tell milliseconds, times, and memory, for one size of photographs."""
    for worker in workers:
        worker.ask("read", [[str(probe), str(reference)] for probe, reference in size.pairs])
    place = ("one verification", f"two photos of {size.name}, {size.mean_kb:,.0f} kB each")
    taken = in_turns(workers, max(3, rounds // SLOW) if size.is_slow else rounds, tell)
    for name, ms in taken.items():
        tell(figure(place, name, "ms", ms))
    bars = dict(zip((OPENBLAS, WHEEL), size.bars, strict=True))
    for name, ms in taken.items():
        if name != VISAVIS:
            times = [theirs / ours for theirs, ours in zip(ms, taken[VISAVIS], strict=True)]
            bar = {"at_least": bars[name]} if name in bars else {}
            tell(figure(place, f"visavis against {name}", "times", times, **bar))
    for worker in workers:
        tell(figure(place, f"{worker.name}, peak memory so far", "MiB", [worker.memory_mib()]))


def in_turns(workers: Sequence[Worker], rounds: int, tell: Telling) -> Taken:
    """Milliseconds of each in every round in which all came to a decision; who begins changes from round to round."""
    taken: Taken = {worker.name: [] for worker in workers}
    for number in range(min(N_WARMING, rounds // SLOW + 1)):
        for worker in workers:
            worker.ask("verify", number)
    for number in range(rounds):
        first = number % len(workers)
        turn = {worker.name: worker.ask("verify", number) for worker in (*workers[first:], *workers[:first])}
        undecided = [f"{name} ({said['told']})" for name, said in turn.items() if not isinstance(said["told"], bool)]
        if undecided:
            tell.note(f"round {number + 1} does not count: no decision by {', '.join(undecided)}")
            continue
        for name, said in turn.items():
            taken[name].append(said["ms"])
    return taken


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
