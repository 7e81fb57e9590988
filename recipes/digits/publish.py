"""Measure the exported networks on fresh test scenes and write what ships with them: zoo.toml, labels.txt, CARDS.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from recipes.common.export import count_macs, count_parameters, sha256
from recipes.digits.data import TRAINING_SCENES, TRAINING_SEED
from recipes.digits.networks import RECIPES, Recipe

from premodel.demo.digits import Scene, generate, sources
from premodel.domains.image.decode import Image
from premodel.domains.image.preprocess import preprocess
from premodel.stats import wilson
from premodel.zoo.manifest import read_zoo

TEST_SCENES, TEST_SEED = 5_000, 20_261_120

ZOO_HEAD = """\
# Five small networks trained on "digits in the street", the demo's scenes (see CARDS.md). Written by recipes/digits.
name = "digits"
task = "image-classification"
labels = "labels.txt"   # line i (from 0) names class i
"""

ZOO_ENTRY = """
[[models]]
name = "{name}"
file = "models/{name}.onnx"
sha256 = "{sha256}"
license = "Apache-2.0"
runtime = "onnx"
label_offset = 0
input = {{ size = [{side}, {side}], layout = "NCHW", dtype = "float32", channels = "{channels}", resize = "squash", \
crop_fraction = 1.0, interpolation = "{interpolation}", mean = {mean}, std = {std} }}
output = {{ activation = "none" }}   # logits
"""

CARDS_HEAD = """\
# The digits zoo: five model cards

What all five share comes first, then a card each. Written by `recipes/digits` from the files beside it.

**Task.** Which digit, 0 to 9, is painted into a 64x64 colour scene of `premodel.demo.digits`.

**Data.** Digits: the 1,797 handwriting samples of scikit-learn's `load_digits`, the test part of E. Alpaydin and
C. Kaynak, "Optical Recognition of Handwritten Digits" (1998, UCI, CC BY 4.0). Backgrounds: scikit-learn's two sample
photographs, `china.jpg` and `flower.jpg` (CC BY 2.0, from the Flickr pages of danielbuechele and vultilion). The test
split has other handwriting samples (30 % of each digit) and other regions of the photographs (the right 40 %) than the
training split, but the samples of both come from the same 13 writers.

**Training.** {training_scenes:,} scenes of the training split (seed {training_seed}). PyTorch, Nesterov SGD, one-cycle
learning rate, batches of 128, seed 0; shifts, reordered colour channels and varied gain as augmentation. No test scene
was used to choose a weight or an epoch. The recipe and how it was run are in `recipes/digits` of the repository.

**Accuracy.** Top-1 on {test_scenes:,} test scenes (seed {test_seed}), ONNX file in onnxruntime, through the library's
own preprocessing; 95 % Wilson interval. It takes the scenes as independent, but they share {handwriting} handwriting
samples: for new handwriting the uncertainty is larger. Easy, middle and hard are the thirds of difficulty.

**Limits.** Made for a demonstration. They know these scenes only: no other font, script, or number of digits.

**Licence.** Apache-2.0.

| network | accuracy % | 95 % interval | easy | middle | hard | input | parameters | MFLOP | kB |
|---|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Measured:
    """What was found about one exported network; `right` states for each test scene whether it was right."""

    recipe: Recipe
    sha256: str
    parameters: int
    mflop: float
    kilobytes: float
    right: npt.NDArray[np.bool_]


def publish(folder: Path) -> None:
    """Write zoo.toml, labels.txt and CARDS.md into `folder`, whose `models` holds all their ONNX files."""
    files = [folder / "models" / f"{recipe.name}.onnx" for recipe in RECIPES]
    entries = [_entry(recipe, sha256(file)) for recipe, file in zip(RECIPES, files, strict=True)]
    (folder / "labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)))
    (folder / "zoo.toml").write_text(ZOO_HEAD + "".join(entries))
    scenes = list(generate(TEST_SCENES, seed=TEST_SEED, split="test"))
    measured = [
        Measured(
            recipe,
            sha256(file),
            count_parameters(file),
            2 * count_macs(file) / 1e6,
            file.stat().st_size / 1e3,
            _right(folder, recipe.name, scenes),
        )
        for recipe, file in zip(RECIPES, files, strict=True)
    ]
    difficulty = np.array([scene.difficulty for scene in scenes])
    (folder / "CARDS.md").write_text(_cards(measured, difficulty))


def _entry(recipe: Recipe, digest: str) -> str:
    given = recipe.input
    return ZOO_ENTRY.format(
        name=recipe.name,
        sha256=digest,
        side=given.side,
        channels=given.channels,
        interpolation=given.interpolation,
        mean=[given.mean] * given.shape[1],
        std=[given.std] * given.shape[1],
    )


def _right(folder: Path, name: str, scenes: list[Scene]) -> npt.NDArray[np.bool_]:
    """Whether the network `name` of the manifest answers each scene rightly, one scene at a time."""
    model = read_zoo(folder / "zoo.toml").candidate(name).model
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model.file), options, providers=["CPUExecutionProvider"])
    logits = [session.run(None, {"image": preprocess(Image(scene.image), model.input)})[0] for scene in scenes]
    return np.concatenate(logits).argmax(axis=1) == np.array([scene.label for scene in scenes])


def _cards(measured: list[Measured], difficulty: npt.NDArray[np.float64]) -> str:
    third = np.minimum(difficulty * 3, 2).astype(int)
    rows, cards = [], []
    for one in measured:
        low, high = wilson(int(one.right.sum()), len(one.right))
        easy, middle, hard = (100 * one.right[third == part].mean() for part in range(3))
        accuracy, interval = f"{100 * one.right.mean():.1f}", f"{100 * low:.1f} to {100 * high:.1f}"
        given = f"{one.recipe.input.side}x{one.recipe.input.side} {one.recipe.input.channels}"
        rows.append(
            f"| {one.recipe.name} | {accuracy} | {interval} | {easy:.1f} | {middle:.1f} | {hard:.1f} | {given} | "
            f"{one.parameters:,} | {one.mflop:.2f} | {one.kilobytes:.0f} |\n"
        )
        cards.append(
            f"\n## {one.recipe.name}\n\n{_architecture(one.recipe)}\n"
            f"Input {given}, (x / 255 - {one.recipe.input.mean}) / {one.recipe.input.std}; output: 10 logits.\n"
            f"{one.parameters:,} parameters, {one.mflop:.2f} MFLOP per scene.\n"
            f"Accuracy {accuracy} % ({interval}) on {len(one.right):,} test scenes.\n{_training(one.recipe)}\n"
            f"Licence Apache-2.0. `models/{one.recipe.name}.onnx`, SHA-256 `{one.sha256}`.\n"
        )
    head = CARDS_HEAD.format(
        training_scenes=TRAINING_SCENES,
        training_seed=TRAINING_SEED,
        test_scenes=TEST_SCENES,
        test_seed=TEST_SEED,
        handwriting=sum(len(samples) for samples in sources("test").samples),
    )
    return head + "".join(rows) + "".join(cards)


def _architecture(recipe: Recipe) -> str:
    widths = ", ".join(str(width) for width in recipe.widths)
    body = f"{recipe.blocks} residual block after each halving" if recipe.blocks == 1 else "no residual blocks"
    if recipe.blocks > 1:
        body = f"{recipe.blocks} residual blocks after each halving"
    return (
        f"3x3 convolutions of {widths} channels, the first with stride {recipe.stem_stride}, the others with 2; {body}."
    )


def _training(recipe: Recipe) -> str:
    schedule, half = recipe.schedule, recipe.half_size_epochs
    epochs = f"{schedule.epochs} epochs" + (f", the first {half} of them on pictures of half the side" if half else "")
    return f"Training: {epochs}; peak learning rate {schedule.peak_lr}, weight decay {schedule.weight_decay}."
