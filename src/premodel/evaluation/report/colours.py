"""Colours of the charts, readable on white and on near-black; the page replaces text and grid in the dark."""

from __future__ import annotations

TEXT = "#1b2430"
GRID = "#d6dce4"
SINGLE = "#3b82c4"
PREMODEL = "#d9480f"
BASELINE = "#8a8f98"
GAIN = "#2f9e44"
LOSS = "#e03131"
FUSED = "#b08968"
ABSTAINED = "#adb5bd"
PEERS = ("#845ef7", "#1098ad", "#e64980", "#66a80f")
_PREMODELS = (PREMODEL, "#f08c00", "#9c36b5", "#c2255c", "#5f3dc4")
_CANDIDATES = (
    "#3b82c4",
    "#e8a33d",
    "#2f9e88",
    "#b5569a",
    "#7a6ff0",
    "#c2574b",
    "#6aa84f",
    "#5aa9c9",
    "#a0763f",
    "#8891a0",
)


def premodel_colour(index: int) -> str:
    """Of the premodel of this index; after five they come again."""
    return _PREMODELS[index % len(_PREMODELS)]


def candidate_colour(index: int) -> str:
    """Of the candidate of this index; after ten they come again, distinguished by hovering and by the table."""
    return _CANDIDATES[index % len(_CANDIDATES)]
