"""The manifest of candidates."""
