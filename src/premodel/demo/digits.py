"""Digits in the street: an embedded, deterministic, labelled image set with a continuum of difficulty.

A scene is a 64x64 colour picture: one real handwritten digit (scikit-learn's `load_digits`) painted into a crop of a
real photograph (scikit-learn's two sample images). One number in [0, 1], the *difficulty*, drives everything that
makes it hard to read: size, position, rotation, colour close to the background's, texture, clutter, occlusion, low
light, blur and noise. Around 0 the digit is large, upright and of strong contrast; around 1 most people still read it.

The splits share nothing but the photographs' files: other handwriting samples, and other regions of each photograph.
A scene depends on (seed, split, index) alone, so the first 100 of 10,000 scenes are the 100 scenes of a shorter run.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from premodel.errors import MissingExtraError, OptionError
from premodel.files import write_whole

Split = Literal["train", "test"]
Image = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]

PHOTOGRAPHS = ("china.jpg", "flower.jpg")
SIZE = 64  # side of a scene, pixels
GLYPH = 40  # side of an enlarged handwriting sample with its margin, pixels
INK = 0.8  # share of GLYPH that the 8x8 sample fills: 8 of 10 pixels
TEST_SHARE = 0.3  # of the handwriting samples of each digit
TEST_REGION = 0.4  # of the width of each photograph: its right side
SPLIT_SEED = 20180619  # fixes which handwriting samples are test samples; independent of the scenes' seed
NUISANCES = ("scale", "offset", "rotation", "contrast", "texture", "clutter", "occlusion", "light", "blur", "noise")


@dataclass(frozen=True, eq=False)
class Scene:
    """One picture: `image` uint8 (64, 64, 3) RGB, its `label` 0..9 and its `difficulty` in [0, 1]."""

    image: Image
    label: int
    difficulty: float


@dataclass(frozen=True, eq=False)
class Sources:
    """What the scenes of one split are made of.

    For each digit c, `samples[c]` are the indices of its handwriting samples in `load_digits` and `glyphs[c]` their
    stroke masks, float32 (len(samples[c]), GLYPH, GLYPH) in [0, 1]; `photographs` are the split's regions, uint8 RGB.
    """

    samples: tuple[Array, ...]
    glyphs: tuple[Array, ...]
    photographs: tuple[Array, ...]


@functools.cache
def sources(split: Split) -> Sources:
    """Load the handwriting samples and photographs of `split`.

    Raises MissingExtraError without scikit-learn, OptionError for an unknown split.
    """
    if split not in get_args(Split):
        raise OptionError("unknown split", where="digits", given=split, allowed="train, test")
    try:
        from sklearn.datasets import load_digits

        digits, photographs = load_digits(), [_decode(name) for name in PHOTOGRAPHS]
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "demo") from error
    order = np.random.default_rng(SPLIT_SEED).permutation(len(digits.target))
    samples = []
    for label in range(10):
        mine = order[digits.target[order] == label]
        cut = round(TEST_SHARE * len(mine))
        samples.append(mine[:cut] if split == "test" else mine[cut:])
    glyphs = (np.stack([_enlarge(sample) for sample in digits.images[mine]]) for mine in samples)
    return Sources(tuple(samples), tuple(glyphs), tuple(_region(p, split) for p in photographs))


def generate(n: int, *, seed: int, split: Split, start: int = 0) -> Iterator[Scene]:
    """Yield the scenes `start`, ..., `n - 1` of (`seed`, `split`); their difficulties are uniform on [0, 1].

    Raises OptionError for a negative number or an unknown split, MissingExtraError without scikit-learn.
    """
    for name, value in (("n", n), ("seed", seed), ("start", start)):
        if value < 0:
            raise OptionError(f"{name} is negative", where="digits", given=value, allowed="0 or more")
    material, stream = sources(split), get_args(Split).index(split)
    return (_scene(material, np.random.Generator(np.random.PCG64([seed, stream, i]))) for i in range(start, n))


def write(directory: Path, n: int, seed: int, split: Split, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write `n` scenes as PNG files and `labels.csv` (`path,label,difficulty`) into `directory`; return the CSV's path.

    An interrupted call is resumed by the same call: a file that already holds the right bytes is left as it is. Each
    file appears whole or not at all, `labels.csv` last. `progress(done, n)` is called after every scene. Raises as
    `generate` does.
    """
    directory.mkdir(parents=True, exist_ok=True)
    table = io.StringIO(newline="")
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("path", "label", "difficulty"))
    for index, scene in enumerate(generate(n, seed=seed, split=split)):
        name = f"{split}-{seed}-{index:06d}.png"
        _, png = cv2.imencode(".png", cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR))
        _replace(directory / name, png.tobytes())
        rows.writerow((name, scene.label, repr(scene.difficulty)))
        if progress is not None:
            progress(index + 1, n)
    _replace(directory / "labels.csv", table.getvalue().encode())
    return directory / "labels.csv"


def _replace(path: Path, content: bytes) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    write_whole(path, content, durable=False)


def _decode(name: str) -> Array:
    """Read one of scikit-learn's sample images; its own `load_sample_images` would need Pillow for the same bytes."""
    encoded = resources.files("sklearn.datasets.images").joinpath(name).read_bytes()
    return np.asarray(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB))


def _enlarge(sample: npt.NDArray[np.float64]) -> Array:
    """Turn an 8x8 sample of 0..16 into a stroke mask: cubic enlargement, then a steeper edge as of a pen."""
    page = np.pad(sample / 16, 1)
    page += 0.6 * (page - cv2.GaussianBlur(page, (3, 3), 0.8))  # opens the loops that the 8x8 scan blurred shut
    ink = cv2.resize(page, (GLYPH, GLYPH), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip((ink - 0.6) * 2.5 + 0.5, 0, 1), np.float32)


def _region(photograph: Array, split: Split) -> Array:
    border = round(photograph.shape[1] * (1 - TEST_REGION))
    return np.ascontiguousarray(photograph[:, border:] if split == "test" else photograph[:, :border])


def _scene(material: Sources, rng: np.random.Generator) -> Scene:
    difficulty = float(rng.random())
    # Each nuisance takes its own share of the difficulty, so that hard scenes are hard in different ways.
    amount = dict(zip(NUISANCES, difficulty * rng.uniform(0.3, 1.0, len(NUISANCES)), strict=True))
    label = int(rng.integers(10))
    canvas = _background(material, amount["texture"], rng)
    side = 52 - 30 * amount["scale"]
    centre = SIZE / 2 + (SIZE - side) / 2 * amount["offset"] * rng.uniform(-1, 1, 2)
    mask = _stamp(_pick(material, label, rng), centre, side, 35 * amount["rotation"] * rng.uniform(-1, 1))
    colour = _colour(canvas, mask, amount["contrast"], rng)
    _clutter(canvas, material, centre, side, colour, amount["clutter"], rng)
    _paint(canvas, mask, colour)
    _occlude(canvas, centre, side, amount["occlusion"], rng)
    return Scene(_photograph(canvas, amount, rng), label, difficulty)


def _pick(material: Sources, label: int, rng: np.random.Generator) -> Array:
    return np.asarray(material.glyphs[label][int(rng.integers(len(material.glyphs[label])))])


def _background(material: Sources, texture: float, rng: np.random.Generator) -> Array:
    """A crop of a photograph, 40 to 160 pixels wide; an easy one is faded towards its mean, like a plain wall."""
    photograph = material.photographs[int(rng.integers(len(material.photographs)))]
    side = int(rng.integers(40, 161))
    top, left = (int(rng.integers(length - side + 1)) for length in photograph.shape[:2])
    crop = photograph[top : top + side, left : left + side]
    crop = cv2.resize(crop, (SIZE, SIZE), interpolation=cv2.INTER_AREA if side > SIZE else cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        crop = cv2.flip(crop, 1)
    wall = np.broadcast_to(np.array(cv2.mean(crop)[:3], np.uint8), crop.shape)
    strength = 0.15 + 0.85 * texture
    return cv2.addWeighted(crop, strength, wall, 1 - strength, 0)


def _stamp(glyph: Array, centre: Array, side: float, degrees: float) -> Array:
    """The mask float32 (SIZE, SIZE) of a glyph whose 8x8 sample covers a square of `side` pixels at `centre` (x, y)."""
    turn = cv2.getRotationMatrix2D((GLYPH / 2 - 0.5, GLYPH / 2 - 0.5), degrees, side / (GLYPH * INK))
    turn[:, 2] = turn[:, 2] + centre - GLYPH / 2
    return cv2.warpAffine(glyph, turn, (SIZE, SIZE), flags=cv2.INTER_LINEAR)


def _paint(canvas: Array, mask: Array, colour: Array) -> None:
    """Blend a colour into the canvas where the mask states so."""
    canvas[:] = canvas + mask[:, :, None] * (colour.astype(np.float32) - canvas)


def _colour(canvas: Array, mask: Array, contrast: float, rng: np.random.Generator) -> Array:
    """A colour at a distance from the background under the digit: far and of other brightness, or close, of any hue."""
    mean, deviation = (moment[:, 0] for moment in cv2.meanStdDev(canvas, mask=(mask > 0.1).astype(np.uint8)))
    # A busy background hides more: the distance keeps up with its deviation, so that the digit stays readable.
    distance = 150 - 105 * contrast + 0.7 * float(deviation.mean())
    direction = (1 if rng.random() > mean.mean() / 255 else -1) + contrast * rng.normal(0, 1.2, 3)
    step = distance * np.sqrt(3) / np.linalg.norm(direction) * direction
    room = (mean + step >= 0) & (mean + step <= 255)
    return np.asarray(np.clip(np.where(room, mean + step, mean - step), 0, 255))


def _clutter(
    canvas: Array, material: Sources, centre: Array, side: float, colour: Array, amount: float, rng: np.random.Generator
) -> None:
    """Paint strokes, and halves of other digits around the digit's place; some in the digit's own colour."""
    for _ in range(rng.binomial(4, amount)):
        ends = rng.integers(0, SIZE, 4).tolist()
        paint = colour if rng.random() < amount / 4 else rng.uniform(0, 255, 3)
        cv2.line(canvas, ends[:2], ends[2:], paint.tolist(), int(rng.integers(1, 3)), cv2.LINE_AA)
    for _ in range(rng.binomial(3, amount)):
        half = _pick(material, int(rng.integers(10)), rng).copy()
        half[: GLYPH // 2] = 0
        bearing = rng.uniform(0, 2 * np.pi)
        away = rng.uniform(0.85, 1.2) * side * np.array([np.cos(bearing), np.sin(bearing)])
        paint = colour if rng.random() < amount / 4 else rng.uniform(0, 255, 3)
        _paint(canvas, _stamp(half, centre + away, side * rng.uniform(0.5, 0.9), rng.uniform(0, 360)), paint)


def _occlude(canvas: Array, centre: Array, side: float, amount: float, rng: np.random.Generator) -> None:
    """Lay a bar of one of the scene's own colours across the digit, up to an eighth of its side thick."""
    thickness = round(side / 8 * amount)
    if thickness < 1:
        return
    bearing = rng.uniform(0, np.pi)
    along = SIZE * np.array([np.cos(bearing), np.sin(bearing)])
    middle = centre + rng.uniform(-0.35, 0.35, 2) * side
    start, end = (np.rint(middle + sign * along).astype(int).tolist() for sign in (-1, 1))
    paint = canvas[int(rng.integers(SIZE)), int(rng.integers(SIZE))]
    cv2.line(canvas, start, end, paint.tolist(), thickness, cv2.LINE_AA)


def _photograph(canvas: Array, amount: dict[str, float], rng: np.random.Generator) -> Image:
    """Take the picture: low and uneven light, a lens out of focus, a noisy sensor."""
    bearing, ramp = rng.uniform(0, 2 * np.pi), np.linspace(-0.5, 0.5, SIZE, dtype=np.float32)
    slope = ramp[None, :] * np.float32(np.cos(bearing)) + ramp[:, None] * np.float32(np.sin(bearing))
    light = np.float32(amount["light"])
    picture = canvas * ((1 - 0.5 * light) * (1 + 0.6 * light * slope))[:, :, None]
    if amount["blur"] > 0.1:
        picture = cv2.GaussianBlur(picture, (0, 0), 1.3 * amount["blur"])
    picture += np.float32(10 * amount["noise"]) * rng.standard_normal(picture.shape, np.float32)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)
