"""Draw the face that the API's description sends as an example, and print it as base64; it shows no person.

python tools/draw_example_face.py
"""

import base64
import textwrap
from io import BytesIO

from PIL import Image, ImageDraw, ImageFilter

SIDE_PX, ZOOM = 128, 4  # drawn four times as large, for smooth edges
BLUR_PX = 0.9
WALL, CLOTH, SKIN, SHADE, HAIR = (150, 160, 170), (60, 70, 110), (214, 172, 146), (192, 148, 124), (58, 40, 30)
WHITE, IRIS, PUPIL, LIP, LIPS_LINE = (240, 238, 235), (70, 48, 34), (10, 8, 8), (180, 92, 88), (110, 50, 50)


class Pencil:
    """Draws in units of the small picture."""

    def __init__(self) -> None:
        self.picture = Image.new("RGB", (SIDE_PX * ZOOM, SIDE_PX * ZOOM), WALL)
        self._draw = ImageDraw.Draw(self.picture)

    def oval(self, x: float, y: float, half_width: float, half_height: float, color: tuple[int, int, int]) -> None:
        box = [(x - half_width), (y - half_height), (x + half_width), (y + half_height)]
        self._draw.ellipse([edge * ZOOM for edge in box], fill=color)

    def arc(self, box: tuple[float, float, float, float], angles: tuple[int, int], width: float) -> None:
        self._draw.arc([edge * ZOOM for edge in box], *angles, fill=HAIR, width=int(width * ZOOM))

    def fringe(self) -> None:
        self._draw.chord([edge * ZOOM for edge in (33, 18, 95, 70)], 190, 350, fill=HAIR)

    def eye(self, x: float) -> None:
        self.oval(x, 63, 8, 5, SHADE)
        self.oval(x, 64, 6.5, 3.4, WHITE)
        self.oval(x, 64, 3.2, 3.3, IRIS)
        self.oval(x, 64, 1.5, 1.5, PUPIL)
        self.arc((x - 7.5, 59.5, x + 7.5, 70), (195, 345), 1.2)
        self.arc((x - 9, 52, x + 9, 66), (205, 335), 2.4)


def face() -> Image.Image:
    pencil = Pencil()
    pencil.oval(64, 140, 52, 36, CLOTH)
    pencil.oval(64, 100, 12, 18, SHADE)  # neck
    pencil.oval(64, 54, 39, 44, HAIR)
    pencil.oval(64, 66, 31, 41, SKIN)
    pencil.oval(34, 68, 4, 9, SHADE)  # ears
    pencil.oval(94, 68, 4, 9, SHADE)
    pencil.fringe()
    pencil.eye(51)
    pencil.eye(77)
    pencil.oval(64, 76, 4, 9, (204, 160, 134))  # nose
    pencil.oval(64, 83, 6.5, 3.6, SHADE)
    pencil.oval(61, 85, 1.6, 1.1, LIPS_LINE)
    pencil.oval(67, 85, 1.6, 1.1, LIPS_LINE)
    pencil.oval(64, 95.5, 12, 5, LIP)
    pencil.oval(64, 95.8, 11, 0.6, LIPS_LINE)
    smooth = pencil.picture.filter(ImageFilter.GaussianBlur(BLUR_PX * ZOOM))
    return smooth.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)


def main() -> None:
    file = BytesIO()
    face().save(file, "WEBP", quality=40)
    print("\n".join(textwrap.wrap(base64.b64encode(file.getvalue()).decode(), 110)))


if __name__ == "__main__":
    main()
