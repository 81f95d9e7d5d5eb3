"""Finds the faces of a photo, of tight crops and lying pictures too; ordinary ones do not pay for these.

Where a face fills the picture, with forehead or chin cut off, the cascade finds a wrong or skewed face without
complaint. So when the largest face comes near the edge, or none is found, a border is added and the search repeated.
In a picture that lies on its side or stands on its head it finds nothing, or a false face. So when none is found, or
one that is in doubt, large faces are looked for in the other three ways up, and the surest way is taken.
"""

from ..runtime.runtime import DetectionPasses
from ..turn import taken
from ..types import Box, Rotation
from .cascade import Cascade, CascadeSettings, Found
from .views import Framed, Turned, View
from .wayup import LEAST_TURNED, SURE, SURER_BY, certainty

NEAR_EDGE_SHARE = 0.1  # of the face's own size
# The smallest face that is looked for in other ways up, as a share of the picture's longer side: where none was found,
# and where one is in doubt, as it is in upright photos too, which should not pay.
_WHERE_NONE, _WHERE_IN_DOUBT = 0.1, 0.2


class FaceFinder:
    """The cascade behind these rules. Safe to call from several threads."""

    def __init__(self, networks: DetectionPasses) -> None:
        self._cascade = Cascade(networks, CascadeSettings())
        self._where_none = Cascade(networks, CascadeSettings(min_face_share=_WHERE_NONE))
        self._where_in_doubt = Cascade(networks, CascadeSettings(min_face_share=_WHERE_IN_DOUBT))

    def __call__(self, photo: View, *, least_share: float = 0.0) -> Found:
        """The faces of a photo, as the cascade finds them."""
        with taken():
            return self._found(photo, least_share)

    def _found(self, photo: View, least_share: float) -> Found:
        found = _as_it_stands(self._cascade, photo, least_share)
        sure = _certainty(found)
        if sure >= SURE:
            return found
        coarse = self._where_in_doubt if found.faces else self._where_none
        others = {view: _certainty(coarse(view, least_share=1.0)) for view in _other_ways_up(photo)}
        surest = max(others, key=lambda view: others[view])
        if others[surest] <= max(sure + SURER_BY, LEAST_TURNED):
            return found
        turned = _as_it_stands(self._cascade, surest, least_share)
        return Found(tuple(surest.back(face) for face in turned.faces), turned.is_whole)


def _other_ways_up(photo: View) -> list[Turned]:
    rotations: tuple[Rotation, ...] = (90, 180, 270)
    return [Turned(photo, rotation) for rotation in rotations]


def _certainty(found: Found) -> float:
    """Of the largest face; that of none is less than all."""
    return certainty(found.faces[0]) if found.faces else float("-inf")


def _as_it_stands(cascade: Cascade, view: View, least_share: float) -> Found:
    """The faces of a view, looked for within a border too where that is needed."""
    found = cascade(view, least_share=least_share)
    if found.faces and not _is_near_edge(found.faces[0].box, view.size):
        return found
    framed = Framed.of(view)
    within = cascade(framed, least_share=least_share)
    if not within.faces:
        return found
    return Found(tuple(framed.back(face) for face in within.faces), within.is_whole)


def _is_near_edge(box: Box, size: tuple[int, int]) -> bool:
    margin_x, margin_y = NEAR_EDGE_SHARE * box.width, NEAR_EDGE_SHARE * box.height
    return (
        box.x < margin_x
        or box.y < margin_y
        or box.x + box.width > size[0] - margin_x
        or box.y + box.height > size[1] - margin_y
    )
