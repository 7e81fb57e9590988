"""Texts as a domain: classification and translation."""
