"""Translators that CTranslate2 runs, as candidates: one converted model is several, by its settings."""
