"""Measure every candidate on every sample, once: zoo + data -> profile."""
