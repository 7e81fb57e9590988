"""Why candidates failed on some samples: of each the reason that most of its failures give."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from premodel.store.schema import PREDICTIONS, SAMPLES

SHOWN = 300
"""Characters of a reason."""


def failure_reasons(connection: Connection) -> dict[str, str]:
    """By prediction key, on one line; of equally frequent reasons the one that sorts first. Only where one failed."""
    p, count = PREDICTIONS.c, func.count()
    query = (
        select(p.prediction_key, p.reason, count)
        .join(SAMPLES, (SAMPLES.c.sample == p.sample) & (SAMPLES.c.label == p.truth))
        .where(p.status == "failed")
        .group_by(p.prediction_key, p.reason)
    )
    found: dict[str, str] = {}
    rows = [(str(key), " ".join(str(reason).split()), int(many)) for key, reason, many in connection.execute(query)]
    for key, reason, _ in sorted(rows, key=lambda row: (-row[2], row[1])):
        found.setdefault(key, reason if len(reason) <= SHOWN else f"{reason[:SHOWN]}...")
    return found
