"""Short messages in many languages: the message catalogues of installed Debian packages, test sets of other packages.

From the root of the repository: python -m recipes.language_id.data FOLDER
"""

from __future__ import annotations

import argparse
import csv
import gettext
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

LOCALES = Path("/usr/share/locale")
LANGUAGES = {
    code: code
    for code in (
        *(
            "bg",
            "ca",
            "cs",
            "da",
            "de",
            "el",
            "es",
            "et",
            "eu",
            "fi",
            "fr",
            "he",
            "hu",
            "it",
            "ja",
            "ko",
            "lt",
            "nl",
            "pl",
        ),
        *("pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "tr", "uk", "vi"),
    )
} | {"nb": "no", "zh_CN": "zh"}
"""Folder of a catalogue -> label. English comes from the messages that are translated."""
SETS = {
    "profile": (
        "coreutils", "findutils", "grep", "sed", "wget", "apt", "libapt-pkg6.0", "dpkg", "shadow", "glib20",
        "gdk-pixbuf", "gettext-runtime", "man-db", "Linux-PAM", "avahi", "gstreamer-1.0", "at-spi2-core",
    ),
    "gtk": ("gtk30", "gtk20", "gtk30-properties", "gtk20-properties"),
    "desktop": (
        "shared-mime-info", "software-properties", "PackageKit", "appstream", "gsettings-desktop-schemas",
        "xkeyboard-config", "python-apt", "xdg-user-dirs",
    ),
}  # fmt: skip
"""Set -> catalogues; no catalogue is in two sets."""
PER_LANGUAGE = {"profile": 60, "gtk": 20, "desktop": 20}
MIN_LETTERS, MAX_CHARACTERS = 5, 30
TECHNICAL = re.compile(r"[%<>{}=\\/|@\n]|--|[A-Z_]{4,}|\w\.\w|`|'-")
"""What is no language: options, paths, formats, markup."""


def messages(name: str, folder: str) -> Iterator[tuple[str, str]]:
    """English and translation of every plain message of a catalogue."""
    file = LOCALES / folder / "LC_MESSAGES" / f"{name}.mo"
    if not file.is_file():
        return
    try:
        with file.open("rb") as stream:
            catalogue = gettext.GNUTranslations(stream)
    except (UnicodeDecodeError, OSError):  # a few are in other encodings
        return
    for english, said in vars(catalogue)["_catalog"].items():
        if isinstance(english, str) and isinstance(said, str) and english and said != english:
            yield english.rpartition("\x04")[2], " ".join(said.replace("_", "").split())


def usable(text: str) -> bool:
    """Is it a short message of mostly letters."""
    letters = sum(one.isalpha() for one in text)
    dense = any(ord(one) > 0x2E80 for one in text)  # fewer characters say as much
    enough = letters >= (MIN_LETTERS // 2 if dense else MIN_LETTERS)
    return enough and len(text) <= MAX_CHARACTERS and letters > len(text) / 2 and not TECHNICAL.search(text)


def collect() -> dict[str, list[tuple[str, str]]]:
    """Set -> (text, label) of its messages, drawn with a fixed seed; no text twice, in one set or in two."""
    seen: set[str] = set()
    found: dict[str, list[tuple[str, str]]] = {}
    for name, catalogues in SETS.items():
        by_label: dict[str, set[str]] = {}
        english_of: set[str] = set()
        for catalogue in catalogues:
            for folder, label in LANGUAGES.items():
                for english, said in messages(catalogue, folder):
                    english_of.add(" ".join(english.replace("_", "").split()))
                    by_label.setdefault(label, set()).add(said)
        by_label["en"] = english_of
        labels_of: dict[str, set[str]] = {}
        for label, texts in by_label.items():
            for text in texts:
                labels_of.setdefault(text, set()).add(label)
        rows = []
        for label in sorted(by_label):
            own = sorted(text for text in by_label[label] if usable(text) and labels_of[text] == {label})
            own = [text for text in own if text not in seen]
            random.Random(f"{name} {label}").shuffle(own)
            rows += [(text, label) for text in own[: PER_LANGUAGE[name]]]
            seen.update(own)
        random.Random(name).shuffle(rows)
        found[name] = rows
    return found


def main() -> None:
    """Write the sets, and put the manifest and its code beside them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in collect().items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("text", "label"))
            writer.writerows(rows)
        labels = {label for _, label in rows}
        counts = [sum(one == label for _, one in rows) for label in labels]
        print(f"{name}.csv: {len(rows)} messages in {len(labels)} languages, {min(counts)} to {max(counts)} each")
    for file in ("zoo.toml", "identify.py"):
        shutil.copyfile(Path(__file__).with_name(file), folder / file)


if __name__ == "__main__":
    main()
