"""A transformer that translates: pre-norm layers, one table of pieces for source, target and output."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

POSITIONS = 1_024
"""Pieces of a text that a network can place: as many as CTranslate2 reads of one."""


def sinusoids(positions: int, width: int) -> Tensor:
    """Position encodings (positions, width): sines, then cosines (Vaswani et al. 2017)."""
    rates = torch.exp(torch.arange(width // 2) * (-math.log(10_000.0) / max(width // 2 - 1, 1)))
    angles = torch.arange(positions)[:, None] * rates[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def inner_dropout(dropout: float) -> float:
    """Of attention weights and of the inner vector of a feed-forward part: that of all else, at most 0.1."""
    return min(dropout, 0.1)


class Attention(nn.Module):
    """Attention of several heads; the projections of one input are one matrix, as CTranslate2 stores them."""

    def __init__(self, width: int, heads: int, dropout: float, own: bool) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, 3 * width if own else width)
        self.memory = None if own else nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, memory: Tensor | None, mask: Tensor | None, causal: bool = False) -> Tensor:
        """`x` (N, L, D) plus what it attends to; `mask` (N, 1, 1, M) is True where attention is allowed."""
        normed = self.norm(x)
        if self.memory is None:
            query, key, value = self.query(normed).chunk(3, -1)
        else:
            query = self.query(normed)
            key, value = self.memory(memory).chunk(2, -1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (query, key, value))
        attended = functional.scaled_dot_product_attention(
            query, key, value, mask, inner_dropout(self.dropout) if self.training else 0.0, is_causal=causal
        )
        return x + functional.dropout(self.out(attended.transpose(1, 2).flatten(2)), self.dropout, self.training)


class FeedForward(nn.Module):
    """Two matrices with a ReLU between."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.norm = nn.LayerNorm(width)
        self.first, self.second = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (N, L, D) plus what it is made into."""
        inner = functional.dropout(self.first(self.norm(x)).relu(), inner_dropout(self.dropout), self.training)
        return x + functional.dropout(self.second(inner), self.dropout, self.training)


class Layer(nn.Module):
    """One layer of the encoder, or (`crossed`) of the decoder."""

    def __init__(self, width: int, inner: int, heads: int, dropout: float, crossed: bool) -> None:
        super().__init__()
        self.own = Attention(width, heads, dropout, own=True)
        self.cross = Attention(width, heads, dropout, own=False) if crossed else None
        self.feed_forward = FeedForward(width, inner, dropout)

    def forward(self, x: Tensor, own_mask: Tensor | None, memory: Tensor | None, mask: Tensor | None) -> Tensor:
        """`x` (N, L, D) made into the input of the next layer."""
        x = self.own(x, None, own_mask, causal=self.cross is not None)
        if self.cross is not None:
            x = self.cross(x, memory, mask)
        return self.feed_forward(x)


class Translator(nn.Module):
    """Scores of the next piece of a translation.

    Parameters
    ----------
    vocabulary:
        Pieces of both languages; number 0 is padding.
    width, inner, heads:
        Of a layer.
    encoder_layers, decoder_layers:
        How many.
    dropout:
        In training, everywhere.
    """

    positions: Tensor

    def __init__(
        self,
        vocabulary: int,
        width: int,
        inner: int,
        heads: int,
        encoder_layers: int,
        decoder_layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.width, self.heads, self.dropout = width, heads, dropout
        self.pieces = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.pieces.weight, std=width**-0.5)
        self.register_buffer("positions", sinusoids(POSITIONS, width), persistent=False)
        self.encoder = nn.ModuleList(Layer(width, inner, heads, dropout, False) for _ in range(encoder_layers))
        self.decoder = nn.ModuleList(Layer(width, inner, heads, dropout, True) for _ in range(decoder_layers))
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def embed(self, pieces: Tensor) -> Tensor:
        """Pieces (N, L) as vectors (N, L, D)."""
        x = self.pieces(pieces) * math.sqrt(self.width) + self.positions[: pieces.shape[1]]
        return functional.dropout(x, self.dropout, self.training)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits (N, T, V) of the piece behind each of `target` (N, T), given `source` (N, S)."""
        mask = (source != 0)[:, None, None]
        memory = self.embed(source)
        for layer in self.encoder:
            memory = layer(memory, mask, None, None)
        memory = self.encoder_norm(memory)
        x = self.embed(target)
        for layer in self.decoder:
            x = layer(x, None, memory, mask)
        return functional.linear(self.decoder_norm(x), self.pieces.weight)
