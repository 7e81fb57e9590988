"""The passes of a profile."""
