#!/usr/bin/env bash
# CTranslate2's conversion with quantisation changes the weights of the model that it was given.
#
# Seen with ctranslate2 4.8.5 and numpy 2.4.6 on Python 3.11: Converter.convert(folder, quantization="int8") multiplies each
# weight matrix by its scales where it lies. Arrays that a converter's _load() put into the spec without copying (as
# tensor.numpy() gives them, which shares memory with the network) hold multiplied values afterwards: 14 of the 41 arrays of
# a model of one layer, whose values went from 0..1 to 0..127; with "int16" the same 14, to 0..1024; with "float16" and
# without quantisation none. The folder that was written is right; the network in memory is not any more. One would guess
# that writing a file leaves what is written alone.
# What to do in a converter: give it copies, and compare outputs of network and folder before quantisation.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check ctranslate2==4.8.5 numpy==2.4.6
WORK="$work" "$work/venv/bin/python" - <<'PY'
import os
from importlib.metadata import version

import numpy as np

import ctranslate2

WIDTH, PIECES = 8, ["<unk>", "<s>", "</s>", "a", "b", "c", "d", "e"]


class Given(ctranslate2.converters.Converter):
    """A model of one layer whose matrices are the caller's."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.made = []

        def matrix(*shape):
            self.made.append(rng.random(shape, np.float32))
            return self.made[-1]

        spec = ctranslate2.specs.TransformerSpec.from_config((1, 1), 2, pre_norm=True)
        for half, crossed in ((spec.encoder, False), (spec.decoder, True)):
            layer = half.layer[0]
            parts = [(layer.self_attention, 2)] + ([(layer.attention, 3)] if crossed else [])
            half.layer_norm.gamma, half.layer_norm.beta = matrix(WIDTH), matrix(WIDTH)
            half.position_encodings.encodings = matrix(16, WIDTH)
            for part, linears in parts:
                part.layer_norm.gamma, part.layer_norm.beta = matrix(WIDTH), matrix(WIDTH)
                rows = [3 * WIDTH, WIDTH] if linears == 2 else [WIDTH, 2 * WIDTH, WIDTH]
                for linear, count in zip(part.linear, rows, strict=True):
                    linear.weight, linear.bias = matrix(count, WIDTH), matrix(count)
            layer.ffn.layer_norm.gamma, layer.ffn.layer_norm.beta = matrix(WIDTH), matrix(WIDTH)
            for linear in (layer.ffn.linear_0, layer.ffn.linear_1):
                linear.weight, linear.bias = matrix(WIDTH, WIDTH), matrix(WIDTH)
        spec.encoder.embeddings[0].weight = matrix(len(PIECES), WIDTH)
        spec.decoder.embeddings.weight = matrix(len(PIECES), WIDTH)
        spec.decoder.projection.weight = matrix(len(PIECES), WIDTH)
        spec.register_source_vocabulary(PIECES)
        spec.register_target_vocabulary(PIECES)
        self.spec = spec

    def _load(self):
        return self.spec


changed = {}
for quantization in (None, "int8", "int16", "float16"):
    given = Given()
    before = [array.copy() for array in given.made]
    given.convert(os.path.join(os.environ["WORK"], str(quantization)), quantization=quantization, force=True)
    different = [np.abs(b).max() for a, b in zip(before, given.made, strict=True) if not np.array_equal(a, b)]
    changed[quantization] = len(different)
    largest = f", largest value now {max(different):.0f}" if different else ""
    print(f"ctranslate2 {version('ctranslate2')}, {quantization}: {len(different)} of {len(before)} arrays changed{largest}")
assert changed == {None: 0, "int8": 14, "int16": 14, "float16": 0}, "the behaviour changed"
PY
