"""The figures of docs/scaling.md, and what follows from them for a large run; every number comes from the JSON."""

from __future__ import annotations

from typing import Any

BEGIN, END = "<!-- scale: begin -->", "<!-- scale: end -->"
WANTED_SPEEDUP, WANTED_OVERHEAD = 1.8, 0.10
NODES, IMAGES, CANDIDATES = 100, 1_000_000, 14
CORES = (1, 16)
WORK_MS = (20.0, 100.0)
NETWORK_MB_PER_S = {"1 Gbit/s": 125.0, "10 Gbit/s": 1250.0}
ROWS = "2000"


def render(found: dict[str, Any]) -> str:
    """All tables, as Markdown."""
    parts = [_conditions(found), _passes(found), _verdicts(found), _rates(found), _large(found)]
    return "\n\n".join(parts)


def _conditions(found: dict[str, Any]) -> str:
    conditions = found["conditions"]
    return (
        f"Made on {found['date']} by `scripts/scale` in {found['seconds']} s: {conditions['device']}, "
        f"{conditions['cores']} cores, {found['images']:,} scenes of the demo, {found['candidates']} candidates of its "
        f"networks, medians of {found['rounds']} rounds by turns. Meanwhile other programs, Ray's own and the workers "
        f"among them, kept {found['other_cores']:.1f} cores busy."
    )


def _passes(found: dict[str, Any]) -> str:
    lines = [
        "| prediction pass | whole, s | until the first result, s | from there on, s | images/s from there on "
        "| driver's own processor, ms per image |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for kind, run in found["medians"].items():
        rate = found["images"] / run["steady_s"]
        cpu = "" if kind == "here" else f"{1e3 * run['driver_cpu_s'] / found['images']:.2f}"
        lines.append(
            f"| {kind} | {run['whole_s']:.2f} | {run['start_s']:.2f} | {run['steady_s']:.2f} | {rate:.0f} | {cpu} |"
        )
    return "\n".join(lines)


def speedup(found: dict[str, Any]) -> float:
    """Rate of two nodes of one core over that of one, both once their workers are open."""
    medians = found["medians"]
    return float(medians["one node"]["steady_s"] / medians["two nodes"]["steady_s"])


def overhead(found: dict[str, Any]) -> float:
    """What one node of one core takes longer than the pass here, once the models are open in both, as a share."""
    medians = found["medians"]
    return float(medians["one node"]["steady_s"] / medians["here"]["steady_s"] - 1)


def _verdicts(found: dict[str, Any]) -> str:
    twice, more = speedup(found), overhead(found)
    whole = found["medians"]["one node"]["whole_s"] / found["medians"]["here"]["whole_s"] - 1
    return "\n".join([
        f"- Two nodes of one core against one node: {twice:.2f}x; wanted {WANTED_SPEEDUP}x: "
        f"**{_met(twice >= WANTED_SPEEDUP)}**. "
        f"Against the pass here: {twice / (1 + more):.2f}x.",
        f"- One node against the pass here, once models are open: {100 * more:+.1f} %; wanted less than "
        f"{100 * WANTED_OVERHEAD:.0f} % from 1,000 images: **{_met(more < WANTED_OVERHEAD)}**. "
        f"With the start of workers, which takes the same for any number of images: {100 * whole:+.1f} %.",
    ])  # fmt: skip


def _met(right: bool) -> str:
    return "met" if right else "not met"


def _rates(found: dict[str, Any]) -> str:
    objects, images = found["objects"], found["image_reads"]
    lines = ["| what | rate |", "|---|---:|"]
    for name, rates in found["stores"].items():
        if isinstance(rates, str):
            lines.append(f"| rows into {name} | not measured: {rates} |")
            continue
        shown = "; ".join(f"{rate:,.0f} rows/s by {int(size):,}" for size, rate in rates.items())
        lines.append(f"| rows into {name}, by rows in one transaction | {shown} |")
    lines += [
        f"| object store, putting | {objects['put_mb_per_s']:,.0f} MB/s |",
        f"| object store, to another node on this machine | {objects['take_mb_per_s']:,.0f} MB/s |",
        f"| the smallest call of a worker, there and back | {objects['call_ms']:.2f} ms |",
        f"| reading and hashing images of {images['image_bytes'] / 1e3:.0f} kB that the machine has in memory "
        f"| {images['images_per_s']:,.0f} images/s |",
    ]
    return "\n".join(lines)


def demands(found: dict[str, Any]) -> dict[str, float]:
    """Seconds that each shared part takes for the large run, whatever the number of nodes."""
    medians, image_mb = found["medians"], found["image_reads"]["image_bytes"] / 1e6
    scale = IMAGES / found["images"]
    driver = medians["two nodes"]["driver_cpu_s"] * scale
    sending = medians["two nodes, images sent"]["driver_cpu_s"] * scale
    parts = {
        "inventory: driver reads and hashes every image": IMAGES / found["image_reads"]["images_per_s"],
        "driver's processor, images read by the nodes (rows into SQLite included)": driver,
        "driver's processor, scenes of the demo sent with the tasks": max(driver, sending),
    }
    for name, rates in found["stores"].items():
        if not isinstance(rates, str):
            parts[f"rows into {name} alone, by {int(ROWS):,}"] = IMAGES * (CANDIDATES + 1) / rates[ROWS]
    for name, rate in NETWORK_MB_PER_S.items():
        parts[f"all images through the driver's network, {name} (computed)"] = IMAGES * image_mb / rate
    return parts


def _large(found: dict[str, Any]) -> str:
    """Where the bottleneck is."""
    parts = demands(found)
    here_ms = 1e3 * found["medians"]["here"]["steady_s"] / found["images"]
    lines = [
        f"### {NODES} nodes, {IMAGES:,} images, {CANDIDATES} candidates",
        "",
        "Computed from the rates above, not run. What the driver does for all nodes together, whatever their number:",
        "",
        "| shared part | minutes |",
        "|---|---:|",
        *(f"| {name} | {seconds / 60:.1f} |" for name, seconds in parts.items()),
        "",
        "What the nodes do together, and which shared part is then longer, images being read by the nodes into SQLite:",
        "",
        "| work per image, ms | cores per node | nodes' work, minutes | driver's, minutes | bottleneck |",
        "|---:|---:|---:|---:|---|",
    ]
    driver = parts["driver's processor, images read by the nodes (rows into SQLite included)"]
    for work_ms in (here_ms, *WORK_MS):
        for cores in CORES:
            nodes = IMAGES * work_ms / 1e3 / (NODES * cores)
            where = "the nodes" if nodes > driver else "the driver"
            lines.append(f"| {work_ms:.1f} | {cores} | {nodes / 60:.1f} | {driver / 60:.1f} | {where} |")
    busy = here_ms / (1e3 * driver / IMAGES)
    lines += [
        "",
        "One driver keeps as many cores busy as the work of an image is longer than the driver's own: "
        f"{busy:.0f} with these small networks ({here_ms:.1f} ms per image), "
        + ", ".join(f"{work_ms / (1e3 * driver / IMAGES):.0f} at {work_ms:.0f} ms" for work_ms in WORK_MS)
        + ".",
    ]
    return "\n".join(lines)
