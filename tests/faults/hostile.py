"""Hostile bundles, manifests, images, labels and requests, and what premodel makes of each.

Each function feeds one of them to premodel within this process. The only right outcomes are a result and an error
raised on purpose (PremodelError; over HTTP a status below 500 or a refusal): anything else passes as an exception.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bundles import Made, make_bundle
from faults.mutations import mutate_bytes, mutate_plain, mutate_text
from policy_makers import MAKERS
from premodel.container import open_sealed, write_sealed
from premodel.domains.image.decode import decode
from premodel.domains.image.features.extractor import Extractor
from premodel.errors import PremodelError
from premodel.profiling.datasets.registry import read_dataset
from premodel.runtime.bundle import ARRAYS, HEADER, read_bundle
from premodel.runtime.engine import Premodel
from premodel.zoo.manifest import read_zoo
from premodel.zoo.verify import verify
from serving_client import INFER, binary_request


@dataclass(frozen=True, eq=False)
class Ground:
    """What the cases are mutated from; nothing outside `inside` may ever be written.

    Attributes
    ----------
    folder:
        Holds `inside` and nothing else besides what `lay_ground` made.
    inside:
        Where the hostile files are put.
    made:
        Whole bundles, one embedding its models, with their zoos.
    images:
        One small image of every format that can be written here.
    """

    folder: Path
    inside: Path
    made: tuple[Made, ...]
    images: tuple[bytes, ...]


def lay_ground(folder: Path) -> Ground:
    """Make the whole files from which the hostile ones are made."""
    names = ("select, the paper's chain", "select, abstaining", next(name for name in MAKERS if "cascade" in name))
    made = tuple(
        make_bundle(folder / f"made{index}", MAKERS[name], embed=index == 0) for index, name in enumerate(names)
    )
    inside = folder / "inside"
    inside.mkdir()
    return Ground(folder, inside, made, tuple(_images()))


def _images() -> list[bytes]:
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 256, (5, 6, 3), np.uint8), (160, 120))
    found = []
    for suffix, options in (
        (".jpg", []), (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), (".png", []), (".webp", []), (".bmp", []),
        (".gif", []), (".tiff", []), (".jp2", []), (".ppm", []), (".pgm", []), (".avif", []),
    ):  # fmt: skip
        try:
            shot = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if suffix == ".pgm" else picture
            done, data = cv2.imencode(suffix, shot, options)
        except cv2.error:
            continue
        if done:
            found.append(data.tobytes())
    return found


def hostile_bundle(ground: Ground, rng: random.Random) -> None:
    """Damaged as a whole, or with a right seal over wrong contents: opened, and asked about an image."""
    made = rng.choice(ground.made)
    path = ground.inside / "hostile.premodel"
    if rng.random() < 0.3:
        path.write_bytes(mutate_bytes(rng, made.path.read_bytes(), rng.choice(ground.made).path.read_bytes()))
    else:
        with open_sealed(made.path) as container:
            members: dict[str, Any] = {name: container.read(name) for name in container.sizes}
        if rng.random() < 0.7:
            header = mutate_plain(rng, json.loads(members[HEADER]))
            header = header if isinstance(header, dict) else {"format": header}
            members[HEADER] = json.dumps(header).encode("utf-8", "replace")
        else:
            name = rng.choice((HEADER, ARRAYS, ARRAYS))
            members[name] = mutate_bytes(rng, members[name])
        if rng.random() < 0.1:
            members[rng.choice(("../escaped", "/escaped", "models/../../escaped", "models/" + "0" * 64))] = b"x"
        write_sealed(path, members)
    read_bundle(path)
    with Premodel(path, zoo=made.small.zoo.parent) as premodel:
        premodel.predict(made.small.images[rng.randrange(len(made.small.images))])


def hostile_zoo(ground: Ground, rng: random.Random) -> None:
    """A manifest with wrong lines and values: read, its files compared with their digests."""
    small = rng.choice(ground.made).small
    path = small.zoo.with_name("hostile.toml")
    path.write_bytes(mutate_text(rng, small.zoo.read_bytes()))
    try:
        for candidate in read_zoo(path).candidates:
            verify(candidate.model)
    finally:
        path.unlink()


def hostile_image(ground: Ground, rng: random.Random) -> None:
    """Wrong bytes in an image of any format: decoded, its features computed."""
    data = mutate_bytes(rng, rng.choice(ground.images), rng.choice(ground.images))
    image = decode(data)
    if image.width * image.height <= 4_000_000:
        Extractor().extract(image.rgb)


def hostile_labels(ground: Ground, rng: random.Random) -> None:
    """A wrong list of labels, or a wrong table of labelled images."""
    small = rng.choice(ground.made).small
    if rng.random() < 0.5:
        labels = ground.inside / "labels.txt"
        labels.write_bytes(mutate_text(rng, (small.zoo.parent / "labels.txt").read_bytes()))
        manifest = ground.inside / "zoo.toml"
        manifest.write_text(small.zoo.read_text())
        read_zoo(manifest)
        return
    suffix = rng.choice((".csv", ".tsv", ".txt"))
    table = ground.inside / f"hostile{suffix}"
    text = small.labels.read_bytes().replace(b",", {".csv": b",", ".tsv": b"\t", ".txt": b" "}[suffix])
    table.write_bytes(mutate_text(rng, text))
    dataset = read_dataset(small.data, table, label_names=read_zoo(small.zoo).labels)
    for payload in dataset.read(range(min(3, len(dataset)))):
        if payload.data is not None:
            assert len(payload.data) > 0


def hostile_request(ground: Ground, rng: random.Random, client: Any) -> None:
    """A wrong request to a served premodel, in either form of the protocol."""
    made = ground.made[0]
    image = made.small.images[0].read_bytes()
    if rng.random() < 0.3:
        image = mutate_bytes(rng, rng.choice(ground.images))
    body, headers = binary_request([image] * rng.randint(1, 3))
    if rng.random() < 0.5:
        length = int(headers["inference-header-content-length"])
        form = mutate_plain(rng, json.loads(body[:length]))
        text = json.dumps(form).encode("utf-8", "replace")
        body, headers["inference-header-content-length"] = text + body[length:], str(len(text))
    else:
        body = mutate_bytes(rng, body)
    if rng.random() < 0.3:
        wrong = ("-1", "nan", "9" * 40, "", str(len(body)), "0", "\u0661")
        headers["inference-header-content-length"] = rng.choice(wrong).encode("utf-8")  # type: ignore[assignment]
    if rng.random() < 0.2:
        headers["content-encoding"] = rng.choice(("gzip", "deflate", "br", "gzip, gzip"))
        body = gzip.compress(body) if rng.random() < 0.5 else body
    if rng.random() < 0.1:
        headers["content-type"] = rng.choice(("text/plain", "application/json; charset=utf-16", ""))
    path = rng.choice(
        (INFER,) * 6 + ("/v2/models/../../etc/passwd", "/v2/models/%00/infer", "/v2", "//", "/v2/models/small")
    )
    response = client.request(rng.choice(("POST",) * 6 + ("GET", "PUT", "DELETE")), path, content=body, headers=headers)
    if response.status_code == 500 and "no answer is recorded" in response.text:
        return  # a whole image that the recorded networks do not know
    if response.status_code >= 500:
        raise AssertionError(f"status {response.status_code}: {response.text[:200]}")
    if response.status_code >= 400:
        raise PremodelError(response.text[:200])


KINDS: dict[str, Callable[..., None]] = {
    "bundle": hostile_bundle,
    "zoo.toml": hostile_zoo,
    "image": hostile_image,
    "labels": hostile_labels,
    "request": hostile_request,
}


@contextmanager
def serve_ground(ground: Ground) -> Iterator[Any]:
    """A client of one of the whole premodels, served within this process."""
    from starlette.testclient import TestClient

    from premodel.serving.app import make_app
    from premodel.serving.limits import Limits
    from premodel.serving.service import Service

    made = ground.made[0]
    service = Service(Premodel(made.path, zoo=made.small.zoo.parent), "small", Limits())
    with TestClient(make_app(service, None), base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client
