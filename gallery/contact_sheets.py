"""Contact sheets: pages in English and Chinese that show the faces of each person, and who is in doubt and why.

The pages show faces, so they are readable by their owner only. They run no script and fetch nothing but thumbnails.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from embedder import Job, Limits, Photo, Progress, VisavisError, decode_image, image_file, jpeg, n_cores, no_progress
from embedder.bulk import PhotoFace

from .grouped_photos import FACES_FILE, FILES, PEOPLE_FILE, GroupedPhotos
from .grouping import GroupedPerson
from .link_rule import LinkRule

PAGE, THUMBNAILS = "index.html", "thumbnails"
PEOPLE_EACH, SINGLES_EACH = 50, 300  # on a page: people with several faces, and with one
MOST_TYPICAL, MOST_APART = 10, 5  # faces shown of a person
MOST_DOUBTFUL = 200  # people that the first page lists
SIDE_PX, MARGIN, QUALITY = 112, 1.5, 85  # of a thumbnail: px, of the face's box, of JPEG
POLICY = "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'"
STYLE = Path(__file__).with_name("contact_sheets.css")


class Words(NamedTuple):
    """A text in both languages, as HTML."""

    en: str
    zh: str

    def __str__(self) -> str:
        return f'<span lang="en">{self.en}</span><span lang="zh">{self.zh}</span>'


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page: its file, and the places of its people."""

    file: str
    people: Sequence[int]


def write_contact_sheets(out: Path, grouped: GroupedPhotos, progress: Progress = no_progress) -> Path:
    """Write the pages and their thumbnails; return the path of the first page. Raises GroupingError.

    Thumbnails of an earlier run are used again. A photo that cannot be read any more has none.
    """
    sheets = _sheets(grouped)
    shown = {face for sheet in sheets for place in sheet.people for face in shown_faces(grouped, place)}
    _draw(out / THUMBNAILS, grouped, sorted(shown), progress)
    files = {place: sheet.file for sheet in sheets for place in sheet.people}
    for number, sheet in enumerate(sheets):
        around = [sheets[k].file if 0 <= k < len(sheets) else None for k in (number - 1, number + 1)]
        body = [
            _navigation(around, f"{number + 1} / {len(sheets)}"),
            *(_summary(grouped, files) if number == 0 else ()),
            *_people(grouped, sheet.people, files),
            _navigation(around, f"{number + 1} / {len(sheets)}"),
        ]
        FILES.write(out / sheet.file, _page("\n".join(body)))
    for page in {*out.glob("page-*.html")} - {out / sheet.file for sheet in sheets}:
        FILES.remove(page)  # of an earlier run with more people
    return out / PAGE


def shown_faces(grouped: GroupedPhotos, place: int) -> list[int]:
    """Return the faces to show of a person: the most typical first, then those that may show somebody else."""
    person, distances = grouped.grouping.people[place], grouped.grouping.distances
    apart = _apart(person)
    order = sorted(person.faces, key=lambda face: (distances[face], face))
    typical = [face for face in order if face not in apart]
    return typical[:MOST_TYPICAL] + [face for face in order if face in apart][:MOST_APART]


def _apart(person: GroupedPerson) -> frozenset[int]:
    return frozenset(() if person.split is None else person.split.faces)


def _sheets(grouped: GroupedPhotos) -> list[Sheet]:
    """Cut the people, who are in order of their number of faces, into pages; there is at least one."""
    people = grouped.grouping.people
    n_several = sum(len(person.faces) > 1 for person in people)
    parts = [
        *(range(start, min(start + PEOPLE_EACH, n_several)) for start in range(0, n_several, PEOPLE_EACH)),
        *(
            range(start, min(start + SINGLES_EACH, len(people)))
            for start in range(n_several, len(people), SINGLES_EACH)
        ),
    ] or [range(0)]
    return [Sheet(f"page-{k + 1:04}.html" if k else PAGE, part) for k, part in enumerate(parts)]


def thumbnail_name(photo: str, face: PhotoFace) -> str:
    """Return the file name of a face's thumbnail, which tells nothing of the photo's name."""
    place = f"{photo}\0{face.box}\0{face.rotation}"
    return sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:24] + ".jpg"


def _draw(folder: Path, grouped: GroupedPhotos, faces: Sequence[int], progress: Progress) -> None:
    """Write the thumbnails that are missing; each photo is decoded once."""
    of_photo: dict[str, list[PhotoFace]] = {}
    for face in faces:
        photo = grouped.photo(face)
        if not (folder / thumbnail_name(photo, grouped.embedded.faces[face])).exists():
            of_photo.setdefault(photo, []).append(grouped.embedded.faces[face])
    job = Job("drawing faces of", len(of_photo))
    with FILES.sole_use(folder), ThreadPoolExecutor(n_cores()) as threads, progress(job) as advance:
        jobs = ((grouped.start / photo, photo, each) for photo, each in of_photo.items())
        for drawn in threads.map(_thumbnails, jobs):
            for name, content in drawn:
                FILES.write(folder / name, content)
            advance(1)


def _thumbnails(job: tuple[Path, str, Sequence[PhotoFace]]) -> list[tuple[str, bytes]]:
    path, photo, faces = job
    try:
        picture = decode_image(image_file(path), Limits())
        return [(thumbnail_name(photo, face), _thumbnail(picture, face)) for face in faces]
    except (OSError, VisavisError):
        return []


def _thumbnail(photo: Photo, face: PhotoFace) -> bytes:
    (x, y), half = face.box.center, MARGIN * max(face.box.width, face.box.height) / 2
    factor = photo.factor_for(max(1.0, 2 * half / SIDE_PX))
    left, top, right, bottom = (round(each / factor) for each in (x - half, y - half, x + half, y + half))
    cut = photo.at(factor).crop((left, top, right, bottom)).resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    return jpeg(cut.rotate(face.rotation), QUALITY)


def _page(body: str) -> bytes:
    title = Words("People on the photos", "照片中的人物")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{title.en} · {title.zh}</title>
<style>
{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<input type="radio" name="language" id="en" checked><label for="en" lang="en">English</label>
<input type="radio" name="language" id="zh"><label for="zh" lang="zh">中文</label>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
""".encode("utf-8", "backslashreplace")  # a file name may not be valid UTF-8


def _navigation(around: Sequence[str | None], place: str) -> str:
    words = Words("earlier", "上一页"), Words("later", "下一页")
    links = [f'<a href="{file}">{word}</a>' if file else "" for file, word in zip(around, words, strict=True)]
    return f"<nav>{links[0]} <b>{place}</b> {links[1]}</nav>"


def _summary(grouped: GroupedPhotos, files: dict[int, str]) -> Iterator[str]:
    people, n_photos, n_faces = grouped.grouping.people, len(grouped.embedded.photos), len(grouped.embedded.faces)
    n_several, n_poor = sum(len(person.faces) > 1 for person in people), grouped.n_too_poor
    yield _paragraph(
        f"{n_faces:,} faces on {n_photos:,} photos. {len(people):,} people, {n_several:,} of them with several faces. "
        f"{n_poor:,} faces are too poor to tell.",
        f"{n_photos:,} 张照片上有 {n_faces:,} 张人脸。共 {len(people):,} 人，其中 {n_several:,} 人有多张人脸。"
        f"{n_poor:,} 张人脸质量太差，无法判断。",
    )
    yield _on_rule(grouped.grouping.rule, n_faces - n_poor)
    yield _paragraph(
        "<b>These pages show faces.</b> Store and share them as carefully as the photos. "
        f"All faces are in {FACES_FILE}, all people in {PEOPLE_FILE}.",
        f"<b>这些页面显示人脸。</b>请像照片一样谨慎保存和分享。所有人脸见 {FACES_FILE}，所有人物见 {PEOPLE_FILE}。",
    )
    yield from _doubtful(grouped, files)


def _on_rule(rule: LinkRule, n_faces: int) -> str:
    wrong = rule.n_wrong_links(n_faces)
    return _paragraph(
        f"Faces are linked below the distance {rule.threshold:.3f}, with an FMR of {rule.fmr:.2g} for one comparison. "
        f"If all faces were of different people, {wrong:,.1f} wrong links would be expected. "
        "Two faces of one photo are two people.",
        f"距离低于 {rule.threshold:.3f} 的人脸视为同一人，单次比较的误匹配率（FMR）为 {rule.fmr:.2g}。"
        f"若所有人脸都属于不同的人，预计有 {wrong:,.1f} 个错误链接。同一张照片上的两张人脸视为两个人。",
    )


def _doubtful(grouped: GroupedPhotos, files: dict[int, str]) -> Iterator[str]:
    places = grouped.doubtful()
    if places:
        links = ", ".join(_link(place, files) for place in places[:MOST_DOUBTFUL])
        more = f" … ({PEOPLE_FILE})" if len(places) > MOST_DOUBTFUL else ""
        yield _paragraph(
            f"{len(places):,} people are in doubt: {links}{more}", f"{len(places):,} 人存疑（{links}{more}）"
        )


def _paragraph(en: str, zh: str) -> str:
    return f"<p>{Words(en, zh)}</p>"


def _link(place: int, files: dict[int, str]) -> str:
    return f'<a href="{files[place]}#p{place + 1}">{place + 1}</a>'


def _people(grouped: GroupedPhotos, places: Iterable[int], files: dict[int, str]) -> Iterator[str]:
    for place in places:
        person = grouped.grouping.people[place]
        kinds = {"doubt": bool(grouped.doubts(person)), "single": len(person.faces) == 1}
        classes = " ".join(kind for kind, is_so in kinds.items() if is_so)
        yield f'<section id="p{place + 1}" class="{classes}">\n<h2>{_title(grouped, place)}</h2>'
        yield from (f"<p>{words}</p>" for words in _notes(grouped, person, files))
        yield "<div>" + "\n".join(_faces(grouped, place)) + "</div>\n</section>"


def _title(grouped: GroupedPhotos, place: int) -> str:
    n_faces, name = len(grouped.grouping.people[place].faces), escape(grouped.names.get(place, ""))
    counted = Words("1 face" if n_faces == 1 else f"{n_faces:,} faces", f"{n_faces:,} 张人脸")
    return f"{place + 1} {name} <small>{counted}</small>"


def _notes(grouped: GroupedPhotos, person: GroupedPerson, files: dict[int, str]) -> Iterator[Words]:
    """Yield what is in doubt, and what it would take to split the person or to join it with another one."""
    split, rival = person.split, person.doubtful_rival(grouped.grouping.rule)
    if split is not None:
        n, fmr = len(split.faces), grouped.curve.fmr(split.distance)
        yield Words(
            f"The outlined faces ({n:,}) may show somebody else: their distance is {split.distance:.3f}, and an FMR "
            f"below {fmr:.2g} would split them off.",
            f"加框的人脸（{n:,} 张）可能是另一个人，距离为 {split.distance:.3f}，FMR 低于 {fmr:.2g} 时会分开。",
        )
    if rival is not None:
        fmr = grouped.curve.fmr(rival.distance)
        yield _on_rival(_link(rival.person, files), rival.distance, fmr, rival.is_on_one_picture)


def _on_rival(other: str, distance: float, fmr: float, is_on_one_picture: bool) -> Words:  # noqa: FBT001 - a fact
    if is_on_one_picture:
        return Words(
            f"Looks like person {other} (distance {distance:.3f}), but both are on one photo.",
            f"与第 {other} 号人物相似（距离 {distance:.3f}），但两者出现在同一张照片上。",
        )
    return Words(
        f"May be person {other}: the distance is {distance:.3f}, and an FMR above {fmr:.2g} would join them.",
        f"可能与第 {other} 号是同一人，距离为 {distance:.3f}，FMR 高于 {fmr:.2g} 时会合并。",
    )


def _faces(grouped: GroupedPhotos, place: int) -> Iterator[str]:
    apart = _apart(grouped.grouping.people[place])
    for face in shown_faces(grouped, place):
        photo = grouped.photo(face)
        source = f"{THUMBNAILS}/{thumbnail_name(photo, grouped.embedded.faces[face])}"
        outlined = ' class="apart"' if face in apart else ""
        words = escape(photo, quote=True)
        yield f'<img src="{source}"{outlined} alt="{words}" title="{words}" width="{SIDE_PX}" height="{SIDE_PX}">'
