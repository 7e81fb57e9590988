"""The page: whole, true to its policy, and asking for nothing from elsewhere."""

from __future__ import annotations

import re
from typing import Any

from bundles import Made, make_bundle
from policy_makers import MAKERS
from premodel.serving.page import FILES


def test_files_are_served_under_a_strict_policy(made: Made, serving: Any) -> None:
    with serving(made.path) as (client, _):
        for path, (_, kind) in FILES.items():
            response = client.get(path)
            assert (response.status_code, response.headers["content-type"]) == (200, kind)
            policy = response.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'")
            assert "unsafe" not in policy
            assert response.headers["x-content-type-options"] == "nosniff"
            assert not re.search(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)\w+\.\w+", response.text), path
            assert "{{" not in response.text


def test_what_the_policy_would_block_is_not_there(made: Made, serving: Any) -> None:
    with serving(made.path) as (client, _):
        text = client.get("/").text
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
    assert re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL) == ["", ""]


def test_every_element_the_script_names_is_there(made: Made, serving: Any) -> None:
    with serving(made.path) as (client, _):
        page, script = client.get("/").text, client.get("/page.js").text + client.get("/camera.js").text
    ids = set(re.findall(r'id="(\w+)"', page))
    used = set(re.findall(r'byId\("(\w+)"\)', script))
    assert used
    assert used <= ids
    assert set(re.findall(r'for="(\w+)"', page)) <= ids


def test_a_name_of_signs_is_text(tmp_path: Any, serving: Any) -> None:
    made = make_bundle(tmp_path, MAKERS["single"])
    odd = made.path.rename(made.path.with_name('a "<b>&.premodel'))
    with serving(odd) as (client, _):
        text = client.get("/").text
        assert "<b>" not in text
        assert "a &quot;&lt;b&gt;&amp;" in text
        assert client.get("/v2/models/a%20%22%3Cb%3E%26").status_code == 200
