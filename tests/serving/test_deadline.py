"""A deadline of the server: what waiting left is the budget of the call."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bundles import Made, make_bundle
from policy_makers import make_stopping
from premodel.clock import now_ms
from premodel.errors import OptionError
from premodel.runtime.engine import Premodel
from premodel.runtime.policies.costs import Costs
from premodel.serving.deadline import MIN_ANSWERS, PRICE, Deadline, WaitedTooLongError
from premodel.serving.limits import Limits
from premodel.serving.received import Received
from premodel.serving.request import Asked
from premodel.serving.service import Service

COSTS = Costs((2.0, 8.0), 1.0)
"""End to end 3 and 9 ms."""


def premodel() -> Any:
    return SimpleNamespace(policy=SimpleNamespace(costs=COSTS), candidates=("small", "large"))


def answer(total_ms: float, *ran: str) -> Any:
    return SimpleNamespace(latency_ms={"total": total_ms}, ran=ran)


def test_budgets_by_hand() -> None:
    deadline = Deadline(20)
    assert deadline.budget_ms(premodel(), waited_ms=0) == 20
    assert deadline.budget_ms(premodel(), waited_ms=11) == 9
    assert deadline.budget_ms(premodel(), waited_ms=2, inputs=3) == 6
    with pytest.raises(
        WaitedTooLongError, match=r"no candidate can answer before the deadline; given: 17\.1 ms of waiting"
    ):
        deadline.budget_ms(premodel(), waited_ms=17.1)


def test_budgets_are_shortened_by_how_much_longer_answers_take_here() -> None:
    deadline = Deadline(20)
    for _ in range(MIN_ANSWERS - 1):
        deadline.note(premodel(), answer(6.0, "small"))
    assert deadline.budget_ms(premodel(), 0) == 20, "too few to tell"
    deadline.note(premodel(), answer(22.0, "small", "large"))  # 11 by the profile
    assert deadline.ratio == 2
    assert deadline.budget_ms(premodel(), 0) == 10
    assert deadline.budget_ms(premodel(), 15) == 3, "the cheapest is tried as long as the profile allows it"
    for _ in range(100):
        deadline.note(premodel(), answer(1.0, "small"))
    assert deadline.ratio == 1, "a quick machine lends nothing"


def test_the_price_of_time_rises_with_the_queue_and_with_how_slow_this_machine_is() -> None:
    deadline = Deadline(30)
    assert deadline.cost_weight(0, 1) == 0
    assert deadline.cost_weight(1, 1) == pytest.approx(0.01)  # 0.3 of an answer in 30 ms
    assert deadline.cost_weight(6, 2) == pytest.approx(0.03)
    assert deadline.cost_weight(-1, 1) == 0
    for took_ms in (3.0, 6.0, 30.0) * MIN_ANSWERS:  # 3 by the profile: the median is twice as long
        deadline.note(premodel(), answer(took_ms, "small"))
    assert deadline.cost_weight(1, 1) == pytest.approx(0.02)


def test_a_deadline_that_nothing_can_meet_is_refused_before_anything_is_served() -> None:
    Deadline(3).check(premodel())
    with pytest.raises(
        OptionError, match=r"no candidate can answer within deadline_ms; given: 2\.9 ms; allowed: 3\.000"
    ):
        Deadline(2.9).check(premodel())
    with pytest.raises(OptionError, match="deadline_ms is out of range"):
        Limits(deadline_ms=0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_bundle(
        tmp_path_factory.mktemp("made"), lambda tables: make_stopping(tables, "cascade-routing", "best+20pt"), n=30
    )


def counted(service: Service, outcome: str) -> float:
    text = service.metrics.text().decode()
    return float(text.split(f'premodel_deadline_total{{outcome="{outcome}"}} ')[1].split("\n")[0])


def test_who_has_waited_gets_a_cheaper_answer_and_who_waited_too_long_none(made: Made) -> None:
    image = made.small.images[0].read_bytes()
    service = Service(Premodel(made.path), "edge", Limits(workers=1, deadline_ms=10_000))
    service.start()

    def ask(waited_ms: float) -> Any:
        assert service.accept()
        return service.submit(Received(image, "", Asked(content_type="image/png"), now_ms() - waited_ms))

    cheapest = min(service.premodel.policy.costs.latency_ms)
    names = service.premodel.candidates
    cheap = names[service.premodel.policy.costs.latency_ms.index(cheapest)]
    free = ask(0).result().answers[0]
    hurried = [ask(10_000 - 1000 * cheapest).result().answers[0] for _ in range(2)]
    assert not free.abstained
    assert all(not one.abstained for one in hurried)
    with pytest.raises(WaitedTooLongError):
        ask(9_999.9).result()
    assert counted(service, "on time") == 3
    assert counted(service, "refused") == 1
    assert counted(service, "late") == 0
    assert cheap in names
    service.stop()


def test_a_queue_raises_the_cost_weight_and_an_empty_one_leaves_it(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    image = made.small.images[0].read_bytes()
    clf = Premodel(made.path)
    asked: list[float | None] = []
    real = clf.predict

    def predict(data: bytes, **options: Any) -> Any:
        asked.append(options["cost_weight"])
        return real(data, **options)

    monkeypatch.setattr(clf, "predict", predict)
    service = Service(clf, "edge", Limits(workers=1, deadline_ms=1000))
    service.start()
    usual = clf.policy.trained_cost_weight

    def ask(content_type: str = "image/png") -> Any:
        assert service.accept()
        return service.submit(Received(image, "", Asked(content_type=content_type), now_ms())).result()

    ask()
    assert asked == [None]
    behind = 1 + math.ceil(usual * 1000 / PRICE)
    places = [service.accept() for _ in range(min(behind, 32))]
    ask()
    expected = PRICE * len(places) / 1000
    assert asked[1] == (pytest.approx(expected) if expected > usual else None)
    assert counted_total(service, "premodel_hurried_total") == (expected > usual)
    assert counted_total(service, "premodel_queue_cost_weight") == pytest.approx(expected)
    for _ in places:
        service.leave()
    service.stop()


def counted_total(service: Service, name: str) -> float:
    text = service.metrics.text().decode()
    return float(text.split(f"\n{name} ")[1].split("\n")[0])


def test_a_budget_of_the_request_is_kept_where_it_is_less(made: Made, serving: Any) -> None:
    with serving(Path(made.path), deadline_ms=20_000) as (client, service):
        body = made.small.images[0].read_bytes()
        headers = {"Content-Type": "image/png"}
        url = f"/v2/models/{service.name}/infer"
        refused = client.post(f"{url}?max_latency_ms=0.01", content=body, headers=headers)
        assert refused.status_code == 400
        assert "no candidate can answer within max_latency_ms" in refused.json()["error"]
        assert client.post(url, content=body, headers=headers).status_code == 200
