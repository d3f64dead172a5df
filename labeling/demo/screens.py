"""Pictures of phone screens under a macro lens, with one mark of known length each. Everything here is simulated."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 896, 552
PIXELS_PER_MM = 800  # the scale bar: 80 pixels are 0.1 mm
SCALE = 2  # marks are drawn twice as large and reduced, for soft edges


@dataclass(frozen=True)
class Screen:
    """What is on a screen. `length_mm` is the longest mark, end to end in a straight line; 0 without a mark."""

    number: int
    mark: str  # scratch, pit, discoloration, none
    length_mm: float
    factory: str
    line: str
    camera: str
    inspector: str
    blurred: bool

    @property
    def external_id(self) -> str:
        return f"screen-{self.number:03d}"

    def metadata(self) -> dict[str, Any]:
        """What the line knows about the screen and raters never see."""
        return {
            "factory": self.factory,
            "line": self.line,
            "camera": self.camera,
            "inspector": self.inspector,
            "scratch_mm": self.length_mm,
            "mark": self.mark,
            "sharpness": 0.1 if self.blurred else 0.9,
        }


def make_screens(count: int = 120, seed: int = 20) -> list[Screen]:
    """The demo's screens: mostly scratches of 0.05 to 0.8 mm, some pits and discolorations, a few without a mark.

    Camera 3 of line 17 is out of focus now and then: there the picture lets nobody decide.
    """
    rng = np.random.default_rng(seed)
    marks = ["scratch"] * 7 + ["pit"] * 2 + ["discoloration"]
    screens = []
    for number in range(1, count + 1):
        mark = "none" if number % 20 == 0 else marks[int(rng.integers(len(marks)))]
        # Dense where conventions differ (0.05 to 0.5 mm), thinner above.
        length = float(rng.uniform(0.05, 0.5) if rng.random() < 0.75 else rng.uniform(0.5, 0.8))
        if mark == "pit":
            length = float(rng.uniform(0.06, 0.35))
        elif mark == "discoloration":
            length = float(rng.uniform(0.3, 0.7))
        elif mark == "none":
            length = 0.0
        line = ("16", "17")[int(rng.integers(2))]
        camera = str(int(rng.integers(1, 4)))
        screens.append(
            Screen(
                number=number,
                mark=mark,
                length_mm=round(length, 2),
                factory=("Eastfield", "Norhaven")[int(rng.integers(2))],
                line=line,
                camera=camera,
                inspector=f"P{int(rng.integers(1, 5))}",
                blurred=camera == "3" and line == "17" and bool(rng.random() < 0.4),
            )
        )
    return screens


@cache
def _panel() -> np.ndarray:
    """The lit panel with its subpixels: float array (HEIGHT, WIDTH, 3)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    t3 = ((x / WIDTH + y / HEIGHT) / 2)[..., None]
    dark, mid, end = (np.array(colour, np.float32) for colour in ((28, 39, 51), (42, 57, 71), (22, 32, 42)))
    image = np.where(t3 < 0.55, dark + (mid - dark) * (t3 / 0.55), mid + (end - mid) * ((t3 - 0.55) / 0.45))
    for offset, colour, strength in ((1, (212, 87, 78), 0.10), (5, (88, 185, 106), 0.09), (9, (90, 134, 224), 0.12)):
        inside = (x % 12 >= offset) & (x % 12 < offset + 2) & (y % 12 >= 1) & (y % 12 < 10)
        image[inside] += (np.array(colour, np.float32) - image[inside]) * strength
    r = np.hypot((x / WIDTH - 0.5), (y / HEIGHT - 0.48) * HEIGHT / WIDTH * 1.2)
    return image * (1 - 0.5 * np.clip((r - 0.36) / 0.4, 0, 1))[..., None]


def _glare(rng: np.random.Generator) -> Image.Image:
    small = Image.new("L", (WIDTH // 8, HEIGHT // 8), 0)
    left = float(rng.uniform(0.1, 0.75)) * WIDTH / 8
    lean = float(rng.uniform(20, 45))
    ImageDraw.Draw(small).polygon(
        [(left + lean, -5), (left + lean + 20, -5), (left + 12, HEIGHT / 8 + 5), (left - 12, HEIGHT / 8 + 5)], fill=28
    )
    return small.filter(ImageFilter.GaussianBlur(3)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def _scratch(length: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Points of a slightly crooked line whose ends are `length` pixels apart, about the middle of the picture."""
    angle = math.radians(float(rng.uniform(-65, 65)))
    if abs(math.sin(angle)) * length > HEIGHT * SCALE * 0.8:
        angle = math.copysign(math.asin(HEIGHT * SCALE * 0.8 / length), angle)
    dx, dy = math.cos(angle), math.sin(angle)
    room_x = max(0.0, WIDTH * SCALE * 0.86 - abs(dx) * length) / 2
    room_y = max(0.0, HEIGHT * SCALE * 0.86 - abs(dy) * length) / 2
    cx = WIDTH * SCALE / 2 + float(rng.uniform(-room_x, room_x)) * 0.8
    cy = HEIGHT * SCALE / 2 + float(rng.uniform(-room_y, room_y)) * 0.7
    steps = max(6, int(length / 18))
    drift = np.cumsum(rng.normal(0, 1.1, steps + 1))
    drift -= np.linspace(drift[0], drift[-1], steps + 1)
    return [
        (cx + dx * (i / steps - 0.5) * length - dy * d, cy + dy * (i / steps - 0.5) * length + dx * d)
        for i, d in enumerate(drift)
    ]


def _draw_mark(screen: Screen, image: Image.Image, rng: np.random.Generator) -> Image.Image:
    length = screen.length_mm * PIXELS_PER_MM * SCALE
    if screen.mark == "none" or length == 0:
        return image
    large = (WIDTH * SCALE, HEIGHT * SCALE)
    mask, shade = Image.new("L", large, 0), Image.new("L", large, 0)
    pen, under = ImageDraw.Draw(mask), ImageDraw.Draw(shade)
    centre = (
        WIDTH * SCALE * float(rng.uniform(0.3, 0.7)),
        HEIGHT * SCALE * float(rng.uniform(0.32, 0.68)),
    )
    if screen.mark == "scratch":
        points = _scratch(length, rng)
        for i, (a, b) in enumerate(pairwise(points)):
            # Thin at both ends, as scratches are.
            width = 2 + 5 * SCALE * math.sin(math.pi * (i + 0.7) / (len(points) + 0.4)) ** 0.7 * float(
                rng.uniform(0.7, 1)
            )
            width = max(2, width * min(1.0, 0.35 + screen.length_mm))
            pen.line([a, b], fill=235, width=round(width), joint="curve")
            under.line([(a[0] + 3, a[1] + 5), (b[0] + 3, b[1] + 5)], fill=150, width=round(width) + 2)
        colour = (219, 229, 239)
    elif screen.mark == "pit":
        rx, ry = length / 2, length / 2 * 0.8
        box = (centre[0] - rx, centre[1] - ry, centre[0] + rx, centre[1] + ry)
        under.ellipse(box, fill=240)
        pen.arc(box, 200, 330, fill=220, width=3 * SCALE)
        colour = (200, 212, 224)
    else:
        rx, ry = length / 2, length / 2 * 0.62
        pen.ellipse((centre[0] - rx, centre[1] - ry, centre[0] + rx, centre[1] + ry), fill=70)
        colour = (226, 196, 128)
    mask, shade = mask.reduce(SCALE), shade.reduce(SCALE).filter(ImageFilter.GaussianBlur(1.4))
    if screen.mark == "discoloration":
        mask = mask.filter(ImageFilter.GaussianBlur(26))
    image.paste(Image.new("RGB", image.size, (4, 7, 10)), (0, 0), shade)
    image.paste(Image.new("RGB", image.size, colour), (0, 0), mask)
    return image


def draw_screen(screen: Screen) -> bytes:
    """The picture as JPEG; the same screen always gives the same bytes on one version of Pillow."""
    rng = np.random.default_rng(1000 + screen.number)
    image = Image.fromarray(_panel().clip(0, 255).astype(np.uint8))
    image.paste((255, 255, 255), (0, 0, WIDTH, HEIGHT), _glare(rng))
    pen = ImageDraw.Draw(image)
    for _ in range(24):
        x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
        radius, tone = rng.uniform(0.6, 1.6), int(rng.uniform(70, 150))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(tone, tone + 6, tone + 12))
    image = _draw_mark(screen, image, rng)
    if screen.blurred:
        image = image.filter(ImageFilter.GaussianBlur(22))
    _draw_scale_bar(image)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=86)
    return out.getvalue()


def _draw_scale_bar(image: Image.Image) -> None:
    pen = ImageDraw.Draw(image, "RGBA")
    pen.rounded_rectangle((16, HEIGHT - 50, 114, HEIGHT - 14), 4, fill=(14, 17, 22, 204))
    pen.line(
        [(24, HEIGHT - 22), (24, HEIGHT - 28), (104, HEIGHT - 28), (104, HEIGHT - 22)],
        fill=(255, 255, 255, 255),
        width=2,
    )
    pen.text((64, HEIGHT - 40), "0.1 mm", fill=(255, 255, 255, 255), anchor="mm", font_size=13)
