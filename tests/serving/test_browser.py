"""The page in a real browser: Chromium, headless. Waits are for conditions, never for a time."""

from __future__ import annotations

import base64
import json
import shutil
import socket
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

import premodel
from bundles import Made
from serving_client import INFER, running, until

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if CHROMIUM is None or DRIVER is None:
    pytest.skip("no browser: install Debian's chromium and chromium-driver", allow_module_level=True)

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
)  # fmt: skip
WAIT_S = 60
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""
GIVE = """
const [kind, text, type] = arguments;
const data = new DataTransfer();
data.items.add(new File([Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0))], "image", { type }));
document.dispatchEvent(kind === "paste"
  ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
  : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
"""


class Page:
    """The page of one server, open in the browser."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        driver.get("about:blank")  # so that no page of an earlier test writes into the logs any more
        driver.get_log("performance")
        driver.get_log("browser")
        driver.get(url)
        self.until(lambda: self.text("state") == "ready")

    def until(self, condition: Callable[[], Any]) -> None:
        WebDriverWait(self.driver, WAIT_S, poll_frequency=0.05).until(lambda _: condition())

    def find(self, name: str) -> Any:
        return self.driver.find_element(By.ID, name)

    def text(self, name: str) -> str:
        return str(self.find(name).text)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def give(self, kind: str, data: bytes, media_type: str = "image/png") -> None:
        self.run(GIVE, kind, base64.b64encode(data).decode(), media_type)

    def answered(self) -> None:
        self.until(lambda: self.find("answer").is_displayed())

    def failed(self, word: str) -> None:
        self.until(lambda: word in self.text("error"))


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Generator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    yield driver
    driver.quit()


@pytest.fixture
def sized(driver: Any) -> Generator[Callable[..., None]]:
    """`sized(width, dark=False)`; wide and light again afterwards."""

    def size(width: int, *, dark: bool = False) -> None:
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    yield size
    size(1280)


@pytest.fixture
def page(driver: Any, server: str) -> Page:
    return Page(driver, server)


@pytest.fixture
def image(made: Made) -> Path:
    return made.small.images[0]


def test_a_dropped_image_is_answered_in_full(page: Page, made: Made, image: Path) -> None:
    with premodel.load(made.path) as clf:
        answer = clf.predict(image)
        names = clf.candidates
    page.give("drop", image.read_bytes())
    page.answered()
    assert page.text("class") == answer.class_name
    assert f"Answered by {answer.candidate}" in page.text("by")
    sure = [line.find_element(By.CLASS_NAME, "number").text for line in page.all("#probabilities li")]
    assert sure[0] == f"{100 * (answer.probability or 0):.1f} %"
    rows = [[cell.text for cell in row.find_elements(By.TAG_NAME, "td")] for row in page.all("#candidates tr")]
    assert [row[0] for row in rows] == list(names)
    scores = json.loads(json.dumps(answer.to_json("", explain=True)))["steps"][0]["scores"]
    assert {row[0]: row[1] for row in rows if "." in row[1]} == {name: f"{s:.3f}" for name, s in scores.items()}
    assert {row[0] for row in rows if row[2] != "no"} == set(answer.ran)
    assert [step.text.startswith(("Run ", "Stop")) for step in page.all("#steps li")] == [True] * len(answer.steps)
    assert "Stop" in page.all("#steps li")[-1].text, "why it stopped"
    widths = page.run(
        "return [...document.querySelectorAll('#stages i')].map((piece) => parseFloat(piece.style.width))"
    )
    assert sum(widths) == pytest.approx(100, abs=0.5)
    stages = [item.text.split()[0] for item in page.all("#stagelegend li")]
    assert stages == ["decode", "features", "select", "predict", "rest"]
    page.until(lambda: page.find("picture").is_displayed())


def test_a_pasted_image_is_answered(page: Page, image: Path) -> None:
    page.give("paste", image.read_bytes())
    page.answered()


def test_a_chosen_file_is_answered_and_a_bad_one_is_an_error(page: Page, image: Path, tmp_path: Path) -> None:
    page.find("file").send_keys(str(image))
    page.answered()
    (tmp_path / "bad.png").write_bytes(b"no image at all")
    page.find("file").send_keys(str(tmp_path / "bad.png"))
    page.failed("not an image")
    assert page.find("error").get_attribute("role") == "alert"
    assert not page.find("answer").is_displayed(), "an old answer does not stand beside a new error"
    page.find("file").send_keys(str(image))
    page.answered()
    assert not page.find("error").is_displayed()


def read(url: str) -> bytes:
    with urlopen(url) as response:
        data: bytes = response.read()
    return data


def test_overload_is_shown(driver: Any, made: Made, image: Path) -> None:
    with running(made.path, "--workers", 1, "--queue", 0) as (url, _):
        page = Page(driver, url)
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=WAIT_S) as connection:  # takes the only place
            connection.sendall(f"POST {INFER} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n".encode())
            until(lambda: b"premodel_queue_depth 1.0" in read(url + "/metrics"))
            page.give("drop", image.read_bytes())
            page.failed("busy")


def test_a_server_that_is_gone_is_shown(driver: Any, made: Made, image: Path) -> None:
    with running(made.path) as (url, _):
        page = Page(driver, url)
    page.give("drop", image.read_bytes())
    page.failed("cannot be reached")
    page.until(lambda: page.text("state") == "not reachable")


def test_a_token_is_asked_for(driver: Any, made: Made, image: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef")
    with running(made.path, "--token-file", tmp_path / "token") as (url, _):
        page = Page(driver, url)
        page.until(lambda: page.find("access").is_displayed())
        page.give("drop", image.read_bytes())
        page.failed("token")
        page.find("token").send_keys("0123456789abcdef", Keys.ENTER)
        page.answered()


BEYOND = """
return [...document.querySelectorAll("main *")].filter((item) => item.getBoundingClientRect().right > innerWidth + 1);
"""
LONG = {
    "label": 0, "class": "a_name_without_any_space_" * 5,
    "candidate": "first_long_name_1.0_224+second_long_name_0.75_192",
    "candidates": ["first_long_name_1.0_224", "second_long_name_0.75_192" * 2],
    "ran": ["first_long_name_1.0_224", "second_long_name_0.75_192"], "abstained": False, "confidence": 0.5,
    "probabilities": [{"label": 0, "class": "a_name_without_any_space_" * 5, "p": 0.9}],
    "latency_ms": {"decode": 1, "features": 0, "select": 0, "predict": 2, "total": 4},
    "steps": [{"run": "first_long_name_1.0_224" * 3, "reason": "", "scores": {}},
              {"stop": "answer", "reason": "a" * 90}],
}  # fmt: skip


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_wider_than_the_screen(page: Page, sized: Any, width: int) -> None:
    sized(width)
    page.run(
        "show(arguments[0]); draw({ answers: new Map([[arguments[0].candidate, 3]]), count: 3, seconds: 1 })", LONG
    )
    assert page.find("answer").is_displayed()
    assert page.run("return document.documentElement.scrollWidth") <= width
    assert page.run(BEYOND) == []


def test_everything_is_reached_by_keyboard(page: Page, image: Path) -> None:
    reached = []
    for _ in range(5):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        active = page.driver.switch_to.active_element
        reached.append(active.get_attribute("id") or active.get_attribute("href").rsplit("/", 1)[1])
        assert page.run("return document.activeElement.matches(':focus-visible')")
    assert reached == ["metrics", "openapi.json", "file", "camera", "budget"]
    page.find("file").send_keys(str(image))
    page.answered()
    page.find("budget").send_keys("0.0001", Keys.ENTER)
    page.failed("the cheapest candidate is")
    page.find("budget").send_keys(Keys.CONTROL, "a")
    page.find("budget").send_keys("50", Keys.ENTER)
    page.answered()


def test_the_charts_live(page: Page, image: Path) -> None:
    page.give("drop", image.read_bytes())
    page.answered()
    page.until(lambda: page.all("#chart rect") and page.all("#times rect"))
    assert "answers" in page.text("totals")
    assert any("%" in item.text for item in page.all("#mixlegend li"))
    assert "up to" in page.text("slowest")


def luminance(colour: str) -> float:
    """Of `rgb(r, g, b)`, by WCAG 2."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark_are_both_readable(page: Page, sized: Any, image: Path, dark: bool) -> None:
    sized(1280, dark=dark)
    page.give("drop", image.read_bytes())
    page.answered()
    paper = luminance(
        page.find("answer").value_of_css_property("background-color").replace("rgba", "rgb").replace(", 1)", ")")
    )
    assert (paper < 0.2) == dark
    for name in ("class", "by", "total", "totals"):
        colour = page.find(name).value_of_css_property("color").replace("rgba", "rgb").replace(", 1)", ")")
        low, high = sorted((luminance(colour), paper))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name


def test_nothing_is_asked_elsewhere_and_the_policy_is_kept(page: Page, server: str, image: Path) -> None:
    page.give("drop", image.read_bytes())
    page.answered()
    page.until(lambda: page.all("#chart rect"))
    messages = [json.loads(entry["message"])["message"] for entry in page.driver.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert any(url.endswith("/infer") for url in asked)
    assert [url for url in asked if not url.startswith((server + "/", "data:", "blob:" + server))] == []
    assert page.driver.get_log("browser") == []
    assert page.run("return window.violations") == []
    page.run("const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)")
    page.until(lambda: page.run("return window.violations.length"))
    assert page.run("return window.ran") is None, "the policy is in force"


def test_a_picture_by_the_camera(driver: Any, answering: Path) -> None:
    with running(answering) as (url, _):
        page = Page(driver, url)
        page.find("camera").click()
        page.until(lambda: page.run("return document.getElementById('video').videoWidth"))
        page.until(lambda: page.run("return document.activeElement.id") == "shoot")
        page.driver.switch_to.active_element.send_keys(Keys.ENTER)
        page.answered()
        assert not page.find("viewfinder").is_displayed()
        assert page.run("return stream") is None, "the camera is off again"
        page.find("camera").click()
        page.until(lambda: page.find("stopcamera").is_displayed())
        page.find("stopcamera").click()
        page.until(lambda: page.find("camera").is_displayed())


def test_a_camera_that_fails_is_told(page: Page) -> None:
    page.run("navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotFoundError'))")
    page.find("camera").click()
    page.failed("no camera")
