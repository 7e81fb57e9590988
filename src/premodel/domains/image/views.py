"""A view: how a candidate looks at the image, an item of `views` in a manifest entry."""

from __future__ import annotations

from dataclasses import dataclass

from premodel.domains.image.spec import read_size
from premodel.fields import Fields


@dataclass(frozen=True)
class View:
    """How a candidate looks at the image: another crop, size or the mirror image; the unnamed one as the model states.

    Attributes
    ----------
    crop_fraction:
        In place of the model's; None for the model's own.
    mirror:
        Left and right exchanged.
    size:
        Height and width of the tensor in place of the model's; None for the model's own. The file must take it, and
        such a view has an opened network of its own.
    """

    name: str = ""
    crop_fraction: float | None = None
    mirror: bool = False
    size: tuple[int, int] | None = None


def read_view(fields: Fields, name: str) -> View:
    """The view of that name; the error class of `fields` if a field is wrong."""
    view = View(
        name,
        crop_fraction=fields.number("crop_fraction", 0, 1) if fields.has("crop_fraction") else None,
        mirror=fields.flag("mirror", False),
        size=read_size(fields) if fields.has("size") else None,
    )
    fields.done()
    return view
