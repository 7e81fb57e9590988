"""A secret in any part of a URL is in no output, however the URL is written."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from premodel.errors import OptionError, sentence
from premodel.redact import redacted, redacted_url, remember

SECRETS = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_.~-]{6,20}[0-9Q]", fullmatch=True).map(lambda text: f"Zq{text}")
ODD = st.text("abcXYZ019!$&'()*+,;=:@/?#%[] \"", min_size=3, max_size=12).map(lambda text: f"Zq7{text}9Xk")
few = settings(max_examples=10, deadline=None)
WEB = (
    "https://me:{0}@host/m.onnx", "https://{0}@host/m.onnx", "https://{0}:x-oauth-basic@host/m", "http://:{0}@host",
    "https://host/m.onnx?token={0}", "https://host/m.onnx?api_key={0}&b=1", "https://host/m?{0}", "https://host/m?{0}=1",
    "https://host/m.onnx#{0}", "https://host/m.onnx#access_token={0}", "https://host/m;jsessionid={0}?a=1",
    "https://host:8080/m?a=1&sig={0}", "HTTPS://me:{0}@[::1]:80/m", "hf://me:{0}@host/m",
    "http%3A%2F%2Fme%3A{0}%40host%2Fm", "https://host/go?to=https%3A%2F%2Fme%3A{0}%40other",
)  # fmt: skip
DATABASES = (
    "postgresql://me:{0}@host/profiles", "postgresql+psycopg://me:{0}@host:5432/profiles",
    "mysql://host/profiles?user=me&password={0}", "postgresql:///profiles?host=/run&sslpassword={0}",
    "mariadb+pymysql://me:{0}@/profiles?unix_socket=/run/m.sock", "postgresql://host/profiles?keyring={0}",
)  # fmt: skip
TEXTS = (
    "HTTPSConnectionPool(host='h', port=443): Max retries exceeded with url: /m.onnx?token={0} (Caused by X)",
    "invalid dsn: password={0} host=h", "connect(password='{0}', user='me')", "PREMODEL_OIP_TOKEN={0}",
    "header Authorization: Bearer {0}{0}", "[SQL: ...] (Background: mysql://me:{0}@h/d)",
)  # fmt: skip


@pytest.mark.parametrize("form", [*WEB, *DATABASES, *TEXTS])
@few
@given(secret=SECRETS)
def test_no_secret_is_left_in_a_text(form: str, secret: str) -> None:
    text = form.format(secret)
    for said in (
        text,
        f"{text}: no such file",
        f"cannot fetch ({text}); try again",
        f"'{text}'",
        f'{{"url": "{text}"}}',
    ):
        assert secret not in redacted(said)
    assert secret not in str(OptionError("wrong URL", where=text, given=text, allowed=text, do=text))


@pytest.mark.parametrize("form", [*WEB, *DATABASES])
@few
@given(secret=ODD)
def test_no_secret_is_left_in_what_is_known_to_be_a_url(form: str, secret: str) -> None:
    """Whatever signs it is made of, and whether or not they are percent-encoded; nor is its beginning or end."""
    for written in (secret, quote(secret, safe="")):
        shown = redacted_url(form.format(written))
        assert "Zq7" not in shown
        assert "9Xk" not in shown
        if "%3A" not in form:  # a whole URL within another is only found where it is encoded as one
            assert "Zq7" not in sentence("wrong", where=form.format(written))


@pytest.mark.parametrize(
    "text",
    [
        "https://host/models/m.onnx", "https://cdn.example/npm/pkg@1.0/m.onnx", "http://127.0.0.1:8080", "http://[::1]:80/v2",
        "sqlite:////srv/a_long_name_0123456789_0123456789/s.db", "postgresql://me@host/profiles", "a = b; c: d",
        "send the header Authorization: Bearer TOKEN", "photos/what?.png", "given: 3; allowed: 1 to 2",
        "premodel profile zoo.toml photos --store s.db", "https://host:443/a/b.onnx, https://other/c.onnx",
    ],
)  # fmt: skip
def test_what_holds_no_secret_stays(text: str) -> None:
    assert redacted(text) == text
    assert redacted(redacted(text)) == text


def test_what_is_hidden_shows_where_it_was() -> None:
    assert redacted("https://me:word@host/a/m.onnx?x=1#y") == "https://***@host/a/m.onnx?***"
    assert redacted("postgresql://me:word@host/p?sslmode=require") == "postgresql://me:***@host/p?***"
    assert redacted("https://hooks.example/T0/abcDEF0123456789abcdef0/x") == "https://hooks.example/T0/***/x"


def test_a_password_that_was_given_to_a_driver_is_in_no_text() -> None:
    remember("s3cr@t/word")
    assert redacted("the server answers: s3cr@t/word is wrong, and s3cr%40t%2Fword too") == (
        "the server answers: *** is wrong, and *** too"
    )
    remember("abc")
    assert redacted("abc") == "abc", "too short to be searched for"
