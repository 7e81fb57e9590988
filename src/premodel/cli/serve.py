"""`premodel serve`: answer images over HTTP."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

from premodel.cli.server_options import add_server_options, listening, read_access
from premodel.cli.trust import add_trust
from premodel.errors import OptionError
from premodel.runtime.conditions import too_many_threads
from premodel.runtime.engine import Premodel
from premodel.serving.limits import Limits

EXAMPLE = """example:
  premodel serve edge.premodel
  curl --data-binary @cat.jpg http://127.0.0.1:8080/v2/models/edge/infer

Open Inference Protocol v2 (tritonclient, KServe clients), a page at /, Prometheus metrics at /metrics, OpenAPI at
/openapi.json. Off this machine's own address a token is wanted. SIGTERM and Ctrl-C answer what was accepted, then stop.
SIGHUP loads the bundle again; the old one answers until the new one is ready.
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("bundle", metavar="F.premodel", help="the premodel; its name is the model's name")
    parser.add_argument("--threads", type=int, metavar="T", help="threads of every candidate (default: as profiled)")
    parser.add_argument(
        "--memory-budget-mb",
        type=float,
        metavar="MB",
        help="what models may take together, as --max-memory-mb",
    )
    add_trust(parser)
    parser.add_argument("--zoo", metavar="ZOO", help="folder or manifest where the models are, if they were moved")
    add_server_options(parser, 8080)
    parser.add_argument(
        "--shadow", type=float, metavar="SHARE", help="share of the answers to compare with the best candidate's"
    )
    record = parser.add_argument_group("record")
    record.add_argument("--record", metavar="STORE", help="keep a sample of inputs and answers in this file")
    record.add_argument("--record-share", type=float, metavar="SHARE", help="of the answers (default: 0.1); unsure "
                        "ones up to twice as often")  # fmt: skip
    record.add_argument("--record-days", type=float, metavar="D", help="after which a record is deleted (default: 30)")
    record.add_argument(
        "--record-mb", type=float, metavar="MB", help="of the file; the oldest give way (default: 1000)"
    )
    limits = parser.add_argument_group("limits")
    limits.add_argument("--workers", type=int, metavar="N", help="requests answered at once (default: 2, or 1 core)")
    limits.add_argument("--queue", type=int, metavar="N", help="requests that may wait; more get 503 (default: 32)")
    limits.add_argument("--timeout", type=float, metavar="S", help="seconds from arrival to answer (default: 30)")
    limits.add_argument(
        "--deadline-ms", type=float, metavar="X", help="from arrival to answer: who has waited gets a cheaper answer"
    )
    limits.add_argument("--max-body-mb", type=float, metavar="MB", help="of one request (default: 16)")
    limits.add_argument("--max-megapixels", type=float, metavar="MP", help="of one image (default: 50)")
    limits.add_argument("--max-batch", type=int, metavar="N", help="images in one request (default: 32)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout when it listens: url, model")


def run(args: argparse.Namespace) -> int:
    """Load, listen, serve until asked to stop."""
    token = read_access(args)
    from premodel.serving.app import describe, make_app
    from premodel.serving.recorder import Recorder
    from premodel.serving.served import Served
    from premodel.serving.service import Service
    from premodel.serving.shadow import Shadow

    limits = _limits(args)
    name = Path(args.bundle).stem

    def opened() -> tuple[Premodel, Shadow | None]:
        premodel = Premodel(args.bundle, args.threads, args.zoo, args.memory_budget_mb, args.trust_python)
        try:
            return premodel, None if args.shadow is None else Shadow(premodel, args.shadow)
        except BaseException:
            premodel.close()
            raise

    def reopened() -> Served:
        premodel, shadow = opened()
        try:
            return Served(premodel, name, shadow, "" if recorder is None else recorder.admit(premodel))
        except BaseException:
            premodel.close()
            raise

    recording = _recording(args)
    premodel, shadow = opened()
    with premodel, listening(args, token) as server:
        recorder = Recorder(args.record, **recording) if args.record is not None else None
        service = Service(premodel, name, limits, shadow, reopened, recorder)
        app = make_app(service, token, server.doors)
        if args.json:
            print(json.dumps({"url": server.url, **describe(service)}), flush=True)
        print(f"premodel serve: {service.name} at {server.url}; Ctrl-C ends it", file=sys.stderr, flush=True)
        own = [premodel.bundle.candidate(one) for one in premodel.candidates]
        note = too_many_threads({one.name: args.threads or one.threads for one in own if not one.model.is_remote})
        if note:
            print(f"premodel serve: {note}", file=sys.stderr, flush=True)
        server.run(app, limits, service.metrics.bad_request, service.reload_soon)
        if service.hung:  # a thread that runs on would keep the process
            print("premodel serve: stopped, although a worker had not ended", file=sys.stderr, flush=True)
            os._exit(1)
    print("premodel serve: stopped", file=sys.stderr)
    return 0


def _recording(args: argparse.Namespace) -> dict[str, Any]:
    """What was given of the record; an option without `--record` is an error."""
    given = {"share": args.record_share, "days": args.record_days, "max_mb": args.record_mb}
    found = {name: value for name, value in given.items() if value is not None}
    if found and args.record is None:
        raise OptionError("options of the record need a store", do="add --record STORE")
    return found


def _limits(args: argparse.Namespace) -> Limits:
    given: dict[str, Any] = {
        "workers": args.workers,
        "queue": args.queue,
        "timeout_s": args.timeout,
        "deadline_ms": args.deadline_ms,
        "max_body_bytes": _whole(args.max_body_mb, 1 << 20),
        "max_pixels": _whole(args.max_megapixels, 1_000_000),
        "max_batch": args.max_batch,
    }
    return Limits(**{name: value for name, value in given.items() if value is not None})


def _whole(value: float | None, unit: int) -> float | None:
    """So many units; what is not a number stays as it is, and is refused with the other limits."""
    return round(value * unit) if value is not None and math.isfinite(value) else value
