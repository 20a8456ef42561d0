"""A seeded generator of 32×32 pixel-art monsters with captions, in the published task's format.

A monster is a body, a colour and a feature; an image shows it in one of five actions. All shapes are
inequalities evaluated at pixel centres, so that a pose is one affine map of the coordinates and the
same monster squashes, leans and hops without a second drawing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Shape = Callable[[NDArray[np.float64], NDArray[np.float64]], Mask]
    Colour = tuple[int, int, int]

SIZE = 32

BODIES = {name: name for name in ("slime", "mushroom", "ghost", "snake", "crab", "golem", "bird", "octopus")}
# Every name starts with a consonant: "A red …" stays English whichever colour is put in its place.
COLOURS = {name: name for name in ("red", "yellow", "green", "blue", "purple", "pink", "brown", "grey")}
FEATURES = {
    "horns": "with horns",
    "crown": "with a crown",
    "wings": "with wings",
    "spikes": "with spikes",
    "eye": "with one big eye",
    "spots": "with spots",
}
ACTIONS = {
    "stand": "standing",
    "move": "moving",
    "attack": "attacking",
    "hit": "being hit",
    "die": "dying",
}
ATTRIBUTES = {"body": BODIES, "colour": COLOURS, "feature": FEATURES, "action": ACTIONS}
"""Attribute → {name: its phrase, as it stands in the captions}."""

RGB: dict[str, Colour] = {
    "red": (222, 52, 48),
    "yellow": (250, 214, 52),
    "green": (84, 184, 72),
    "blue": (58, 116, 232),
    "purple": (138, 62, 196),
    "pink": (255, 150, 200),
    "brown": (140, 88, 48),
    "grey": (150, 154, 164),
}
WHITE: Colour = (255, 255, 255)
INK: Colour = (36, 28, 44)
CREAM: Colour = (250, 232, 196)
GOLD: Colour = (255, 190, 30)
BEAK: Colour = (250, 150, 40)
FEATHER: Colour = (226, 240, 255)
STEEL: Colour = (92, 92, 108)
SLASH: Colour = (96, 220, 236)
STAR: Colour = (255, 232, 60)
WIND: Colour = (176, 190, 206)


class Monster(NamedTuple):
    """One of the 8 × 8 × 6 monsters, by the names of its attributes."""

    body: str
    colour: str
    feature: str


# Shapes in a monster's own pixels: x to its right, y down, (0, 0) between its feet.


def ellipse(x: float, y: float, rx: float, ry: float) -> Shape:
    """The inside of an ellipse with upright axes."""
    return lambda u, v: ((u - x) / rx) ** 2 + ((v - y) / ry) ** 2 <= 1.0


def polygon(*points: tuple[float, float]) -> Shape:
    """The inside of a polygon by the even-odd rule."""

    def inside(u: NDArray[np.float64], v: NDArray[np.float64]) -> Mask:
        result = np.zeros(u.shape, dtype=bool)
        for (x0, y0), (x1, y1) in zip(points, (*points[1:], points[0]), strict=True):
            if y0 != y1:
                result ^= ((y0 > v) != (y1 > v)) & (u < (x1 - x0) * (v - y0) / (y1 - y0) + x0)
        return result

    return inside


def box(x0: float, y0: float, x1: float, y1: float) -> Shape:
    """The inside of an upright rectangle."""
    return lambda u, v: (u >= x0) & (u <= x1) & (v >= y0) & (v <= y1)


def limb(x0: float, y0: float, x1: float, y1: float, r: float) -> Shape:
    """A line with round ends: all points within ``r`` of the segment."""

    def near(u: NDArray[np.float64], v: NDArray[np.float64]) -> Mask:
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((u - x0) * dx + (v - y0) * dy) / (dx * dx + dy * dy), 0.0, 1.0)
        return (u - x0 - along * dx) ** 2 + (v - y0 - along * dy) ** 2 <= r * r

    return near


def union(*shapes: Shape) -> Shape:
    """All points of any of the shapes."""
    return lambda u, v: np.logical_or.reduce([shape(u, v) for shape in shapes])


def mirrored(shape: Shape, x: float = 0.0) -> Shape:
    """The shape and its mirror image about the vertical line at ``x``."""
    return lambda u, v: shape(u, v) | shape(2 * x - u, v)


def cut(shape: Shape, hole: Shape) -> Shape:
    """The shape without the hole."""
    return lambda u, v: shape(u, v) & ~hole(u, v)


@dataclass(frozen=True)
class Anatomy:
    """A body: its coloured parts from back to front, and where features and the face sit."""

    parts: tuple[Shape, ...]
    hull: tuple[float, float, float, float]
    """Centre and radii of the ellipse that carries wings, spikes and spots."""
    head: tuple[float, float]
    """Middle of the top of the head."""
    face: tuple[float, float]
    plain: tuple[tuple[Shape, Colour], ...] = ()
    """Parts in a colour of their own, behind the coloured ones."""


ANATOMY = {
    "slime": Anatomy(
        parts=(union(ellipse(0, -6.5, 8.5, 7.5), cut(ellipse(0, -2, 11, 4), box(-20, 0, 20, 9))),),
        hull=(0, -6.5, 8.5, 7.5),
        head=(0, -13.5),
        face=(0, -5.5),
    ),
    "mushroom": Anatomy(
        parts=(cut(ellipse(0, -8.5, 11, 9), box(-20, -8, 20, 9)),),
        hull=(0, -8.5, 11, 9),
        head=(0, -17),
        face=(0, -4.5),
        plain=((union(box(-5, -9, 5, -2), ellipse(0, -2.5, 5.6, 2.5)), CREAM),),
    ),
    "ghost": Anatomy(
        parts=(
            cut(
                union(ellipse(0, -12, 7, 8), box(-7, -12, 7, -1), mirrored(ellipse(7.5, -8, 2.5, 2.2))),
                mirrored(ellipse(2.6, -0.5, 1.6, 2.6)),
            ),
        ),
        hull=(0, -11, 7, 9),
        head=(0, -19.5),
        face=(0, -12),
    ),
    "snake": Anatomy(
        parts=(
            union(cut(ellipse(0, -2.5, 10.5, 3.4), box(-20, 0, 20, 9)), limb(-9, -3, -13, -7, 1.3)),
            ellipse(0.5, -6.5, 7.5, 2.8),
            union(limb(0.5, -7, 0, -12, 2.8), ellipse(0, -14, 6.5, 4.8)),
        ),
        hull=(0, -11, 6.5, 8),
        head=(0, -18.3),
        face=(0, -14),
        plain=((limb(4, -12, 10.5, -10.5, 0.9), (228, 40, 70)),),
    ),
    "crab": Anatomy(
        parts=(
            mirrored(union(limb(6, -4, 10, -0.8, 1.0), limb(3.5, -3, 5.5, -0.8, 1.0))),
            mirrored(
                union(
                    limb(7.5, -7, 11, -10, 1.2),
                    cut(ellipse(11, -12.5, 3.8, 3.8), polygon((11, -12), (9.4, -18), (12.6, -18))),
                )
            ),
            ellipse(0, -6.5, 8.8, 5.2),
        ),
        hull=(0, -8, 8.8, 7),
        head=(0, -11),
        face=(0, -7),
    ),
    "golem": Anatomy(
        parts=(
            mirrored(box(1.5, -5, 5.5, 0)),
            mirrored(box(8, -14, 12, -3)),
            box(-7.5, -14, 7.5, -4),
            box(-5, -20, 5, -13),
        ),
        hull=(0, -11, 8.5, 9),
        head=(0, -19.5),
        face=(0, -16),
    ),
    "bird": Anatomy(
        parts=(
            polygon((-6, -11), (-14, -15), (-13, -8), (-6, -6)),
            union(ellipse(-1, -8.5, 7.5, 6), ellipse(4, -14.5, 5, 5)),
        ),
        hull=(-1.5, -8.5, 7, 6),
        head=(4, -19),
        face=(5, -15),
        plain=(
            (polygon((8, -17), (14, -13.5), (8, -11.5)), BEAK),
            (union(limb(-3, -4, -3, -0.8, 0.9), limb(2, -4, 2, -0.8, 0.9)), BEAK),
        ),
    ),
    "octopus": Anatomy(
        parts=(
            mirrored(union(limb(5, -7, 11, -2, 1.9), limb(11, -2, 13, -4, 1.4), limb(2.5, -6, 4, -1.8, 1.8))),
            ellipse(0, -12, 8, 7),
        ),
        hull=(0, -12, 8, 7),
        head=(0, -18.5),
        face=(0, -10.5),
    ),
}


@dataclass(frozen=True)
class Pose:
    """How an action moves the body. Lengths in pixels; scales and lean without a unit."""

    x: float = 0.0
    hop: float = 0.0
    lean: float = 0.0
    width: float = 1.0
    height: float = 1.0


POSES = {
    "stand": Pose(),
    "move": Pose(x=2.5, hop=2.0, lean=0.22),
    "attack": Pose(x=-3.0, lean=0.12, width=0.95),
    "hit": Pose(x=-2.5, lean=-0.28, width=0.95, height=0.95),
    "die": Pose(width=1.08, height=0.6),
}

BREATHS = ((1.0, 1.0), (1.04, 0.95), (0.97, 1.05))
"""Width and height that a frame is scaled by."""


def tint(colour: Colour, towards: Colour, share: float) -> Colour:
    """A mixture: 0 is ``colour``, 1 is ``towards``."""
    r, g, b = (round(a + (z - a) * share) for a, z in zip(colour, towards, strict=True))
    return r, g, b


def grown(mask: Mask) -> Mask:
    """The mask and its four-neighbours: what an outline covers."""
    padded = np.pad(mask, 1)
    return mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]


class Canvas:
    """A white 32×32 picture that shapes are painted on, through the pose's affine map."""

    def __init__(self) -> None:
        self.pixels = np.full((SIZE, SIZE, 3), 255, dtype=np.uint8)
        self._y, self._x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
        self.place(Pose())

    def place(self, pose: Pose) -> None:
        """Shapes painted from now on stand in ``pose``."""
        self._v = (self._y - 30.0 + pose.hop) / pose.height
        self._u = (self._x - 16.0 - pose.x + pose.lean * self._v) / pose.width

    def mask(self, shape: Shape) -> Mask:
        """The pixels whose centres lie in the shape, as it stands in the present pose."""
        return shape(self._u, self._v)

    def paint(self, shape: Shape | Mask, colour: Colour, *, outline: bool = True) -> Mask:
        """Fill a shape, or a mask of pixels, over what is there. Returns the filled pixels."""
        mask = shape if isinstance(shape, np.ndarray) else self.mask(shape)
        if outline:
            self.pixels[grown(mask)] = tint(INK, colour, 0.12)
        self.pixels[mask] = colour
        return mask


def draw(monster: Monster, action: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One frame of a monster as uint8 [32, 32, 3]. ``rng`` gives the frame's small variations."""
    anatomy, colour = ANATOMY[monster.body], RGB[monster.colour]
    pose = POSES[action]
    # Whole pixels and a few breaths: outlines fall alike in all frames, as in drawn pixel art.
    width, height = BREATHS[rng.integers(len(BREATHS))]
    pose = Pose(
        x=pose.x + int(rng.integers(-1, 2)),
        hop=pose.hop + int(rng.integers(0, 2)),
        lean=pose.lean,
        width=pose.width * width,
        height=pose.height * height,
    )
    canvas = Canvas()
    if action == "move":
        _wind(canvas, rng)
    canvas.place(pose)
    _behind(canvas, monster.feature, anatomy)
    for shape, own in anatomy.plain:
        canvas.paint(shape, own)
    flesh = np.zeros((SIZE, SIZE), dtype=bool)
    for part in anatomy.parts:
        mask = canvas.paint(part, colour)
        # Light comes from the upper left: the pixels before the lower right edge are in shade.
        edge = mask & ~np.pad(mask, ((0, 2), (0, 1)))[2:, 1:]
        canvas.paint(edge, tint(colour, INK, 0.25), outline=False)
        flesh |= mask
    if monster.feature == "spots":
        _spots(canvas, anatomy, flesh, tint(colour, WHITE, 0.72))
    _face(canvas, monster, action, anatomy.face)
    _on_top(canvas, monster.feature, anatomy)
    canvas.place(Pose())
    _effect(canvas, action, rng)
    return canvas.pixels


def _behind(canvas: Canvas, feature: str, anatomy: Anatomy) -> None:
    x, y, rx, ry = anatomy.hull
    if feature == "wings":
        root, shoulder = 0.55 * rx, y - 0.5 * ry
        wing = union(
            polygon(
                (0, y), (root, shoulder - 3), (root + 4, shoulder - 8), (root + 7, shoulder - 1), (0, y + 3)
            ),
            limb(root + 3, shoulder - 3, root + 5, shoulder - 7, 2.6),
        )
        canvas.paint(lambda u, v: mirrored(wing)(u - x, v), FEATHER)
    if feature == "spikes":
        angles = np.deg2rad(np.linspace(-172, -8, 7))
        spikes = []
        for a in angles:
            tip = (x + (rx + 5.5) * np.cos(a), y + (ry + 5.5) * np.sin(a))
            foot = [(x + rx * 0.9 * np.cos(b), y + ry * 0.9 * np.sin(b)) for b in (a - 0.2, a + 0.2)]
            spikes.append(polygon(tip, *foot))
        canvas.paint(union(*spikes), STEEL)


def _on_top(canvas: Canvas, feature: str, anatomy: Anatomy) -> None:
    x, y = anatomy.head
    if feature == "horns":
        horn = polygon((1, 1.5), (4.5, 2.5), (6.5, -1), (6, -5.5), (4, -2), (1.5, -0.5))
        canvas.paint(lambda u, v: mirrored(horn)(u - x, v - y), CREAM)
    if feature == "crown":
        crown = polygon(
            (-4.5, 2), (-5, -4.5), (-2.4, -1.6), (0, -5.5), (2.4, -1.6), (5, -4.5), (4.5, 2)
        )  # fmt: skip
        canvas.paint(lambda u, v: crown(u - x, v - y), GOLD)


def _spots(canvas: Canvas, anatomy: Anatomy, flesh: Mask, colour: Colour) -> None:
    x, y, rx, ry = anatomy.hull
    places = ((-0.62, -0.3), (0.66, -0.25), (0.02, -0.72), (-0.5, 0.5), (0.55, 0.52))
    spots = union(*(ellipse(x + a * rx, y + b * ry, 1.9, 1.9) for a, b in places))
    canvas.paint(canvas.mask(spots) & flesh, colour, outline=False)


def _face(canvas: Canvas, monster: Monster, action: str, face: tuple[float, float]) -> None:
    x, y = face
    if monster.feature == "eye":
        canvas.paint(ellipse(x, y - 0.5, 4, 4), WHITE)
        pupil = _cross(x, y - 0.5, 2.6) if action == "die" else ellipse(x + 0.5, y - 0.5, 1.8, 2.1)
        if action == "hit":
            pupil = box(x - 3, y - 1.1, x + 3, y + 0.6)
        canvas.paint(pupil, INK, outline=False)
        return
    left, right = x - 2.7, x + 2.7
    if action == "die":
        canvas.paint(union(_cross(left, y, 1.7), _cross(right, y, 1.7)), INK, outline=False)
    elif action == "hit":
        canvas.paint(
            mirrored(union(limb(x + 4, y - 2, x + 1.5, y, 0.6), limb(x + 1.5, y, x + 4, y + 2, 0.6)), x),
            INK,
            outline=False,
        )
    else:
        for eye in (left, right):
            canvas.paint(box(eye - 1.5, y - 2, eye + 1.5, y + 2), WHITE, outline=False)
            canvas.paint(box(eye - 0.5, y - 1, eye + 1.5, y + 2), INK, outline=False)


def _cross(x: float, y: float, r: float) -> Shape:
    """An x for an eye, drawn tall because the pose of the dying flattens it."""
    tall = r / POSES["die"].height
    return union(limb(x - r, y - tall, x + r, y + tall, 0.7), limb(x - r, y + tall, x + r, y - tall, 0.7))


def _wind(canvas: Canvas, rng: np.random.Generator) -> None:
    shift = int(rng.integers(-1, 2))
    lines = [box(-15, y, -9 + shift * k, y + 1.5) for y, k in ((-20, 1), (-14, -1), (-8, 1))]
    canvas.paint(union(*lines), WIND, outline=False)


def _effect(canvas: Canvas, action: str, rng: np.random.Generator) -> None:
    dx, dy = rng.integers(-1, 2, size=2)
    if action == "attack":
        arc = cut(ellipse(7 + dx, -14 + dy, 8, 12), ellipse(3.5 + dx, -14 + dy, 8, 11.5))
        canvas.paint(arc, SLASH)
    if action == "hit":
        angles = np.deg2rad(np.arange(0, 360, 36))
        radii = np.where(np.arange(10) % 2 == 0, 6.0, 2.8)
        star = zip(10 + dx + radii * np.sin(angles), -21 + dy - radii * np.cos(angles), strict=True)
        canvas.paint(polygon(*star), STAR)
    if action == "die":
        halo = cut(ellipse(dx, -23 + dy, 6, 2.8), ellipse(dx, -23 + dy, 3.6, 1.2))
        canvas.paint(halo, STAR, outline=True)


def descriptions(monster: Monster) -> list[str]:
    """Three paraphrases that name colour, body and feature."""
    body, colour, feature = BODIES[monster.body], COLOURS[monster.colour], FEATURES[monster.feature]
    return [
        f"A {colour} {body} monster {feature}.",
        f"Pixel art of a {colour} {body} {feature}.",
        f"A monster {feature}: a {colour} {body}.",
    ]


def action_sentence(action: str) -> str:
    """What the action adds to a description."""
    return f"The monster is {ACTIONS[action]}."


def monsters() -> list[Monster]:
    """All 384, in a fixed order; a monster's number in file names is its index here."""
    return [Monster(b, c, f) for b in BODIES for c in COLOURS for f in FEATURES]


def held_out() -> set[Monster]:
    """64 monsters that no training image shows: for each body and colour one feature."""
    features = list(FEATURES)
    return {
        Monster(body, colour, features[(i + j) % len(features)])
        for i, body in enumerate(BODIES)
        for j, colour in enumerate(COLOURS)
    }


def generate(out: Path, seed: int = 0, *, frames: int = 2) -> None:
    """Write the whole data set below ``out``: 320 monsters to train on, 128 test prompts with images.

    Writes ``train_info.json``, ``train/<monster>_<action>1_<frame>.png``, ``test.json`` and
    ``test/<monster>_<action>1.png``. The same seed and frames give the same bytes.
    """
    (out / "train").mkdir(parents=True, exist_ok=True)
    (out / "test").mkdir(parents=True, exist_ok=True)
    hidden = held_out()
    actions = list(ACTIONS)
    train: dict[str, object] = {}
    test: dict[str, object] = {}
    for number, monster in enumerate(monsters()):
        if monster in hidden:
            rank = len(test)  # two a monster, so that the ten (pair, action) slots come round evenly
            for action in (actions[rank % 5], actions[(rank + 1) % 5]):
                rng = np.random.default_rng((seed, number, actions.index(action)))
                text = str(rng.choice(descriptions(monster)))
                key = f"{number}_{action}1"
                test[key] = {
                    "image_name": f"{key}.png",
                    "given_description": text,
                    "action_description": action_sentence(action),
                    "text_prompt": f"{text} {action_sentence(action)}",
                }
                _save(draw(monster, action, rng), out / "test" / f"{key}.png")
            continue
        for action in actions:
            key = f"{number}_{action}1"
            train[key] = {
                "original_name": "_".join(monster),
                "given_description": descriptions(monster),
                "action_description": action_sentence(action),
                "num_frames": frames,
            }
            for frame in range(frames):
                rng = np.random.default_rng((seed, number, actions.index(action), frame))
                _save(draw(monster, action, rng), out / "train" / f"{key}_{frame}.png")
    for name, entries in (("train_info.json", train), ("test.json", test)):
        (out / name).write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def _save(pixels: NDArray[np.uint8], path: Path) -> None:
    Image.fromarray(pixels, "RGB").save(path, format="PNG")
