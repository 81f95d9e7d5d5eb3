"""Group faces into people: join the nearest clusters first, never two faces of one picture.

Each round joins all pairs of clusters that are nearest to each other, as agglomerative clustering does one by one
(reciprocal nearest neighbours). A chain of look-alikes does not join strangers, because a cluster is compared as a
whole, and the mean distance of its faces to those of the other is bounded too. The same faces give the same people.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from embedder import Job, Progress, no_progress

from .clusters import ClusterPairs, Clusters, FaceSet, Floats, Indices
from .link_rule import LinkRule

NEIGHBOURS = 16  # nearest clusters of each that are considered at a time; joined ones are searched for anew
NO_PERSON = -1


@dataclass(frozen=True, slots=True)
class Split:
    """The farthest join of a person: a stricter threshold would leave `faces` apart."""

    faces: tuple[int, ...]  # of the smaller side
    distance: float


@dataclass(frozen=True, slots=True)
class Rival:
    """The nearest other person: a looser threshold would join the two."""

    person: int
    distance: float
    is_on_one_picture: bool  # both have a face on one picture: no threshold joins them


@dataclass(frozen=True, slots=True)
class GroupedPerson:
    """The faces of one person, as numbers of faces in ascending order."""

    faces: tuple[int, ...]
    split: Split | None  # None = a single face
    rival: Rival | None  # None = nobody within reach

    def may_be_several(self, rule: LinkRule) -> bool:
        """Whether it is in doubt that all faces show one person."""
        return self.split is not None and self.split.distance >= rule.surely_joined

    def apart(self, rule: LinkRule) -> frozenset[int]:
        """Return the faces that may show somebody else; none if there is no doubt."""
        return frozenset(self.split.faces if self.split is not None and self.may_be_several(rule) else ())

    def may_be_rival(self, rule: LinkRule) -> bool:
        """Whether it is in doubt that the nearest other person is another one."""
        return self.rival is not None and self.rival.distance < rule.surely_apart


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """People, those with the most faces first."""

    people: tuple[GroupedPerson, ...]
    person_of: Indices  # (n faces,) place in `people`; NO_PERSON = the photo is too poor
    distances: Floats  # (n faces,) to the other faces of the person; NaN = there are none
    rule: LinkRule


@dataclass(frozen=True, slots=True)
class _Join:
    """Two nodes of the tree of joins became one. The first nodes are the faces."""

    first: int
    second: int
    distance: float


def group_faces(faces: FaceSet, rule: LinkRule, progress: Progress = no_progress) -> Grouping:
    """Group faces. Memory grows linearly with their number, time at most with its square."""
    usable = np.flatnonzero(faces.is_usable)
    part = faces.part(usable)
    clusters, tree = Clusters(part), _Tree(len(usable))
    _join_all(clusters, tree, rule, progress)
    people = tuple(_with_faces(person, usable) for person in _people(part, clusters, tree, rule, progress))
    person_of, distances = np.full(len(faces.vectors), NO_PERSON), np.full(len(faces.vectors), np.nan)
    for number, person in enumerate(people):
        person_of[list(person.faces)] = number
    distances[usable] = clusters.own_distances()
    return Grouping(people, person_of, distances, rule)


def _with_faces(person: GroupedPerson, usable: Indices) -> GroupedPerson:
    """Return the person with the numbers that faces have among all, too poor ones included."""
    split = person.split
    return GroupedPerson(
        tuple(usable[list(person.faces)].tolist()),
        None if split is None else Split(tuple(usable[list(split.faces)].tolist()), split.distance),
        person.rival,
    )


def _people(
    faces: FaceSet, clusters: Clusters, tree: "_Tree", rule: LinkRule, progress: Progress
) -> Iterator[GroupedPerson]:
    """Yield the people, those with the most faces first."""
    order = np.argsort(clusters.of_face, kind="stable")
    starts = np.flatnonzero(np.diff(clusters.of_face[order], prepend=-1))
    members = sorted(np.split(order, starts[1:]), key=lambda each: (-len(each), each[0])) if len(order) else []
    numbers = {int(clusters.of_face[each[0]]): number for number, each in enumerate(members)}
    rivals = _rivals(clusters, rule, progress)
    pictures = [set(faces.pictures[each].tolist()) for each in members]
    for number, (cluster, each) in enumerate(zip(numbers, members, strict=True)):
        rival = None
        if cluster in rivals:
            other, distance = numbers[rivals[cluster][0]], rivals[cluster][1]
            rival = Rival(other, distance, not pictures[number].isdisjoint(pictures[other]))
        yield GroupedPerson(tuple(each.tolist()), tree.split(cluster), rival)


def _rivals(clusters: Clusters, rule: LinkRule, progress: Progress) -> dict[int, tuple[int, float]]:
    """Return the nearest other cluster of each that has one within reach, and its distance."""
    there = np.flatnonzero(clusters.sizes)
    with progress(Job("comparing", len(there), "people")) as advance:
        pairs = clusters.nearest(there, rule.reach, NEIGHBOURS, advance)
    nearest: dict[int, tuple[int, float]] = {}
    columns = pairs.first.tolist(), pairs.second.tolist(), pairs.distances.tolist()
    for first, second, distance in sorted(zip(*columns, strict=True), key=lambda pair: pair[2]):
        nearest.setdefault(first, (second, distance))
        nearest.setdefault(second, (first, distance))
    return nearest


class _Tree:
    """All joins, in the order in which they were made."""

    def __init__(self, n_faces: int) -> None:
        self._n_faces = n_faces
        self._joins: list[_Join] = []
        self._node_of = list(range(n_faces))  # of each cluster

    def add(self, pairs: ClusterPairs) -> None:
        """Record joins of clusters."""
        columns = pairs.first.tolist(), pairs.second.tolist(), pairs.distances.tolist()
        for first, second, distance in zip(*columns, strict=True):
            self._joins.append(_Join(self._node_of[first], self._node_of[second], distance))
            self._node_of[first] = self._n_faces + len(self._joins) - 1

    def split(self, cluster: int) -> Split | None:
        """Return the farthest join of a cluster; None for a single face."""
        farthest = max(self._joins_of(self._node_of[cluster]), key=lambda join: join.distance, default=None)
        if farthest is None:
            return None
        sides = sorted(
            (self._leaves(farthest.first), self._leaves(farthest.second)), key=lambda side: (len(side), side)
        )
        return Split(tuple(sides[0]), farthest.distance)

    def _nodes(self, node: int) -> list[int]:
        """The node and all below it."""
        nodes = [node]
        for each in nodes:
            if each >= self._n_faces:
                join = self._joins[each - self._n_faces]
                nodes += [join.first, join.second]
        return nodes

    def _joins_of(self, node: int) -> list[_Join]:
        return [self._joins[each - self._n_faces] for each in self._nodes(node) if each >= self._n_faces]

    def _leaves(self, node: int) -> list[int]:
        return sorted(each for each in self._nodes(node) if each < self._n_faces)


def _join_all(clusters: Clusters, tree: _Tree, rule: LinkRule, progress: Progress) -> None:
    """Search for near clusters and join them, until there are none; then only those that changed are searched for."""
    changed = np.flatnonzero(clusters.sizes)
    while len(changed):
        before = clusters.sizes.copy()
        with progress(Job("comparing", len(changed), "faces")) as advance:
            pairs = clusters.nearest(changed, rule.threshold, NEIGHBOURS, advance)
        _join_near(clusters, tree, _allowed(pairs, rule), rule)
        changed = np.flatnonzero((clusters.sizes != before) & (clusters.sizes > 0))


def _join_near(clusters: Clusters, tree: _Tree, pairs: ClusterPairs, rule: LinkRule) -> None:
    """Join those of the pairs that are nearest to each other, until none is left."""
    while len(pairs):
        mutual = _mutual(pairs, len(clusters.sizes))
        nearest = pairs.part(mutual)
        are_apart = clusters.share_a_picture(nearest.first, nearest.second)
        joined = nearest.part(~are_apart)
        tree.add(joined)
        into = clusters.merge(joined.first, joined.second)
        left = pairs.part(np.setdiff1d(np.arange(len(pairs)), mutual))
        pairs = _renumbered(clusters, left, into, joined.first, rule)


def _mutual(pairs: ClusterPairs, n: int) -> Indices:
    """Return the positions of the pairs in which each cluster is the nearest of the other."""
    ranks = np.empty(len(pairs), np.int64)
    ranks[np.lexsort((pairs.second, pairs.first, pairs.distances))] = np.arange(len(pairs))
    best = np.full(n, len(pairs))
    np.minimum.at(best, pairs.first, ranks)
    np.minimum.at(best, pairs.second, ranks)
    return np.flatnonzero((best[pairs.first] == ranks) & (best[pairs.second] == ranks))


def _renumbered(
    clusters: Clusters, pairs: ClusterPairs, into: Indices, changed: Indices, rule: LinkRule
) -> ClusterPairs:
    """Return the pairs after a merge, with new distances of the clusters that changed."""
    n, ends = len(into), (into[pairs.first], into[pairs.second])
    keys, positions = np.unique(np.minimum(*ends) * n + np.maximum(*ends), return_index=True)
    first, second = np.divmod(keys, n)
    is_new = np.isin(first, changed) | np.isin(second, changed)
    same = pairs.part(positions[~is_new])
    return same.joined(_allowed(clusters.pairs(first[is_new], second[is_new]), rule))


def _allowed(pairs: ClusterPairs, rule: LinkRule) -> ClusterPairs:
    """Return the pairs that the rule lets join."""
    return pairs.part((pairs.distances < rule.threshold) & (pairs.mean_distances < rule.mean_threshold))
