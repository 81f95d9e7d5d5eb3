"""A process that writes to a store together with others: `store_writers.py URL NUMBER` adds templates of its own."""

import sys
from concurrent.futures import ThreadPoolExecutor

from stored_templates import new_template

from gallery import PersonFacts, Store, VersionConflict, open_store

N_THREADS, N_WRITES = 16, 4
TALLY = "tally"


def write(store: Store, process: int, thread: int) -> None:
    """Add templates to a person of its own and to one of all, and count up a number that all share."""
    for number in range(N_WRITES):
        unique = 1 + number + N_WRITES * (thread + N_THREADS * process)
        store.add_templates("staff", f"person {process} {thread}", [new_template(unique)])
        store.add_templates("staff", "everybody", [new_template(100_000 + unique)])
        count_up(store)


def count_up(store: Store) -> None:
    """Add one to a number in a note, by conditional writes."""
    while True:
        tally = store.person("staff", TALLY)
        count = int(tally.facts.note or 0) + 1
        try:
            store.put_person("staff", TALLY, PersonFacts(note=str(count)), if_version=tally.version)
        except VersionConflict:
            continue
        return


def main(url: str, process: int) -> None:
    with open_store(url) as store, ThreadPoolExecutor(N_THREADS) as threads:
        list(threads.map(lambda thread: write(store, process, thread), range(N_THREADS)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
