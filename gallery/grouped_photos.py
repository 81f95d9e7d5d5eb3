"""From photos to people, and the files that tell of them: faces.csv, people.csv, and folders of links to the photos."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np

from embedder import Job, ModelCard, PrivateFiles, Progress, no_progress
from embedder.bulk import EmbeddedFaces

from .claims import FmrCurve
from .clusters import FaceSet
from .grouping import GroupedPerson, Grouping, group_faces
from .identification import IdentifyOptions, penalties_by_measures
from .link_rule import GroupingError, fmr_curve, link_rule
from .replica import GalleryReplica

FILES = PrivateFiles(GroupingError)
EMBEDDINGS = "embeddings"  # the folder of the bulk run
FACES_FILE, PEOPLE_FILE, LINKS = "faces.csv", "people.csv", "people"
FACE_COLUMNS = (
    "photo", "face", "x", "y", "width", "height", "person", "name", "distance", "doubt", "other_person"
)  # fmt: skip
PERSON_COLUMNS = (
    "person", "name", "faces", "split_distance", "split_fmr", "split_faces", "other_person", "join_distance",
    "join_fmr", "on_one_picture", "doubt"
)  # fmt: skip
SEARCHED = 64  # faces at a time in the gallery that names people
ONE_FACE = "one-face"  # the folder of all people with a single face
MAX_NAME = 50  # characters of a person's name in that of a folder, which may have 255 bytes

Names = Mapping[int, str]  # of people, by their place in Grouping.people; not all have one


@dataclass(frozen=True, slots=True, eq=False)
class GroupedPhotos:
    """The faces of photos, grouped into people. A person's number is 1 + the place in `grouping.people`."""

    start: Path  # the folder that the names of photos are relative to
    embedded: EmbeddedFaces
    grouping: Grouping
    curve: FmrCurve
    names: Names

    @property
    def n_too_poor(self) -> int:
        """Number of faces that are in no person."""
        return len(self.embedded.faces) - sum(len(person.faces) for person in self.grouping.people)

    def photo(self, face: int) -> str:
        """Return the name of a face's photo."""
        return self.embedded.photos[self.embedded.faces[face].photo]

    def doubtful(self) -> list[int]:
        """Return the places of the people in doubt."""
        return [k for k, person in enumerate(self.grouping.people) if self.doubts(person)]

    def doubts(self, person: GroupedPerson) -> tuple[str, ...]:
        """Return what is in doubt of a person: may_be_several, may_be_another."""
        told = ("may_be_several", person.split), ("may_be_another", person.doubtful_rival(self.grouping.rule))
        return tuple(code for code, why in told if why is not None)


def group_photos(
    start: Path, embedded: EmbeddedFaces, card: ModelCard, *, fmr: float | None = None, progress: Progress = no_progress
) -> GroupedPhotos:
    """Group the faces of a bulk run of all faces; `fmr` is that of one comparison, see `link_rule`.

    Raises GroupingError.
    """
    pictures = np.array([face.photo for face in embedded.faces], np.int64)
    faces = FaceSet.by(card, embedded.vectors, pictures, embedded.qualities.astype(np.float64))
    rule = link_rule(card, int(faces.is_usable.sum()), fmr)
    return GroupedPhotos(start, embedded, group_faces(faces, rule, progress), fmr_curve(card), {})


def named_by_gallery(
    grouped: GroupedPhotos, card: ModelCard, replica: GalleryReplica, progress: Progress = no_progress
) -> GroupedPhotos:
    """Name the people whom a gallery identifies: as somebody, by more than half of their faces.

    Each face is a search at the default FPIR. Raises NoSuchGallery, GalleryTooLarge or ClaimUnavailable.
    """
    people = grouped.grouping.people
    faces = [face for person in people for face in person.faces]
    penalties = penalties_by_measures(card, grouped.embedded.qualities.astype(np.float64))
    named, names = dict[int, str | None](), dict[int, str]()
    with progress(Job("naming", len(faces), "faces")) as advance:
        for start in range(0, len(faces), SEARCHED):
            some = faces[start : start + SEARCHED]
            found = replica.identify_vectors(grouped.embedded.vectors[some], penalties[some], IdentifyOptions(limit=1))
            matches = zip(some, (each.match for each in found), strict=True)
            named |= {face: None if match is None else match.person for face, match in matches}
            advance(len(some))
    for place, person in enumerate(people):
        ((name, n_faces),) = Counter(named[face] for face in person.faces).most_common(1)
        if name is not None and 2 * n_faces > len(person.faces):
            names[place] = name
    return replace(grouped, names=names)


def require_free_or_ours(out: Path) -> None:
    """Raise GroupingError unless the folder is missing, empty or that of an earlier grouping."""
    try:
        entries = {each.name for each in out.iterdir()} if out.exists() else set()
    except OSError as error:
        raise GroupingError(f"{out}: cannot be used: {error.strerror}; choose another --out") from error
    if entries and EMBEDDINGS not in entries:
        raise GroupingError(f"{out}: contains files that are not from a grouping; choose a new folder as --out")


def require_fmr(card: ModelCard, fmr: float | None) -> None:
    """Raise GroupingError if the card's evidence does not carry an FMR."""
    link_rule(card, 1, fmr)


def write_tables(out: Path, grouped: GroupedPhotos) -> None:
    """Write faces.csv, with a row for each face, and people.csv. Raises GroupingError."""
    FILES.write(out / FACES_FILE, _csv(FACE_COLUMNS, _face_rows(grouped)))
    FILES.write(out / PEOPLE_FILE, _csv(PERSON_COLUMNS, _person_rows(grouped)))


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return rows as CSV; names keep their bytes."""
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _face_rows(grouped: GroupedPhotos) -> Iterator[Sequence[object]]:
    people = grouped.grouping.people
    apart = {face for person in people if person.split is not None for face in person.split.faces}
    for number, face in enumerate(grouped.embedded.faces):
        box = (f"{each:.1f}" for each in astuple(face.box))
        yield grouped.photo(number), face.index, *box, *_face_facts(grouped, number, is_apart=number in apart)


def _face_facts(grouped: GroupedPhotos, face: int, *, is_apart: bool) -> Sequence[object]:
    place = int(grouped.grouping.person_of[face])
    if place < 0:
        return "", "", "", "too_poor", ""
    rival = grouped.grouping.people[place].doubtful_rival(grouped.grouping.rule)
    doubt = "may_be_several" if is_apart else "" if rival is None else "may_be_another"
    other = "" if rival is None else rival.person + 1
    distance = _number(float(grouped.grouping.distances[face]))
    return place + 1, grouped.names.get(place, ""), distance, doubt, other


def _number(distance: float) -> str:
    return "" if np.isnan(distance) else f"{distance:.4f}"


def _person_rows(grouped: GroupedPhotos) -> Iterator[Sequence[object]]:
    for place, person in enumerate(grouped.grouping.people):
        split, rival, curve = person.split, person.rival, grouped.curve
        apart = ("", "", "") if split is None else (*_measured(curve, split.distance), len(split.faces))
        other = (
            ("", "", "", "")
            if rival is None
            else (rival.person + 1, *_measured(curve, rival.distance), int(rival.is_on_one_picture))
        )
        doubt = " ".join(grouped.doubts(person))
        yield place + 1, grouped.names.get(place, ""), len(person.faces), *apart, *other, doubt


def _measured(curve: FmrCurve, distance: float) -> tuple[str, str]:
    return f"{distance:.4f}", f"{curve.fmr(distance):.2g}"


def write_links(out: Path, grouped: GroupedPhotos) -> None:
    """Make a folder for each person with links to the photos, in `out`/people; an earlier one is replaced.

    People with a single face share the folder one-face. Raises GroupingError.
    """
    try:
        _clear(out / LINKS)
        (out / LINKS).mkdir(mode=0o700, exist_ok=True)
        for place, person in enumerate(grouped.grouping.people):
            folder = out / LINKS / _folder_name(grouped, place)
            folder.mkdir(mode=0o700, exist_ok=True)
            for photo in sorted({grouped.embedded.faces[face].photo for face in person.faces}):
                _link(folder, photo, grouped.start / grouped.embedded.photos[photo])
    except OSError as error:
        raise GroupingError(f"{out / LINKS}: cannot be written: {error.strerror}; choose another --out") from error


def _folder_name(grouped: GroupedPhotos, place: int) -> str:
    if len(grouped.grouping.people[place].faces) == 1:
        return ONE_FACE
    name = grouped.names.get(place, "")[:MAX_NAME].replace("/", "_")
    return f"{place + 1:05} {name}".rstrip()


def _link(folder: Path, number: int, photo: Path) -> None:
    """Link to a photo under its own name, or with its number if another photo has that name."""
    target = folder / photo.name
    if target.is_symlink():
        target = folder / f"{photo.stem}-{number}{photo.suffix}"
    if not target.is_symlink():  # two people with a single face may be on one photo
        target.symlink_to(photo.resolve())


def _clear(folder: Path) -> None:
    """Remove the links of an earlier run, and their folders. Raises GroupingError if there is anything else."""
    if not folder.is_dir():
        return
    for each in folder.iterdir():
        for link in each.iterdir():
            if not link.is_symlink():
                raise GroupingError(f"{each}: contains files that are not links; move them away")
            link.unlink()
        each.rmdir()
