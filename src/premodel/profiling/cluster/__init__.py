"""Spreading the passes that need no clock over the nodes of a Ray cluster."""
