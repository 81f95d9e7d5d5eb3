"""What own thresholds cost a verification: the faces' places, the pair's threshold and its reason; and the quality.

Usage: python benchmarks/own_threshold_cost.py. Medians of 2,000 rounds each, on two example photos; beside them the
whole verification, of which the cost is a part.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from embedder import Limits, load
from embedder.alignment import eye_distance
from embedder.comparison import EVEN, Subject, standard_of
from embedder.grading import Grader
from embedder.image import read
from embedder.neighbourhood import Neighbourhoods
from embedder.quality import quality_of
from embedder.weights.bundle import BUILT_IN, read_bundle

FACES = Path(__file__).parent.parent / "examples" / "faces"
ROUNDS = 2000


def main() -> None:
    embedder, bundle = load(), read_bundle(BUILT_IN)
    own = bundle.card.own_threshold
    grader = Grader(own, Neighbourhoods.of(own.mean_range, own.spread_range, bundle.neighbourhood))
    images = [(FACES / f"001-{name}.jpg").read_bytes() for name in ("neutral", "smiling")]
    photos = [read(image, Limits()) for image in images]
    chips = [embedder.chip(image) for image in images]
    vectors = [embedder.embed(image).vector for image in images]
    apart = eye_distance(bundle.card.alignment)
    fixed, every = (
        standard_of(card, threshold=None, operating_point=None, prior=EVEN)
        for card in (bundle.card.model_copy(update={"own_threshold": None}), bundle.card)
    )

    def measure() -> None:
        for photo, chip in zip(photos, chips, strict=True):
            quality_of(photo, chip.sample.face, chip.pixels, apart)

    def grade() -> list[Subject]:
        return [
            Subject(vector, grader.standing(vector, chip.sample.quality))
            for vector, chip in zip(vectors, chips, strict=True)
        ]

    graded, bare = grade(), [Subject(vector, None) for vector in vectors]
    spent = {
        "places and penalties of both faces": median_ms(grade),
        "the pair's threshold and its reason": median_ms(lambda: list(every.judge(graded[0], graded[1:])))
        - median_ms(lambda: list(fixed.judge(bare[0], bare[1:]))),
    }
    for what, ms in spent.items():
        print(f"{what}: {ms:.3f} ms")
    print(f"own threshold in all: {sum(spent.values()):.3f} ms")
    print(f"measuring the quality of both photos: {median_ms(measure):.3f} ms")
    print(f"of a whole verification: {median_ms(lambda: embedder.verify(*images), 20):.1f} ms")


def median_ms(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return 1000 * statistics.median(spent)


if __name__ == "__main__":
    main()
