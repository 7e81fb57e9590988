"""One manifest entry in the making, and the manifest's text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from premodel.fields import is_name
from premodel.zoo.model_fields import lies_beneath
from premodel.zoo.verify import toml_table
from premodel.zoo_tools.init.conventions import Convention, stated
from premodel.zoo_tools.init.found import Decision, Found
from premodel.zoo_tools.init.inspect import Inspected
from premodel.zoo_tools.init.labels import LabelMapping
from premodel.zoo_tools.init.trial import Rival

UNKNOWN_LICENCE = "unknown"
ASPECT_NAMES = {
    "colour": "channels and values",
    "crop": "crop",
    "interpolation": "interpolation",
    "labels": "outputs and labels",
}
SHOWN_RIVALS = 6


@dataclass(frozen=True, eq=False)
class Draft:
    """One model, ready to be written.

    Attributes
    ----------
    name:
        In the manifest.
    inspected:
        What the file states; its backend may be closed by now.
    mapping, mapping_guessed:
        Which output is which label, and whether that is a guess.
    activation, activation_seen:
        The activation, and what it was seen from.
    convention:
        The preprocessing: found, or guessed where `found` is None.
    license:
        As given, or "unknown".
    """

    name: str
    inspected: Inspected
    mapping: LabelMapping
    mapping_guessed: bool
    activation: str
    activation_seen: str
    convention: Convention
    license: str
    found: Found | None = None

    @property
    def offset(self) -> int:
        """Outputs before the first label."""
        return self.mapping.offset

    def with_warning(self, text: str) -> Draft:
        """The same with a further warning."""
        if self.found is None:
            return self
        return replace(self, found=replace(self.found, warnings=(*self.found.warnings, text)))

    @property
    def clear(self) -> bool:
        """Nothing was guessed and nothing stayed undecided."""
        return self.found is not None and self.found.clear

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        inspected, found = self.inspected, self.found
        data: dict[str, Any] = {
            "name": self.name,
            "file": str(inspected.file),
            "sha256": inspected.sha256,
            "runtime": inspected.runtime,
            "outputs": inspected.outputs,
            "label_offset": self.offset,
            "dropped_last": self.mapping.last,
            "activation": self.activation,
            "license": self.license,
            "input": asdict(self.convention.spec(inspected)),
            "clear": self.clear,
        }
        if found is not None:
            data |= {
                "images": found.images,
                "accuracy": found.accuracy,
                "accuracy_ci": list(found.accuracy_ci),
                "confidence": found.confidence,
                "above_chance": found.above_chance,
                "runs": found.runs,
                "decisions": [decision.to_json() for decision in found.decisions],
                "outputs_and_labels": found.labels and found.labels.to_json(),
                "guessed": list(found.guessed),
                "warnings": list(found.warnings),
            }
        return data


def safe_name(text: str, taken: Sequence[str] = ()) -> str:
    """A name for the manifest from a file's stem, unlike those taken."""
    name = re.sub(r"[^A-Za-z0-9._+-]+", "_", text).lstrip("._+-") or "model"
    number = 2
    unique = name
    while unique in taken or not is_name(unique):
        unique = f"{name}-{number}"
        number += 1
    return unique


def manifest_text(name: str, labels: Path | Sequence[str], drafts: Sequence[Draft], folder: Path) -> str:
    """The manifest, TOML, with what was found and what was guessed in comments.

    Parameters
    ----------
    name:
        Of the zoo.
    labels:
        The label file, or the names themselves.
    drafts:
        The models.
    folder:
        Where the manifest will lie: files beneath it are written relative to it, others absolute.
    """
    said = place(labels, folder) if isinstance(labels, Path) else list(labels)
    lines = [f"name = {toml(name)}", 'task = "image-classification"', f"labels = {toml(said)}"]
    for draft in drafts:
        lines += ["", *(f"# {line}" for line in findings(draft)), *_entry(draft, folder)]
    return "\n".join(lines) + "\n"


def findings(draft: Draft) -> list[str]:
    """What is known about a draft and how, one line each."""
    inspected = draft.inspected
    lines = [f"the file states: {inspected.describe()}"]
    if inspected.guessed:
        lines.append(f"not said by the file: {', '.join(inspected.guessed)}")
    lines.append(f"activation {draft.activation}: {draft.activation_seen}")
    found = draft.found
    if draft.mapping_guessed:
        lines.append(
            "guessed, not measured: label_offset 1, as if the output without a label were the first (a background "
            "class); it may be the last, or a class that is missing from the labels"
        )
    if found is None:
        lines.extend(_not_measured(draft))
        return lines
    low, high = (100 * bound for bound in found.accuracy_ci)
    lines.append(
        f"top-1 {100 * found.accuracy:.1f} % [{low:.1f}, {high:.1f}] on {found.images} images, which also chose the "
        "preprocessing"
    )
    said = stated(inspected)
    if said is not None and said.colour != draft.convention.colour:
        lines.append(f"{_source(inspected)} states {said.describe('colour')}: tried, and not what fits best")
    for decision in (*found.decisions, *([found.labels] if found.labels is not None else [])):
        lines.extend(_decision_lines(decision, found))
    lines.extend(found.guessed)
    lines.extend(f"warning: {text}" for text in found.warnings)
    return lines


def place(file: Path, folder: Path) -> str:
    """How a manifest in `folder` names a file: relative if it lies beneath, be it through links, else absolute.

    By its own name rather than that of what it links to: what it reads besides itself lies beside the link.
    """
    if not lies_beneath(file, folder):
        return file.absolute().as_posix()
    try:
        return file.absolute().relative_to(folder.absolute()).as_posix()
    except ValueError:
        return file.resolve().relative_to(folder.resolve()).as_posix()


def toml(value: Any) -> str:
    """A TOML value: strings, numbers, lists of them."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return repr(value)


def _not_measured(draft: Draft) -> list[str]:
    """What is stated by the exporter, and what is only guessed."""
    inspected, said = draft.inspected, draft.inspected.notes.stated
    values = [] if inspected.is_integer else ["mean", "std"]
    fields = dict.fromkeys(("channels", "resize", "crop_fraction", "interpolation", *values), True)
    lines = []
    if said is not None and stated(inspected) is not None:
        fields |= dict.fromkeys(["channels", *values], False)
        if said.resize is not None:
            fields |= {"resize": False, "crop_fraction": False}
        if said.interpolation is not None:
            fields["interpolation"] = False
        names = ", ".join(name for name, guessed in fields.items() if not guessed)
        lines.append(f"stated by {_source(inspected)}, not measured: {names}")
    names = ", ".join(name for name, guessed in fields.items() if guessed)
    would = "labelled images (--data) would tell"
    return [*lines, f"guessed, not measured: {names}; {would}" if names else would]


def _source(inspected: Inspected) -> str:
    said = inspected.notes.stated
    return said.source if said is not None else ""


def _decision_lines(decision: Decision, found: Found) -> list[str]:
    """The verdict on one aspect, then the choices that it could not rule out."""
    name, images = f"{ASPECT_NAMES[decision.aspect]}: {decision.chosen}", found.images
    if not decision.others:
        return [name if decision.clear else f"{name}, not clear: not compared with others"]
    rivals = decision.rivals
    if decision.clear:
        behind = [other for other in decision.others if other not in rivals]
        if not behind:
            return [f"{name}; every other that was tried gives the same answers on these images"]
        line = f"{name}, clearly: {_gap(behind[0], images)} ahead of {behind[0].name}"
        if found.doubtful:
            line = f"{name}, {_gap(behind[0], images)} ahead of {behind[0].name}, but see the warning"
        return [f"{line}; the same answers: {', '.join(other.name for other in rivals)}" if rivals else line]
    if not rivals:
        return [f"{name}, not clear: too few images"]
    lines = [f"{name}, not clear; also possible:"]
    for rival in rivals[:SHOWN_RIVALS]:
        if rival.same_answers:
            lines.append(f"  {rival.name}: the same answers on all of these images")
        else:
            lines.append(f"  {rival.name}: {_gap(rival, images)} behind")
    if len(rivals) > SHOWN_RIVALS:
        lines.append(f"  and {len(rivals) - SHOWN_RIVALS} more")
    return lines


def _gap(rival: Rival, images: int) -> str:
    low, high = (100 * bound for bound in rival.behind_ci)
    text = f"{100 * rival.behind:.1f} points [{low:.1f}, {high:.1f}]"
    # Those that dropped out of the race saw fewer images.
    return text if rival.images == images else f"{text}, on {rival.images} images,"


def _entry(draft: Draft, folder: Path) -> list[str]:
    inspected = draft.inspected
    spec = draft.convention.spec(inspected)
    fields: dict[str, Any] = {
        "size": spec.size,
        "layout": spec.layout,
        "dtype": spec.dtype,
        "channels": spec.channels,
        "resize": spec.resize,
        "crop_fraction": spec.crop_fraction,
        "interpolation": spec.interpolation,
        "mean": spec.mean,
        "std": spec.std,
        "padding": spec.padding,
    }
    table = ", ".join(f"{name} = {toml(value)}" for name, value in fields.items() if value is not None)
    settings = ", ".join(f"{name} = {toml(value)}" for name, value in inspected.settings.items())
    note = "  # look it up and state it" if draft.license == UNKNOWN_LICENCE else ""
    return [
        "[[models]]",
        f"name = {toml(draft.name)}",
        f"file = {toml(place(inspected.file, folder))}",
        f"sha256 = {toml(inspected.sha256)}",
        *([f"files = {toml_table(inspected.files)}"] if inspected.files else []),
        f"license = {toml(draft.license)}{note}",
        f"runtime = {toml(inspected.runtime)}",
        f"label_offset = {draft.offset}",
        *([f"dropped_last = {draft.mapping.last}"] if draft.mapping.last else []),
        *([f"settings = {{ {settings} }}"] if settings else []),
        f"input = {{ {table} }}",
        f"output = {{ activation = {toml(draft.activation)} }}",
    ]
