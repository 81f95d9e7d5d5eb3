"""From chips as they are cut to pictures at the network's size, each changed by chance as the run file says.

Every face has its own numbers, for every change; none of them is shared within a batch.
"""

from io import BytesIO

from numpy.random import Generator
from PIL import Image
from torch import Tensor

from embedder import Pixels

from ..runfile.schema import Augmentation
from .geometric import mirror, placed, turn, windows
from .photometric import blur, compress, lower_resolution, recolor, remove_color


class Augmenter:
    """All changes in the order in which `Augmentation` lists them, for pictures of `side_px` by `side_px`.

    They show the middle `crop_px` of a chip, as the network does; crops and turns may show what is around it.

    Only the mirror comes after the crop, where there is less to exchange; what is drawn is as likely either way.

    Whatever is not drawn leaves its face untouched: with every probability 0 the pictures are the chips, resized as the
    network itself does it. The same state of the generator gives the same pictures, and one change set to another
    probability draws the same numbers for the others.
    """

    def __init__(self, settings: Augmentation, side_px: int, crop_px: int) -> None:
        self._settings, self._side_px, self._crop_px = settings, side_px, crop_px

    def __call__(self, chips: Pixels, generator: Generator) -> Tensor:
        """Map chips (n, chip, chip, 3) to uint8 (n, 3, side, side), channels last in memory."""
        settings, (n, chip_px) = self._settings, chips.shape[:2]
        pictures = placed(chips, windows(n, settings.crop, generator, chip_px, self._crop_px), self._side_px)
        mirror(pictures, settings.mirror, generator)
        turn(pictures, settings.rotation, generator)
        recolor(pictures, settings.color, generator)
        remove_color(pictures, settings.grey, generator)
        lower_resolution(pictures, settings.low_resolution, generator, chip_px)
        blur(pictures, settings.blur, generator, chip_px)
        compress(pictures, settings.jpeg, generator)
        return pictures


COLUMNS = 8
GAP_PX = 2


def sheet(pictures: Tensor) -> bytes:
    """Lay uint8 pictures (n, 3, side, side) in rows of eight, as a PNG. Raises ValueError for none."""
    if not len(pictures):
        raise ValueError("a sheet needs at least one picture")
    step = pictures.shape[-1] + GAP_PX
    n_rows = -(-len(pictures) // COLUMNS)
    paper = Image.new("RGB", (COLUMNS * step - GAP_PX, n_rows * step - GAP_PX), "white")
    for k, picture in enumerate(pictures.permute(0, 2, 3, 1).contiguous().numpy()):
        paper.paste(Image.fromarray(picture), (k % COLUMNS * step, k // COLUMNS * step))
    file = BytesIO()
    paper.save(file, "PNG")
    return file.getvalue()
