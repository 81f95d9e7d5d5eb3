"""The London set, end to end: each person's neutral photo against the smiling one, and against the next person's.

Usage: python benchmarks/london.py --data DIR (DIR contains london/). Lists every wrong verdict by number.
"""

import argparse
from pathlib import Path

from embedder import Comparison, FaceEmbedder, load


def verdicts(embedder: FaceEmbedder, pairs: list[tuple[Path, Path]]) -> list[Comparison]:
    return [embedder.verify(probe.read_bytes(), reference.read_bytes()) for probe, reference in pairs]


def show(name: str, pairs: list[tuple[Path, Path]], found: list[Comparison], *, same: bool) -> None:
    distances = [comparison.distance for comparison in found]
    right = sum(comparison.same == same for comparison in found)
    print(f"{name}: {right} of {len(found)} right; distances {min(distances):.3f} to {max(distances):.3f}")
    for (probe, reference), comparison in zip(pairs, found, strict=True):
        if comparison.same != same:
            print(f"  wrong: {probe.parent.name} and {reference.parent.name}, distance {comparison.distance:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    embedder = load()
    people = sorted(path for path in (parser.parse_args().data / "london").iterdir() if path.is_dir())
    genuine = [(person / "neutral_front.jpg", person / "smiling_front.jpg") for person in people]
    neutral = [pair[0] for pair in genuine]
    impostor = list(zip(neutral, neutral[1:] + neutral[:1], strict=True))
    print(f"{len(people)} people, operating point {embedder.card.default_point}")
    show("the same person, neutral and smiling", genuine, verdicts(embedder, genuine), same=True)
    show("a person and the next one, both neutral", impostor, verdicts(embedder, impostor), same=False)


if __name__ == "__main__":
    main()
