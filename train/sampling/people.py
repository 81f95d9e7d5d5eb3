"""Batches of so many people with so many images each (PK), as metric losses need them. Nothing is kept between steps.

Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", 2017.
"""

import numpy as np

from ..errors import SamplingError
from ..evaluation.protocols.protocol import Indices
from .passes import EpochPermutation

PEOPLE, IMAGES = 0, 1  # streams of draws


class PeopleSampler:
    """A batch is a function of the seed, the step and the process alone, so that a run goes on at any step.

    Over the steps of all processes everybody comes up equally often, give or take one, and so do the images of one
    person. A person with fewer images than asked for shows some of them more than once. Processes never share a person
    within a step.
    """

    def __init__(
        self,
        identities: Indices,
        people: int,
        images: int,
        seed: int,
        process: int = 0,
        n_processes: int = 1,
    ) -> None:
        """Take the identity of each of n images, (n,). Raises SamplingError if there are too few people."""
        labels, counts = np.unique(identities, return_counts=True)
        _require(len(labels), people, n_processes)
        grouped = np.argsort(identities, kind="stable").astype(np.int32)
        self._images_of = np.split(grouped, np.cumsum(counts)[:-1])
        self._people = EpochPermutation(len(labels), people * n_processes, (seed, PEOPLE))
        self.process = process
        self._own = slice(process * people, (process + 1) * people)
        self._n_images, self._seed = images, seed

    def batch(self, step: int) -> Indices:
        """Return (people * images,) positions among the identities given, person by person; steps count from 0."""
        first = step * self._people.width + self._own.start
        chosen = self._people.window(step)[self._own].tolist()
        return np.concatenate([self._of(who, (first + k) // self._people.n) for k, who in enumerate(chosen)])

    def _of(self, who: int, visit: int) -> Indices:
        """Return (images,) of one person, who comes up once in each pass over all people."""
        own = self._images_of[who]
        return own[EpochPermutation(len(own), self._n_images, (self._seed, IMAGES, who)).window(visit)]


def _require(n_people: int, people: int, n_processes: int) -> None:
    if people * n_processes <= n_people:
        return
    asked = f"{people:,} people in a batch" + (f" of each of {n_processes} processes" if n_processes > 1 else "")
    most = n_people // n_processes
    advice = f"lower sampling.people to {most:,} or less" if most > 1 else "use fewer processes or more data"
    raise SamplingError(f"the data has {n_people:,} people to learn from, fewer than {asked}; {advice}")
