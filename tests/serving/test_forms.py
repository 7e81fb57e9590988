"""What people send beside the protocol's own forms: each is answered as the same image, or refused by its name."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from bundles import Made
from serving_client import INFER, binary_request, outputs_of, png


@pytest.fixture
def served(made: Made, serving: Any) -> Any:
    with serving(made.path) as (client, _):
        yield client


@pytest.fixture
def image(made: Made) -> bytes:
    """One whose base64 has every sign that the alphabets differ in, and padding."""

    def varied(data: bytes) -> bool:
        text = base64.b64encode(data)
        return b"+" in text and b"/" in text

    return next(data for data in (path.read_bytes() for path in made.small.images) if varied(data))


def label(response: Any) -> Any:
    assert response.status_code == 200, response.text
    return outputs_of(response)["label"]


def right(client: Any, image: bytes) -> Any:
    body, headers = binary_request([image])
    return label(client.post(INFER, content=body, headers=headers))


def in_json(item: Any, **tensor: Any) -> bytes:
    return json.dumps(
        {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [item], **tensor}]}
    ).encode()


def wrapped(text: str) -> str:
    return "\r\n".join(text[start : start + 76] for start in range(0, len(text), 76)) + "\n"


ELEMENTS = {
    "plain": lambda data: base64.b64encode(data).decode(),
    "URL-safe": lambda data: base64.urlsafe_b64encode(data).decode(),
    "URL-safe without padding": lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
    "without padding": lambda data: base64.b64encode(data).decode().rstrip("="),
    "wrapped": lambda data: wrapped(base64.b64encode(data).decode()),
    "data URL": lambda data: "data:image/png;base64," + base64.b64encode(data).decode(),
    "data URL with a parameter": lambda data: "DATA:image/png;name=a.png;base64," + base64.b64encode(data).decode(),
    "data URL, escaped": lambda data: "data:image/png;base64," + base64.b64encode(data).decode().replace("+", "%2B"),
    "data URL without base64": lambda data: "data:image/png," + "".join(f"%{byte:02X}" for byte in data),
    "table": lambda data: {"b64": base64.b64encode(data).decode()},
    "list of one": lambda data: [base64.b64encode(data).decode()],
}


@pytest.mark.parametrize("form", ELEMENTS)
def test_an_element_in_every_form_of_base64(served: Any, image: bytes, form: str) -> None:
    assert label(served.post(INFER, content=in_json(ELEMENTS[form](image)))) == right(served, image)


TYPES = ("", "image/png", "image/jpeg", "application/octet-stream", "application/x-www-form-urlencoded", "text/plain")


@pytest.mark.parametrize("content_type", TYPES)
def test_an_encoded_image_as_the_body_needs_no_header(served: Any, image: bytes, content_type: str) -> None:
    headers = {"content-type": content_type} if content_type else {}
    assert label(served.post(INFER, content=image, headers=headers)) == right(served, image)


def test_a_data_url_or_a_table_of_base64_as_the_body(served: Any, image: bytes) -> None:
    text = base64.b64encode(image).decode()
    assert label(served.post(INFER, content=f"data:image/png;base64,{text}".encode())) == right(served, image)
    assert label(served.post(INFER, content=json.dumps({"b64": text}).encode())) == right(served, image)


@pytest.mark.parametrize("sent", ["image=@cat.jpg", "image=iVBORw0KGgo%3D&explain=1", "file=cat.jpg"])
def test_a_form_of_coded_fields_is_refused_with_what_to_send(served: Any, sent: str) -> None:
    response = served.post(
        INFER, content=sent.encode(), headers={"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    )
    assert response.status_code == 400
    error = response.json()["error"]
    assert error.startswith("a form of coded fields is not read; given: 'image=" if "image" in sent else "a form")
    assert "send the encoded image as the body (curl --data-binary @FILE)" in error
    assert "curl -F image=@FILE" in error


def test_a_multipart_form(served: Any, made: Made) -> None:
    images = [path.read_bytes() for path in made.small.images[:2]]
    files = [("image", (f"{number}.png", data, "image/png")) for number, data in enumerate(images)]
    response = served.post(INFER, files=files, data={"explain": "true"})
    assert label(response) == [right(served, data)[0] for data in images]
    assert len(outputs_of(response)["explanation"]) == 2


@pytest.mark.parametrize(
    ("body", "content_type", "reported"),
    [
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x", "cut off"),
        (b"--y\r\n\r\na\r\n--y--\r\n", "multipart/form-data; boundary=x", "its boundary is another"),
        (b"", "multipart/form-data", "no boundary"),
        (
            b"--x\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
            "no file",
        ),
        (b"--x\r\na\r\n--x--\r\n", 'multipart/form-data; boundary="x"', "no head"),
    ],
)
def test_a_broken_form_is_named(served: Any, body: bytes, content_type: str, reported: str) -> None:
    response = served.post(INFER, content=body, headers={"content-type": content_type})
    assert response.status_code == 400
    assert reported in response.json()["error"]


def test_a_form_with_too_many_files(made: Made, serving: Any) -> None:
    with serving(made.path, max_batch=2) as (client, _):
        response = client.post(INFER, files=[("image", (f"{n}.png", png(2, 2), "image/png")) for n in range(3)])
    assert response.status_code == 400
    assert "too many images" in response.json()["error"]


def test_options_of_the_query_string_are_those_of_the_request(served: Any, made: Made, image: bytes) -> None:
    body, headers = binary_request([image])
    by_query = served.post(INFER + "?max_latency_ms=1.9&explain=true", content=body, headers=headers)
    body, headers = binary_request([image], more={"parameters": {"max_latency_ms": 1.9}})
    asked = served.post(INFER, content=body, headers=headers)
    assert outputs_of(by_query)["candidate"] == outputs_of(asked)["candidate"]
    assert "explanation" in outputs_of(by_query)
    assert "explanation" in outputs_of(served.post(INFER + "?explain", content=image))


@pytest.mark.parametrize(
    ("query", "reported"),
    [
        ("max_latency=5", "unknown option; given: 'max_latency'"),
        ("budget=5", "unknown option"),
        ("max_latency_ms=soon", "must be a number"),
        ("max_latency_ms=0.000001", "m0"),
        ("max_latency_ms=nan", "max_latency_ms"),
        ("max_latency_ms=-1", "below 0"),
        ("explain=perhaps", "must be true or false"),
        ("explain=1&explain=0", "given twice"),
        ("%ff=%ff", "unknown option"),
    ],
)
def test_a_query_string_is_never_ignored(served: Any, image: bytes, query: str, reported: str) -> None:
    response = served.post(f"{INFER}?{query}", content=image)
    assert response.status_code == 400, response.text
    assert reported in response.json()["error"]


def test_an_option_in_two_places_is_refused(served: Any, image: bytes) -> None:
    body, headers = binary_request([image], more={"parameters": {"max_latency_ms": 9}})
    response = served.post(INFER + "?max_latency_ms=5", content=body, headers=headers)
    assert response.status_code == 400
    assert "give it once" in response.json()["error"]


@pytest.mark.parametrize(
    ("item", "reported"),
    [
        ("https://example.org/cat.jpg", "it is a URL, and the server fetches nothing"),
        ("cat.jpg", "must be base64"),
        ("data:image/png;base64", "no comma"),
        ({"b64": 1}, "must be text"),
        ({"bytes": "aGFsbG8="}, '{"b64": ...}'),
        ("a-b+", "must be base64"),
    ],
)
def test_what_is_no_image_in_text_is_named(served: Any, item: Any, reported: str) -> None:
    response = served.post(INFER, content=in_json(item))
    assert response.status_code == 400
    assert reported in response.json()["error"]


def test_a_request_of_the_first_version_of_the_protocol_is_named(served: Any) -> None:
    response = served.post(INFER, json={"instances": [{"image_bytes": {"b64": "aGFsbG8="}}]})
    assert response.status_code == 400
    assert "first version of the protocol" in response.json()["error"]


def test_classification_gives_probabilities_with_their_names(served: Any, made: Made, image: bytes) -> None:
    outputs = [
        {"name": "probabilities", "parameters": {"classification": 2}},
        {"name": "top_labels"},
        {"name": "class"},
    ]
    body, headers = binary_request([image], more={"outputs": outputs})
    found = outputs_of(served.post(INFER, content=body, headers=headers))
    probability, number, name = found["probabilities"][0].split(":", 2)
    assert (int(number), name) == (found["top_labels"][0], found["class"][0])
    assert 0 < float(probability) <= 1
    assert len(found["probabilities"]) == min(2, len(found["top_labels"]))
    body, headers = binary_request([image], more={"outputs": [{"name": "label", "parameters": {"classification": 1}}]})
    assert "only probabilities" in served.post(INFER, content=body, headers=headers).json()["error"]
