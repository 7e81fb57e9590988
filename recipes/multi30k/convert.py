"""A trained network as a folder that CTranslate2 reads."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recipes.multi30k.data import END, START, UNKNOWN
from recipes.multi30k.networks import Attention, FeedForward, Translator
from torch import nn

import ctranslate2

TOLERANCE = 1e-3
"""Nats."""


class FromNetwork(ctranslate2.converters.Converter):  # type: ignore[misc]
    """Converter of one `Translator` whose pieces are `vocabulary`, in the order of their numbers."""

    def __init__(self, network: Translator, vocabulary: Sequence[str]) -> None:
        self._network, self._vocabulary = network, list(vocabulary)

    def _load(self) -> Any:
        network = self._network
        spec = ctranslate2.specs.TransformerSpec.from_config(
            (len(network.encoder), len(network.decoder)), network.heads, pre_norm=True
        )
        weight = array(network.pieces.weight)
        for half, layers, norm in (
            (spec.encoder, network.encoder, network.encoder_norm),
            (spec.decoder, network.decoder, network.decoder_norm),
        ):
            half.scale_embeddings = True
            half.position_encodings.encodings = array(network.positions)
            copy_norm(half.layer_norm, norm)
            for made, layer in zip(half.layer, layers, strict=True):
                copy_attention(made.self_attention, layer.own)
                if layer.cross is not None:
                    copy_attention(made.attention, layer.cross)
                copy_feed_forward(made.ffn, layer.feed_forward)
        spec.encoder.embeddings[0].weight = weight
        spec.decoder.embeddings.weight = weight
        spec.decoder.projection.weight = weight
        spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = UNKNOWN, START, END
        spec.config.decoder_start_token = START
        spec.register_source_vocabulary(self._vocabulary)
        spec.register_target_vocabulary(self._vocabulary)
        return spec


def array(weight: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A copy of a tensor as float32: CTranslate2 scales what it quantises in place."""
    return np.array(weight.detach().float().cpu().numpy())


def copy_linear(made: Any, linear: nn.Linear) -> None:
    """Matrix and bias."""
    made.weight, made.bias = array(linear.weight), array(linear.bias)


def copy_norm(made: Any, norm: nn.LayerNorm) -> None:
    """Scale and shift."""
    made.gamma, made.beta = array(norm.weight), array(norm.bias)


def copy_attention(made: Any, attention: Attention) -> None:
    """Its projections, in CTranslate2's order."""
    copy_norm(made.layer_norm, attention.norm)
    linears = [attention.query, *([] if attention.memory is None else [attention.memory]), attention.out]
    for target, linear in zip(made.linear, linears, strict=True):
        copy_linear(target, linear)


def copy_feed_forward(made: Any, feed_forward: FeedForward) -> None:
    """Its two matrices."""
    copy_norm(made.layer_norm, feed_forward.norm)
    copy_linear(made.linear_0, feed_forward.first)
    copy_linear(made.linear_1, feed_forward.second)


def convert(network: Translator, vocabulary: Sequence[str], folder: Path) -> None:
    """Write `folder`: weights in int8, which CTranslate2 can compute with as float32 too."""
    FromNetwork(network, vocabulary).convert(str(folder), quantization="int8", force=True)


@torch.inference_mode()
def check(network: Translator, vocabulary: Sequence[str], pairs: Sequence[tuple[list[int], list[int]]]) -> float:
    """The largest difference of a piece's log probability, CTranslate2 against PyTorch, both in float32.

    `pairs` are numbers of the pieces of real sentences and their references. Raises ValueError where the difference
    exceeds `TOLERANCE`.
    """
    with tempfile.TemporaryDirectory() as folder:
        FromNetwork(network, vocabulary).convert(folder, force=True)
        translator = ctranslate2.Translator(folder, compute_type="float32")
    worst = 0.0
    for source, target in pairs:
        sides = [[vocabulary[number] for number in side] for side in (source, target)]
        (found,) = translator.score_batch([[*sides[0], END]], [sides[1]])
        logits = network(torch.tensor([[*source, 2]]), torch.tensor([[1, *target]]))
        expected = logits.log_softmax(-1)[0, torch.arange(len(target) + 1), torch.tensor([*target, 2])]
        worst = max(worst, float((torch.tensor(found.log_probs) - expected).abs().max()))
    if not worst <= TOLERANCE:
        raise ValueError(f"CTranslate2's log probabilities are up to {worst:.2g} from PyTorch's, allowed {TOLERANCE:g}")
    return worst


def translate(folder: Path, sentences: Sequence[Sequence[str]], beam: int, threads: int) -> list[list[str]]:
    """Pieces of the translations of `sentences`, each given by its pieces without the end."""
    translator = ctranslate2.Translator(str(folder), compute_type="int8", inter_threads=threads, intra_threads=1)
    found = translator.translate_batch(
        [[*pieces, END] for pieces in sentences],
        beam_size=beam,
        max_batch_size=2_048,
        batch_type="tokens",
        length_penalty=1.0,
        max_decoding_length=128,
    )
    return [one.hypotheses[0] for one in found]
