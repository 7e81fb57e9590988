"""Translators English to German, from very small to small, trained on Multi30k and converted for CTranslate2."""
