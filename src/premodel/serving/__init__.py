"""Serving over HTTP: the Open Inference Protocol, metrics and a page."""
