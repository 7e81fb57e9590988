"""The manifest of the translators, and their cards."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import sacrebleu
from recipes.multi30k.plan import PLANS
from torch import nn

CALLABLE = Path(__file__).resolve().parent.parent / "ctranslate2" / "translate.py"
BEAMS = {"": 1, "-beam2": 2, "-beam4": 4}
"""What a network's name ends in as a candidate, and its beam."""
MODEL_FILES = ("model.bin", "config.json", "shared_vocabulary.json")


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_zoo(out: Path) -> None:
    """Write `zoo.toml` and `translate.py`: every network greedily and with beams of 2 and 4, in int8."""
    shutil.copyfile(CALLABLE, out / CALLABLE.name)
    lines = ['name = "multi30k-en-de"', 'task = "translation"', ""]
    for plan in PLANS:
        files = [*(f"{plan.name}/{name}" for name in MODEL_FILES), "tokenizer.json"]
        digests = ", ".join(f'"{file}" = "{sha256(out / file)}"' for file in files)
        for suffix, beam in BEAMS.items():
            lines += [
                "[[models]]",
                f'name = "{plan.name}{suffix}"',
                'runtime = "python"',
                f'callable = "{CALLABLE.name}:Translator"',
                f'settings = {{ model = "{plan.name}", compute_type = "int8", beam = {beam} }}',
                f"files = {{ {digests} }}",
                "",
            ]
    (out / "zoo.toml").write_text("\n".join(lines), encoding="utf-8")


def describe(
    out: Path,
    networks: Mapping[str, nn.Module],
    answers: Callable[[str, int], Sequence[str]],
    references: Sequence[str],
) -> None:
    """Write `cards.json` and print it: what every candidate scores on the test sentences (corpus BLEU and chrF)."""
    cards = []
    for plan in PLANS:
        for suffix, beam in BEAMS.items():
            said = list(answers(plan.name, beam))
            card = {
                "name": plan.name + suffix,
                "parameters": sum(weight.numel() for weight in networks[plan.name].parameters()),
                "model_bin_mb": round((out / plan.name / "model.bin").stat().st_size / 1e6, 1),
                "test_bleu": round(sacrebleu.corpus_bleu(said, [list(references)]).score, 2),
                "test_chrf": round(sacrebleu.corpus_chrf(said, [list(references)]).score, 2),
            }
            print(json.dumps(card), flush=True)
            cards.append(card)
    (out / "cards.json").write_text(json.dumps(cards, indent=1) + "\n", encoding="utf-8")
