"""Which networks there are and how each is trained."""

from __future__ import annotations

from dataclasses import dataclass

from recipes.multi30k.networks import Translator


@dataclass(frozen=True)
class Plan:
    """One network, and how it learns: the references alone, nothing of another network."""

    name: str
    width: int
    inner: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    dropout: float
    epochs: int
    peak_lr: float
    seed: int = 0
    warmup_steps: int = 400
    batch_tokens: int = 2_000
    label_smoothing: float = 0.1

    def build(self, vocabulary: int) -> Translator:
        """The network, not trained."""
        return Translator(
            vocabulary, self.width, self.inner, self.heads, self.encoder_layers, self.decoder_layers, self.dropout
        )


PLANS = (
    Plan("nano", 64, 256, 2, 2, 1, 0.0, 10, 5e-3),
    Plan("mini", 96, 384, 3, 3, 1, 0.05, 10, 4e-3),
    Plan("micro", 128, 512, 4, 4, 1, 0.1, 10, 3e-3),
    Plan("small", 192, 768, 4, 4, 4, 0.1, 10, 2e-3),
    Plan("large", 256, 1024, 4, 4, 6, 0.2, 10, 1.5e-3),
)
"""From the smallest to the largest."""
