"""On-time accuracy under load: a late answer is wrong.

Images arrive at random moments (Poisson), at some multiples of what a server with one worker can answer by the first
bundle; the server is `premodel serve` without its HTTP. Right and within the deadline, of all that were sent: that is
on-time accuracy. Compared: the first bundle with --deadline-ms, with its budgets alone and without, and the others,
single candidates, without.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from premodel.clock import now_ms
from premodel.profiling.datasets.registry import read_dataset
from premodel.runtime.engine import Premodel
from premodel.serving import deadline
from premodel.serving.limits import Limits
from premodel.serving.received import Received
from premodel.serving.request import Asked
from premodel.serving.service import Service

WITH_DEADLINE, BUDGETS, NO_DEADLINE = "deadline", "budgets only", "none"
"""As served with --deadline-ms; the same without a price of time; without a deadline."""
PRICE = deadline.PRICE


def serve(args: argparse.Namespace, bundle: str, how: str, rate: float, images: list[bytes], truth: Any) -> dict:
    """One bundle at one rate for some seconds."""
    deadline_ms = None if how == NO_DEADLINE else args.deadline_ms
    limits = Limits(workers=args.workers, queue=args.queue, deadline_ms=deadline_ms)
    deadline.PRICE = 0.0 if how == BUDGETS else PRICE
    service = Service(Premodel(bundle, threads=1, zoo=args.zoo), "edge", limits)
    service.start()
    while not service.ready:
        time.sleep(0.05)
    rng = np.random.default_rng(args.seed)
    count = int(args.seconds * rate)
    waits, order = rng.exponential(1 / rate, count), rng.integers(0, len(images), count)
    took, right, lock = np.full(count, np.inf), np.zeros(count, bool), threading.Lock()
    open_: list[Future[Any]] = []

    def done(future: Future[Any], place: int, image: int, begun: float) -> None:
        with lock:
            if future.exception() is None:
                took[place] = now_ms() - begun
                right[place] = future.result().answers[0].label == truth[image]

    at = now_ms()
    for place, (wait, image) in enumerate(zip(1e3 * waits, order, strict=True)):
        at += wait
        time.sleep(max(0.0, (at - now_ms()) / 1e3))
        if not service.accept():
            continue
        future = service.submit(Received(images[image], "", Asked(content_type="image/jpeg"), at))
        future.add_done_callback(partial(done, place=place, image=image, begun=at))
        open_.append(future)
    for future in open_:
        future.exception()
    service.stop()
    on_time = took <= args.deadline_ms
    return {
        "bundle": Path(bundle).stem, "deadline": how, "sent": count, "answered": int(np.isfinite(took).sum()),
        "on_time": float(on_time.mean()), "on_time_accuracy": float((on_time & right).mean()),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--labels")
    parser.add_argument("--zoo")
    parser.add_argument("--deadline-ms", type=float, required=True)
    parser.add_argument("--loads", type=float, nargs="+", default=[0.5, 1.0, 1.5, 2.0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--queue", type=int, default=32)
    parser.add_argument("--limit", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with Premodel(args.bundle[0], threads=1, zoo=args.zoo) as first:
        data = read_dataset(args.data, args.labels, label_names=first.bundle.label_names)
        rows = data.draw(args.limit, args.seed)
        read = [
            (payload.data, int(data.labels[payload.row])) for payload in data.read(rows) if payload.data is not None
        ]
        images, truth = [one for one, _ in read], [label for _, label in read]
        first.warm()
        spent = [first.predict(image).latency_ms["total"] for image in images[:100]]
    capacity = 1e3 * args.workers / float(np.mean(spent))
    found = []
    rng = np.random.default_rng(args.seed)
    for load in args.loads:
        cases = [(args.bundle[0], how) for how in (WITH_DEADLINE, BUDGETS)]
        cases += [(bundle, NO_DEADLINE) for bundle in args.bundle]
        for place in rng.permutation(len(cases)):
            bundle, how = cases[place]
            row = {"load": load, **serve(args, bundle, how, load * capacity, images, truth)}
            found.append(row)
            if not args.json:
                print(
                    f"{load:4.2f}x  {row['bundle']:24} {how:12}  on time "
                    f"{100 * row['on_time']:5.1f} %  on-time accuracy {100 * row['on_time_accuracy']:5.1f} %  "
                    f"of {row['sent']}, answered {row['answered']}",
                    flush=True,
                )
    if args.json:
        print(json.dumps({"capacity_per_s": capacity, "deadline_ms": args.deadline_ms, "rows": found}))
    else:
        print(f"capacity {capacity:.1f} a second, deadline {args.deadline_ms:g} ms")


if __name__ == "__main__":
    main()
