"""The decision whether photos may be enrolled as one person, before anything is stored.

A photo that no comparison could rely on is refused, and so is one that does not show the person of the other photos. If
half of the photos show somebody who is enrolled as another person, these are refused. One face of a picture is used, so
two faces of one are never one person.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from embedder import Embedding, ModelCard, OperatingPoint, Quality, QualityPenalty, SampleError, chosen_point, printable

from .errors import AlreadyEnrolled, AnotherPerson, EnrolmentRefused, PhotoRefusal
from .identification import penalties_of

ALREADY_ENROLLED_FMR = 1e-5
DUPLICATE_SHARE = 0.5  # of the photos; if any one were enough, many more right people would be refused
MOST_TURN = 0.5  # in eye distances; beyond it the FNMR against other photos is about twice that of all
SAME_PHOTO = 0.15  # of the threshold for one person; different photos of one person are hardly ever nearer

Distances = NDArray[np.float64]  # (n, n)
Rows = NDArray[np.bool_]  # (n,)


class Neighbour(Protocol):
    """An enrolled template that is near to a photo."""

    @property
    def person(self) -> str:
        """The caller's id."""

    @property
    def template(self) -> str:
        """The template's id."""

    @property
    def distance(self) -> float:
        """Euclidean."""

    @property
    def normalized_distance(self) -> float:
        """The distance plus the penalty of the pair."""


FindNeighbours = Callable[[Embedding], Sequence[Neighbour]]  # every template below the threshold for one person


@dataclass(frozen=True, slots=True)
class EnrolmentRules:
    """The thresholds of an enrolment, by the model card."""

    one_person: OperatingPoint  # below it, two photos show one person
    already_enrolled: OperatingPoint  # below it, a photo shows a person who is enrolled already
    card: ModelCard

    @property
    def same_photo(self) -> float:
        """The Euclidean distance below which two photos are copies of one."""
        return SAME_PHOTO * self.one_person.threshold

    def pair_penalties(self, photos: Sequence[Embedding]) -> Distances:
        """The penalty of each two photos: that of the better one, summed over the measures."""
        penalties = penalties_of(self.card, [each.sample.quality for each in photos])
        total: Distances = np.minimum(penalties[:, None], penalties[None]).sum(axis=2)
        return total


def enrolment_rules(card: ModelCard) -> EnrolmentRules:
    """Return the rules of a card: its default point, and the loosest with an FMR of 1e-5 or else its strictest one.

    Raises OperatingPointUnavailable if the card has no points.
    """
    one_person = chosen_point(card, None)
    strict = [each for each in card.operating_points if each.fmr is not None and each.fmr <= ALREADY_ENROLLED_FMR]
    points = sorted(strict or card.operating_points, key=lambda point: point.threshold)
    return EnrolmentRules(one_person, points[-1] if strict else points[0], card)


@dataclass(frozen=True, slots=True)
class EnrolmentDecision:
    """What becomes of the photos of a request, by their places in it."""

    new: tuple[int, ...]  # each becomes a template
    copies: Mapping[int, int]  # photo -> the earlier photo of the request that it is a copy of
    enrolled: Mapping[int, str]  # photo -> the id of the person's template that it is a copy of
    refusals: tuple[PhotoRefusal, ...] = ()  # of photos that are left out


@dataclass(frozen=True, slots=True)
class Enrollee:
    """Whom the photos are to be enrolled as."""

    person: str  # the caller's id
    has_templates: bool  # of the same model
    allow_duplicate: bool = False  # whether a photo may show somebody who is enrolled as another person
    skip_refused: bool = False  # whether to leave out refused photos, instead of refusing all


def decide_enrolment(
    enrollee: Enrollee, photos: Mapping[int, Embedding | SampleError], rules: EnrolmentRules, find: FindNeighbours
) -> EnrolmentDecision:
    """Decide which photos become templates.

    `photos` are by their places in the request, an unusable one as its error. `find` returns every enrolled template
    below the threshold of `rules.one_person`, of anybody. Raises EnrolmentRefused if a photo is refused, or if
    `skip_refused` is set, only if all are.
    """
    left, refusals = dict(photos), list[PhotoRefusal]()
    while left:
        decision = _decision(enrollee, left, rules, find)
        refusals = sorted([*refusals, *decision.refusals], key=lambda refusal: refusal.photo)
        if not decision.refusals:
            return replace(decision, refusals=tuple(refusals))
        if not enrollee.skip_refused:
            break
        refused = {each.photo for each in decision.refusals}
        left = {place: each for place, each in left.items() if place not in refused}
    kinds = {kind.code: kind for kind in (AlreadyEnrolled, AnotherPerson)}
    raise kinds.get(refusals[0].code, EnrolmentRefused)(refusals)


def _decision(
    enrollee: Enrollee, photos: Mapping[int, Embedding | SampleError], rules: EnrolmentRules, find: FindNeighbours
) -> EnrolmentDecision:
    """Decide on photos that are all fit, or else tell which are not."""
    faults = tuple(refusal for place, each in photos.items() for refusal in _faults(place, each, rules))
    if faults:
        return EnrolmentDecision((), {}, {}, faults)
    faces = _Faces.of({place: each for place, each in photos.items() if isinstance(each, Embedding)}, rules, find)
    decision = _templates(enrollee.person, faces, rules)
    refusals = [*_strangers(enrollee, faces, decision, rules.one_person)]
    if not enrollee.allow_duplicate:
        refusals += _duplicates(enrollee.person, faces, rules.already_enrolled)
    return replace(decision, refusals=tuple(refusals))


@dataclass(frozen=True, slots=True, eq=False)
class _Faces:
    """The usable photos of a request, compared with each other and with the enrolled templates."""

    places: tuple[int, ...]  # (n,) in the request
    distances: Distances  # (n, n) Euclidean
    normalized: Distances  # (n, n) with the penalties of the pairs
    neighbours: tuple[Sequence[Neighbour], ...]  # (n,)

    @classmethod
    def of(cls, photos: Mapping[int, Embedding], rules: EnrolmentRules, find: FindNeighbours) -> Self:
        distances = _distances(list(photos.values()))
        normalized = distances + rules.pair_penalties(list(photos.values()))
        return cls(tuple(photos), distances, normalized, tuple(map(find, photos.values())))


def _distances(photos: Sequence[Embedding]) -> Distances:
    vectors = np.array([each.vector for each in photos], np.float64)
    distances: Distances = np.array([np.linalg.norm(vectors - each, axis=1) for each in vectors])
    return distances


def _faults(place: int, photo: Embedding | SampleError, rules: EnrolmentRules) -> Iterator[PhotoRefusal]:
    """What makes a photo unfit to be compared with others."""
    if isinstance(photo, SampleError):
        yield PhotoRefusal(place, photo.code, str(photo))
        return
    quality = photo.sample.quality
    for rule in rules.card.quality_penalties:
        if (value := getattr(quality, rule.measure)) < rule.min_value:
            yield PhotoRefusal(place, "low_quality", _poor_in_words(rule, value))
    if quality.covered_part is not None:
        yield PhotoRefusal(place, "face_covered", _cover_in_words(quality))
    if abs(quality.turn) > MOST_TURN:
        yield PhotoRefusal(place, "face_turned", _turn_in_words(quality))


def _strangers(
    enrollee: Enrollee, faces: _Faces, decision: EnrolmentDecision, point: OperatingPoint
) -> Iterator[PhotoRefusal]:
    """The photos that no chain of matches links with the person's templates, or else with most of the photos."""
    is_linked = np.array([any(each.person == enrollee.person for each in found) for found in faces.neighbours])
    is_copy = np.array([place in decision.copies for place in faces.places])
    groups = _groups(faces.normalized < point.threshold, is_linked)
    is_member = groups[:, is_linked].any(axis=1) if enrollee.has_templates else _largest(groups, is_copy)
    for row in np.flatnonzero(~is_member).tolist():
        others = {
            place: float(distance)
            for place, distance, is_one in zip(faces.places, faces.normalized[row], groups[row], strict=True)
            if not is_one
        }
        yield PhotoRefusal(faces.places[row], AnotherPerson.code, _stranger_in_words(others, point))


def _groups(links: NDArray[np.bool_], is_linked: Rows) -> NDArray[np.bool_]:
    """Which photos show one person: (n, n). Those that are linked with the person's templates all do."""
    groups = links | np.outer(is_linked, is_linked)
    while (wider := groups @ groups).sum() > groups.sum():
        groups = wider
    return groups


def _largest(groups: NDArray[np.bool_], is_copy: Rows) -> Rows:
    """The photos of the largest group, copies not counted; none if several groups are as large."""
    sizes = groups[:, ~is_copy].sum(axis=1)
    is_leader: Rows = sizes == sizes.max()
    return is_leader if groups[is_leader.argmax(), is_leader].all() else np.zeros_like(is_leader)


def _duplicates(person: str, faces: _Faces, point: OperatingPoint) -> Iterator[PhotoRefusal]:
    """The photos that show somebody who is enrolled as another person, if DUPLICATE_SHARE of the photos show the same.

    Among many people somebody resembles one photo or another: at an FMR of 1e-5, one photo of 100 for 1,000 templates.
    """
    matches = defaultdict[str, list[tuple[int, Neighbour]]](list)
    for place, found in zip(faces.places, faces.neighbours, strict=True):
        for each in found:
            if each.person != person and each.normalized_distance < point.threshold:
                matches[each.person].append((place, each))
    for other, places in matches.items():
        if len(places) >= DUPLICATE_SHARE * len(faces.places):
            for place, nearest in places:
                yield PhotoRefusal(place, AlreadyEnrolled.code, _duplicate_in_words(nearest, point), other)


def _templates(person: str, faces: _Faces, rules: EnrolmentRules) -> EnrolmentDecision:
    new, copies, enrolled = list[int](), dict[int, int](), dict[int, str]()  # the first has rows, not places
    for row, place in enumerate(faces.places):
        own = [each for each in faces.neighbours[row] if each.person == person and each.distance < rules.same_photo]
        originals = [each for each in new if faces.distances[row, each] < rules.same_photo]
        if own:
            enrolled[place] = min(own, key=lambda each: each.distance).template
        elif originals:
            copies[place] = faces.places[originals[0]]
        else:
            new.append(row)
    return EnrolmentDecision(tuple(faces.places[row] for row in new), copies, enrolled)


def _poor_in_words(rule: QualityPenalty, value: float) -> str:
    return (
        f"the photo is too poor: {rule.measure} is {value:.3g} and must be at least {rule.min_value:.3g}; send a "
        "better photo"
    )


def _cover_in_words(quality: Quality) -> str:
    part = "eyes and the mouth" if quality.covered_part == "both" else quality.covered_part
    return (
        f"the {part} cannot be seen well enough: {1 - quality.covered:.0%} of that region is visible; send a photo in "
        "which nothing covers the face"
    )


def _turn_in_words(quality: Quality) -> str:
    return (
        f"the head is turned too far: the nose is {abs(quality.turn):.2f} eye distances beside the middle of the face, "
        f"and at most {MOST_TURN} is enrolled; send a photo in which the face looks into the camera"
    )


def _stranger_in_words(others: Mapping[int, float], point: OperatingPoint) -> str:
    """`others` are the distances to the photos of other people, by their places."""
    limit = f"below {point.threshold:.3f} ({point.name})"
    remedy = "send photos of one person only"
    if not others:
        return (
            f"it does not show the person who is enrolled: no distance to the person's templates is {limit}; {remedy}"
        )
    nearest = min(others, key=others.__getitem__)
    return (
        f"it does not show the person of the other photos: its distance to the nearest, photos[{nearest}], is "
        f"{others[nearest]:.3f}, and must be {limit}; {remedy}"
    )


def _duplicate_in_words(nearest: Neighbour, point: OperatingPoint) -> str:
    return (
        f"it shows a person who is enrolled as {printable(nearest.person)!r}: the distance to that person's nearest "
        f"template is {nearest.normalized_distance:.3f}, below {point.threshold:.3f} ({point.name}); enrol it as that "
        "person, or set allow_duplicate=true if these are two people"
    )
