"""Tokens, open binds, TLS files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bundles import Made
from premodel.errors import OptionError
from premodel.files import read_token
from premodel.serving.access import OPEN_PATHS, check_bind, doors_of
from premodel.serving.server import check_tls, open_socket, url_of
from serving_client import INFER

TOKEN = "0123456789abcdef"


def test_everything_but_health_and_the_page_wants_the_token(made: Made, serving: Any) -> None:
    image = made.small.images[0].read_bytes()
    raw = {"inference-header-content-length": "0"}
    with serving(made.path, TOKEN) as (client, _):
        for path in (
            "/v2",
            "/v2/models/small",
            "/v2/models/small/ready",
            "/metrics",
            "/openapi.json",
            "/other",
            "/page.js/",
        ):
            refused = client.get(path)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer"), path
            assert "token" in refused.json()["error"]
        for path in OPEN_PATHS:
            assert client.get(path).status_code in (200, 400), path
        for wrong in ("", "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN):
            answer = client.post(INFER, content=image, headers={**raw, "authorization": wrong})
            assert answer.status_code == 401, wrong
        odd = client.get("/v2", headers={"authorization": b"Bearer \xff\xfe"})
        assert odd.status_code == 401
        for right in (f"Bearer {TOKEN}", f"bearer  {TOKEN} "):
            answer = client.post(INFER, content=image, headers={**raw, "authorization": right})
            assert answer.status_code == 200, right


def test_a_token_is_one_long_word_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"  {TOKEN}\n")
    assert read_token(file) == TOKEN
    for wrong in (b"", b"short", TOKEN.encode() + b" " + TOKEN.encode(), b"\xff" * 20, b"x" * 5000, b"a\nb" * 9):
        file.write_bytes(wrong)
        with pytest.raises(OptionError, match="token"):
            read_token(file)
    with pytest.raises(OptionError, match="cannot be read"):
        read_token(tmp_path / "absent")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", ""])
def test_an_open_bind_is_asked_for_by_name(host: str) -> None:
    with pytest.raises(OptionError, match="--allow-open"):
        check_bind(host, token=False, allow_open=False)
    check_bind(host, token=True, allow_open=False)
    check_bind(host, token=False, allow_open=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    check_bind(host, token=False, allow_open=False)


def test_half_a_pair_of_tls_files_or_wrong_ones(tmp_path: Path) -> None:
    check_tls(None, None)
    with pytest.raises(OptionError, match="go together"):
        check_tls(tmp_path / "cert.pem", None)
    with pytest.raises(OptionError, match="cannot be used"):
        check_tls(tmp_path / "cert.pem", tmp_path / "key.pem")
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("nonsense\n")
    with pytest.raises(OptionError, match="cannot be used"):
        check_tls(tmp_path / "cert.pem", tmp_path / "key.pem")


def test_a_taken_port_and_an_unknown_host() -> None:
    with open_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert url_of(listener, tls=True) == f"https://127.0.0.1:{port}"
        with pytest.raises(OptionError, match=f"127.0.0.1:{port}"):
            open_socket("127.0.0.1", port)
    with pytest.raises(OptionError, match="no port"):
        open_socket("127.0.0.1", 70_000)
    with pytest.raises(OptionError, match="unknown"):
        open_socket("no such host", 0)


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("127.0.0.1", True), ("127.0.0.1:8080", True), ("LOCALHOST:1", True), ("[::1]:8080", True), ("own.lan", True),
        ("192.168.1.7:8080", True), ("evil.example", False), ("evil.example:8080", False),
        ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("own.lan.evil.example", False),
    ],
)  # fmt: skip
def test_only_its_own_names_are_answered_without_a_token(made: Made, serving: Any, host: str, answered: bool) -> None:
    with serving(made.path, doors=doors_of("127.0.0.1", ["own.lan"])) as (client, _):
        response = client.get("/v2", headers={"host": host})
        assert response.status_code == (200 if answered else 403)
        assert answered or "--allow-host" in response.json()["error"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:9", "http://127.0.0.1.evil.example"]
)
def test_pages_of_other_origins_are_refused(made: Made, serving: Any, origin: str) -> None:
    with serving(made.path, doors=doors_of("127.0.0.1")) as (client, _):
        response = client.post(INFER, content=b"{}", headers={"origin": origin})
        assert response.status_code == 403
        assert "another origin" in response.json()["error"]
        assert client.get("/v2", headers={"origin": "http://127.0.0.1"}).status_code == 200, "its own page"


def test_an_allowed_origin_may_ask_and_read(made: Made, serving: Any) -> None:
    origin = "https://own.example"
    with serving(made.path, doors=doors_of("127.0.0.1", (), [origin + "/"])) as (client, _):
        headers = {"origin": origin, "access-control-request-method": "POST"}
        assert client.options(INFER, headers=headers).headers["access-control-allow-origin"] == origin
        assert client.get("/v2", headers={"origin": origin}).headers["access-control-allow-origin"] == origin


def test_no_redirect_repeats_a_host(made: Made, serving: Any) -> None:
    with serving(made.path) as (client, _):
        for path in ("/v2/", "/metrics/", "/v2/models/small/", "//evil.example/v2/"):
            response = client.get(path, headers={"host": "evil.example"}, follow_redirects=False)
            assert response.status_code == 404
            assert "location" not in response.headers


@pytest.mark.parametrize(("hosts", "origins"), [(["a/b"], []), ([""], []), ([], ["own.example"]), ([], ["http://a/b"])])
def test_doors_that_are_none(hosts: list[str], origins: list[str]) -> None:
    with pytest.raises(OptionError, match="--allow"):
        doors_of("127.0.0.1", hosts, origins)
