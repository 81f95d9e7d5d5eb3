"""Many small pictures as one, to be looked at: what a network is shown in a run."""

from io import BytesIO

from PIL import Image
from torch import Tensor

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
