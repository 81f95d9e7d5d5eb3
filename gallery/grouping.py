"""Group faces into people: join the nearest clusters first, never two faces of one picture.

Each round joins all pairs of clusters that are nearest to each other, as agglomerative clustering does one by one
(reciprocal nearest neighbours). A chain of look-alikes does not join strangers, because a cluster is compared as a
whole, and the mean distance of its faces to those of the other is bounded too. The same faces give the same people.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from embedder import Job, Progress, no_progress

from .clusters import ClusterPairs, Clusters, FaceSet, Floats, Indices
from .link_rule import LinkRule

NEIGHBOURS = 16  # nearest clusters of each that are considered at a time; joined ones are searched for anew
RIVALS = 4  # the same, for the nearest other person: penalties can change the order of a few
NO_PERSON = -1


@dataclass(frozen=True, slots=True)
class Split:
    """The faces that a stricter threshold would leave apart, so that it is in doubt whether they are the person's."""

    faces: tuple[int, ...]  # all but those of the largest part
    distance: float  # of the largest part to the nearest other one


@dataclass(frozen=True, slots=True)
class Rival:
    """The nearest other person."""

    person: int  # place in Grouping.people
    distance: float  # a threshold above it would join the two
    is_on_one_picture: bool  # both have a face on one picture: no threshold joins them


@dataclass(frozen=True, slots=True)
class GroupedPerson:
    """The faces of one person, as numbers of faces in ascending order."""

    faces: tuple[int, ...]
    split: Split | None  # None = not in doubt
    rival: Rival | None  # None = nobody within reach

    def doubtful_rival(self, rule: LinkRule) -> Rival | None:
        """Return the nearest other person if it is in doubt that it is another one."""
        return self.rival if self.rival is not None and self.rival.distance < rule.surely_apart else None


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """People, those with the most faces first."""

    people: tuple[GroupedPerson, ...]
    person_of: Indices  # (n faces,) place in `people`; NO_PERSON = the photo is too poor
    distances: Floats  # (n faces,) to the other faces of the person; NaN = there are none
    rule: LinkRule


def group_faces(faces: FaceSet, rule: LinkRule, progress: Progress = no_progress) -> Grouping:
    """Group faces. Memory grows linearly with their number, time at most with its square."""
    usable = np.flatnonzero(faces.is_usable)
    part = faces.part(usable)
    clusters = Clusters(part)
    farthest = _join_all(clusters, rule, progress)
    members = _members(clusters)
    splits = [
        _split(part, each, rule) if farthest[clusters.of_face[each[0]]] >= rule.surely_joined else None
        for each in members
    ]
    rivals = _rivals(part, clusters, members, rule, progress)
    person_of, distances = np.full(len(faces.vectors), NO_PERSON), np.full(len(faces.vectors), np.nan)
    for number, each in enumerate(members):
        person_of[usable[each]] = number
    distances[usable] = clusters.own_distances()
    people = tuple(map(partial(_person, usable), members, splits, rivals))
    return Grouping(people, person_of, distances, rule)


def _person(usable: Indices, members: Indices, split: Split | None, rival: Rival | None) -> GroupedPerson:
    """Return a person whose faces are numbered among all, too poor ones included."""
    apart = None if split is None else Split(tuple(usable[list(split.faces)].tolist()), split.distance)
    return GroupedPerson(tuple(usable[members].tolist()), apart, rival)


def _members(clusters: Clusters) -> list[Indices]:
    """Return the faces of each cluster, the largest cluster first."""
    if not len(clusters.of_face):
        return []
    order = np.argsort(clusters.of_face, kind="stable")
    starts = np.flatnonzero(np.diff(clusters.of_face[order]) > 0) + 1
    return sorted(np.split(order, starts), key=lambda members: (-len(members), members[0]))


def _split(faces: FaceSet, members: Indices, rule: LinkRule) -> Split | None:
    """Group the faces of one person again, with the stricter threshold; None if they stay together."""
    clusters = Clusters(faces.part(members))
    _join_all(clusters, replace(rule, threshold=rule.surely_joined), no_progress)
    parts = np.flatnonzero(clusters.sizes)
    if len(parts) == 1:
        return None
    largest = parts[np.argmax(clusters.sizes[parts])]
    others = parts[parts != largest]
    nearest = clusters.pairs(np.full(len(others), largest), others).distances.min()
    apart = members[clusters.of_face != largest]
    return Split(tuple(apart.tolist()), float(min(nearest, rule.threshold)))


def _rivals(
    faces: FaceSet, clusters: Clusters, members: Sequence[Indices], rule: LinkRule, progress: Progress
) -> list[Rival | None]:
    """Return the nearest other person of each, by its place; None if there is none within reach."""
    places = {int(clusters.of_face[each[0]]): place for place, each in enumerate(members)}
    nearest = _nearest(clusters, rule, progress)
    pictures = [set(faces.pictures[each].tolist()) for each in members]
    rivals: list[Rival | None] = []
    for cluster, place in places.items():
        other, distance = nearest.get(cluster, (cluster, 0.0))
        is_together = not pictures[place].isdisjoint(pictures[places[other]])
        rivals.append(None if other == cluster else Rival(places[other], distance, is_together))
    return rivals


def _nearest(clusters: Clusters, rule: LinkRule, progress: Progress) -> dict[int, tuple[int, float]]:
    """Return the nearest other cluster of each that has one within reach, and the threshold that would join the two."""
    there = np.flatnonzero(clusters.sizes)
    with progress(Job("comparing", len(there), "people")) as advance:
        pairs = clusters.nearest(there, rule.reach, RIVALS, advance)
    means = np.where(pairs.mean_distances < rule.mean_threshold, 0, pairs.mean_distances)
    needed = np.maximum(pairs.distances, means)
    order = np.argsort(needed, kind="stable")
    pairs, needed = pairs.part(order), needed[order]
    ends = np.stack([pairs.first, pairs.second], axis=1)  # (pairs, 2)
    found, positions = np.unique(ends, return_index=True)  # of each cluster, the first and so the nearest pair
    others = ends[:, ::-1].ravel()[positions].tolist()
    distances = needed[positions // 2].tolist()
    return dict(zip(found.tolist(), zip(others, distances, strict=True), strict=True))


def _join_all(clusters: Clusters, rule: LinkRule, progress: Progress) -> Floats:
    """Search for near clusters and join them, until there are none; then only those that changed are searched for.

    Return the farthest join of each cluster (n,); 0 = none.
    """
    farthest = np.zeros(len(clusters.sizes))
    changed = np.flatnonzero(clusters.sizes)
    while len(changed):
        before = clusters.sizes.copy()
        with progress(Job("comparing", len(changed), "faces")) as advance:
            pairs = clusters.nearest(changed, rule.threshold, NEIGHBOURS, advance)
        _join_near(clusters, _allowed(pairs, rule), rule, farthest)
        changed = np.flatnonzero((clusters.sizes != before) & (clusters.sizes > 0))
    return farthest


def _join_near(clusters: Clusters, pairs: ClusterPairs, rule: LinkRule, farthest: Floats) -> None:
    """Join those of the pairs that are nearest to each other, until none is left."""
    while len(pairs):
        mutual = _mutual(pairs, len(clusters.sizes))
        nearest = pairs.part(mutual)
        joined = nearest.part(~clusters.share_a_picture(nearest.first, nearest.second))
        into = clusters.merge(joined.first, joined.second)
        before = np.maximum(farthest[joined.first], farthest[joined.second])
        farthest[joined.first] = np.maximum(before, joined.distances)
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
