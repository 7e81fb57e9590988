"""The bundle: one file that holds a premodel. A sealed zip of `bundle.json`, `arrays.npz` and embedded models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from premodel.arrays import pack_arrays, unpack_arrays
from premodel.container import Container, open_sealed, write_sealed
from premodel.domains.base import Domain
from premodel.errors import BundleError, InputError, ModelError
from premodel.fields import Fields, is_number, is_text, shown
from premodel.files import file_sha256
from premodel.records import CRITERIA, Criterion
from premodel.runtime.policies.base import Policy
from premodel.runtime.policies.registry import policy_from_components
from premodel.version import __version__
from premodel.zoo.candidate import Candidate
from premodel.zoo.candidate_json import candidate_from_json, candidate_to_json

FORMAT = "premodel bundle"
SCHEMA = 4
"""Raised whenever a reader of the old schema would misread the new one. 3: the names of what training learned. 4:
latencies by the length of an input."""
PLAIN_SCHEMA = 3
"""Of a bundle without them, which is the same in both."""

HEADER = "bundle.json"
ARRAYS = "arrays.npz"
MODELS = "models/"
MAX_HEADER_BYTES = 16 << 20
MAX_ARRAYS_BYTES = 2 << 30
MAX_LABELS = 1 << 20
MAX_CANDIDATES = 1000


@dataclass(frozen=True, eq=False)
class Bundle:
    """A premodel as data.

    Attributes
    ----------
    policy:
        Decides; it names the candidates it may run.
    candidates:
        Every candidate of the profile, the policy's among them; `model.file` is where the file was when it was
        trained, or beneath the bundle's recorded folder.
    label_names:
        Name of each label.
    criterion:
        What a good answer was in training.
    extractor_version:
        Version of the features the policy asks for; None if it asks for none.
    objective:
        What was optimised, JSON.
    training_record:
        How the policy was trained, and what was measured of the result, JSON.
    conditions:
        Where and how the profile was measured, JSON.
    sizes:
        Bytes of each model file, by the digest of that file, where it was at hand in training.
    embedded:
        Digests of the model files that the bundle holds itself.
    made_by:
        Version of premodel that wrote it.
    """

    policy: Policy
    candidates: tuple[Candidate, ...]
    label_names: tuple[str, ...]
    criterion: Criterion
    extractor_version: str | None
    objective: Mapping[str, Any] = field(default_factory=dict)
    training_record: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    embedded: frozenset[str] = frozenset()
    made_by: str = __version__

    def candidate(self, name: str) -> Candidate:
        """The candidate of that name."""
        return next(candidate for candidate in self.candidates if candidate.name == name)

    @property
    def domain(self) -> Domain:
        """What the inputs of all its candidates are, with the features that the policy asks for."""
        return self.candidates[0].domain.with_features(self.extractor_version or "")

    def memory_mb(self) -> dict[str, float]:
        """What each opened network took in the profile, in 10^6 bytes, by candidate; those that were measured."""
        return self._measured("memory_mb")

    def load_ms(self) -> dict[str, float]:
        """What opening each network took in the profile, by candidate; those that were measured."""
        return self._measured("load_ms")

    def _measured(self, name: str) -> dict[str, float]:
        """A number of the profile by candidate, 0 or more."""
        found = {}
        singles = self.training_record.get("singles")
        for entry in singles if isinstance(singles, list) else ():
            value: Any = entry.get(name) if isinstance(entry, Mapping) else None
            if is_number(value) and value >= 0:
                found[str(entry.get("name"))] = float(value)
        return found


def write_bundle(path: Path, bundle: Bundle, *, folder: Path | None = None, embed: bool = False) -> str:
    """Write a bundle in one piece; the same bundle gives the same bytes. Returns the SHA-256 in its seal.

    Parameters
    ----------
    path:
        Where to; an old file is replaced only when the new one is whole.
    folder:
        The zoo's folder: recorded relative to the bundle, and the model files relative to it.
    embed:
        Put the model files of the policy's candidates into the bundle.

    Raises
    ------
    BundleError
        The file cannot be written; nothing is left behind.
    ModelError
        A model to embed is missing or has not the digest that was profiled.
    """
    models = _models_to_embed(bundle) if embed else {}
    arrays = pack_arrays(bundle.policy.arrays())
    header = _header(bundle, folder, path.absolute().parent, models)
    text = json.dumps(header, indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return write_sealed(path, {HEADER: text.encode(), ARRAYS: arrays, **models})


def read_bundle(path: Path, *, trust_python: bool = False) -> Bundle:
    """Read a bundle; nothing of it is used before its digest, sizes and schema are checked.

    Parameters
    ----------
    path:
        The file.
    trust_python:
        Callables that it names may be imported and run; nothing is imported here.

    Raises
    ------
    BundleError
        It is missing, damaged, foreign, of another schema, or incomplete.
    """
    with open_sealed(path) as container:
        _check_members(container, path)
        fields = Fields(_parse(container.read(HEADER), path), str(path), BundleError)
        _check_schema(fields)
        arrays = unpack_arrays(container.read(ARRAYS), path)
        embedded = frozenset(name.removeprefix(MODELS) for name in container.sizes if name.startswith(MODELS))
    try:
        bundle = _bundle(fields, arrays, embedded, path.absolute().parent)
    except (OverflowError, RecursionError, OSError) as error:  # numbers, nesting and paths beyond all measure
        raise BundleError("bundle cannot be used", where=path, given=f"{type(error).__name__}: {error}") from error
    return replace(bundle, candidates=tuple(one.with_trust(trust_python) for one in bundle.candidates))


def copy_embedded(path: Path, digest: str, target: Path) -> None:
    """Copy an embedded model file to a file.

    Raises
    ------
    BundleError
        The bundle changed or cannot be read.
    ModelError
        The file cannot be written, or is not what its digest names.
    """
    with open_sealed(path, verify=False) as container:  # the model has a digest of its own
        try:
            with target.open("wb") as stream:
                container.copy(MODELS + digest, stream)
        except OSError as error:
            raise ModelError(f"embedded model cannot be unpacked ({error.strerror})", where=target) from error
    found = file_sha256(target)
    if found != digest:
        raise ModelError("embedded model has the wrong sha256", where=path, given=found, allowed=digest)


def _models_to_embed(bundle: Bundle) -> dict[str, bytes | Path]:
    models: dict[str, bytes | Path] = {}
    for name in bundle.policy.candidates:
        model = bundle.candidate(name).model
        if model.is_remote or model.is_installed:
            continue
        for file, digest in model.all_files().items():
            found = file_sha256(file)
            if found != digest:
                raise ModelError(
                    f"model file of {model.name} is not the one that was profiled", where=file, given=found,
                    allowed=digest, do="profile it again",
                )  # fmt: skip
            models[MODELS + digest] = file
    return dict(sorted(models.items()))


def _header(
    bundle: Bundle, folder: Path | None, bundle_folder: Path, models: Mapping[str, bytes | Path]
) -> dict[str, Any]:
    policy = bundle.policy
    return {
        "format": FORMAT,
        "schema": SCHEMA if policy.latency_curves is not None else PLAIN_SCHEMA,
        "made_by": bundle.made_by,
        "candidates": [candidate_to_json(candidate, folder) for candidate in bundle.candidates],
        "folder": None if folder is None else _relative(folder.resolve(), bundle_folder.resolve()),
        "sizes": dict(bundle.sizes),
        "embedded": [name.removeprefix(MODELS) for name in models],
        "labels": list(bundle.label_names),
        "policy": {"kind": policy.kind, "settings": policy.settings()},
        "features": list(policy.features),
        "extractor_version": bundle.extractor_version,
        "criterion": bundle.criterion,
        "objective": dict(bundle.objective),
        "training_record": dict(bundle.training_record),
        "conditions": dict(bundle.conditions),
    }


def _relative(folder: Path, start: Path) -> str:
    """A path from the bundle's folder, so that both can move together."""
    common = next(parent for parent in (start, *start.parents) if folder.is_relative_to(parent))
    up = len(start.parts) - len(common.parts)
    return Path(*[".."] * up, folder.relative_to(common)).as_posix()


def _check_members(container: Container, path: Path) -> None:
    """The names and sizes a bundle may have, before anything is read."""
    for name, limit in ((HEADER, MAX_HEADER_BYTES), (ARRAYS, MAX_ARRAYS_BYTES)):
        if name not in container.sizes:
            raise BundleError(f"no bundle: {name} is missing", where=path)
        if container.sizes[name] > limit:
            raise BundleError(f"{name} is too large", where=path, given=container.sizes[name], allowed=f"{limit} bytes")
    for name in container.sizes:
        digest = name.removeprefix(MODELS)
        model = name.startswith(MODELS) and len(digest) == 64 and not set(digest) - set("0123456789abcdef")
        if name not in (HEADER, ARRAYS) and not model:
            raise BundleError("a member that no bundle has", where=path, given=shown(name))


def _parse(data: bytes, path: Path) -> Any:
    def refuse(constant: str) -> Any:
        raise ValueError(f"numbers must be finite, got {constant}")

    try:
        return json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{HEADER} is not JSON", where=path, given=error) from error


def _check_schema(fields: Fields) -> None:
    if fields.value("format") != FORMAT:
        raise fields.fail("format", FORMAT)
    schema = fields.value("schema")
    if schema not in (PLAIN_SCHEMA, SCHEMA):
        made_by = fields.value("made_by")
        old = isinstance(schema, int) and schema < PLAIN_SCHEMA
        raise BundleError(
            "the bundle is of another version of premodel",
            where=fields.where,
            given=f"schema {shown(schema)}, made by premodel {shown(made_by)}",
            allowed=f"schema {PLAIN_SCHEMA} or {SCHEMA}",
            do=f"make it anew from its profile: premodel train STORE --out {Path(fields.where).name}"
            if old
            else "update premodel",
        )


def _bundle(fields: Fields, arrays: Mapping[str, NDArray[Any]], embedded: frozenset[str], here: Path) -> Bundle:
    recorded = fields.value("folder")
    if recorded is not None and not (isinstance(recorded, str) and recorded and is_text(recorded)):
        raise fields.fail("folder", "a path or null")
    folder = here if recorded is None else here / recorded
    entries = fields.tables("candidates")
    if not 1 <= len(entries) <= MAX_CANDIDATES:
        raise BundleError("wrong number of candidates", where=fields.where, given=len(entries), allowed=MAX_CANDIDATES)
    candidates = tuple(candidate_from_json(entry, folder, BundleError) for entry in entries)
    for candidate in candidates:
        if candidate.model.sha256 is None:
            raise BundleError(
                f"the bundle states no sha256 of the model file of {candidate.name}", where=fields.where,
                do="train it again",
            )  # fmt: skip
    tasks = {candidate.model.task for candidate in candidates}
    if len(tasks) > 1:
        raise BundleError("candidates must be of one task", where=fields.where, given=", ".join(sorted(tasks)))
    domain = candidates[0].domain
    labels = _labels(fields, candidates, domain)
    kind, settings = _policy_settings(fields)
    policy = _policy(kind, settings, arrays, fields.where)
    names = [candidate.name for candidate in candidates]
    unknown = [name for name in policy.candidates if name not in names]
    if unknown or len(set(names)) != len(names) or not policy.candidates:
        raise BundleError("the policy's candidates are not the bundle's", where=fields.where, given=shown(unknown))
    if policy.n_labels not in (None, len(labels)):
        raise BundleError(
            "the policy must be of as many labels as the bundle", where=fields.where, given=policy.n_labels,
            allowed=len(labels),
        )  # fmt: skip
    _check_curves(fields, policy, domain)
    bundle = Bundle(
        policy=policy,
        candidates=candidates,
        label_names=labels,
        criterion=_criterion(fields, domain),
        extractor_version=_extractor_version(fields, policy, domain),
        objective=_json_table(fields, "objective"),
        training_record=_json_table(fields, "training_record"),
        conditions=_json_table(fields, "conditions"),
        sizes=_sizes(fields),
        embedded=embedded,
        made_by=fields.text("made_by"),
    )
    if fields.texts("embedded") != tuple(sorted(embedded)):
        raise fields.fail("embedded", "the models that are there")
    fields.done()
    return bundle


def _labels(fields: Fields, candidates: tuple[Candidate, ...], domain: Domain) -> tuple[str, ...]:
    labels = fields.texts("labels")
    if not domain.answers_labels:
        if labels:
            raise fields.fail("labels", "none: the answers are no labels")
        return ()
    if not 2 <= len(labels) <= MAX_LABELS or any(candidate.n_labels != len(labels) for candidate in candidates):
        raise BundleError(
            "labels and candidates do not fit", where=fields.where, given=f"{len(labels)} labels",
            allowed="as many as every candidate has",
        )  # fmt: skip
    return labels


def _policy_settings(fields: Fields) -> tuple[str, Mapping[str, Any]]:
    entry = fields.table("policy")
    kind, settings = entry.text("kind"), entry.value("settings")
    entry.done()
    if not isinstance(settings, Mapping):
        raise entry.fail("settings", "a table")
    return kind, settings


def _policy(kind: str, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], where: str) -> Policy:
    try:
        return policy_from_components(kind, settings, arrays)
    except BundleError as error:
        raise BundleError(str(error), where=where) from error
    except (InputError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        # The digest was right, so this file was made, not damaged: by another version, or by hand.
        raise BundleError("the policy cannot be made", where=where, given=f"{type(error).__name__}: {error}") from error


def _criterion(fields: Fields, domain: Domain) -> Criterion:
    criterion = fields.text("criterion")
    allowed = (*domain.graded, *(CRITERIA if domain.answers_labels else ()))
    if criterion not in allowed and not domain.grades(criterion):
        raise fields.fail("criterion", ", ".join(allowed))
    return criterion


def _check_curves(fields: Fields, policy: Policy, domain: Domain) -> None:
    """Refuse a length that this release does not measure, or latencies by one where the schema has none."""
    curves = policy.latency_curves
    for what, measure in (("latencies", curves and curves.measure), ("decisions", policy.length_measure)):
        if measure is not None and measure not in domain.lengths:
            raise BundleError(
                f"the bundle's {what} are by an unknown length", where=fields.where, given=shown(measure),
                allowed=", ".join(domain.lengths) or "none", do="update premodel, or train it again",
            )  # fmt: skip
    if curves is not None and fields.value("schema") != SCHEMA:
        raise fields.fail("schema", f"{SCHEMA}, as it has latencies by length")


def _extractor_version(fields: Fields, policy: Policy, domain: Domain) -> str | None:
    """The version of the features, which must be the one that this release computes."""
    version: str | None = fields.value("extractor_version")
    if version is not None and not isinstance(version, str):
        raise fields.fail("extractor_version", "text or null")
    if fields.texts("features") != policy.features:
        raise fields.fail("features", "those of the policy")
    if policy.features:
        # Only here, because a policy without features has no use for the feature code.
        domain = domain.with_features(version or "")
        current, names = domain.features_version, domain.feature_names
        unknown = [name for name in policy.features if names and name not in names]
        if version != current or unknown:
            raise BundleError(
                "the bundle's features are of another version", where=fields.where,
                given=f"version {version}" + (f", {', '.join(unknown)}" if unknown else ""),
                allowed=f"version {current}", do="profile and retrain, or use the premodel that made it",
            )  # fmt: skip
    return version


def _json_table(fields: Fields, name: str) -> Mapping[str, Any]:
    value = fields.value(name)
    if not isinstance(value, Mapping):
        raise fields.fail(name, "a table")
    return value


def _sizes(fields: Fields) -> dict[str, int]:
    sizes = _json_table(fields, "sizes")
    if not all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in sizes.values()):
        raise fields.fail("sizes", "bytes by digest")
    return dict(sizes)
