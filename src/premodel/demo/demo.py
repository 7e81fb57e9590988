"""The whole job on the embedded scenes and networks."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from premodel.clock import now_ms
from premodel.demo.digits import sources
from premodel.demo.folder import BENCH, MODELS, TEXTS, Folder
from premodel.demo.state import Demo, DemoOptions
from premodel.demo.steps import BENCH_IMAGES, STEPS, TEXT_STEPS
from premodel.demo.texts import collect, write_split, write_zoo
from premodel.errors import ModelError
from premodel.evaluation.report.page import require_report_packages
from premodel.profiling.progress import Progress, Silent
from premodel.training.options import DEFAULT_POLICY
from premodel.training.policies import paper
from premodel.zoo.manifest import Zoo, read_zoo

TEXT_POLICIES = (DEFAULT_POLICY,)
POLICIES = (paper.TRAINER.name, DEFAULT_POLICY)
"""The paper's policy, and the one that is trained where none is named."""


def run_demo(options: DemoOptions, progress: Progress | None = None) -> Demo:
    """Run every step; the same call takes up where a broken-off one ended.

    Raises
    ------
    OptionError
        The folder holds somebody else's files, or an option is wrong.
    ModelError
        The embedded networks are not there.
    MissingExtraError
        A package of the extra `demo` is not installed; found before anything is done.
    """
    progress = progress or Silent()
    require_report_packages()
    of_texts = options.domain == "text"
    if not of_texts:
        sources("test")
        zoo = read_zoo(options.zoo or embedded_zoo(), require_files=True)
    folder = Folder(options.out)
    folder.claim({"images": options.images, "seed": options.seed}, options.domain)
    if folder.known:
        progress.note(f"{folder.path} holds an earlier demo: what it has done is used, its results are replaced")
    if of_texts:
        zoo = _zoo_of_texts(options, folder, progress)
    demo = Demo(options, folder, progress, zoo, options.policies or (TEXT_POLICIES if of_texts else POLICIES))
    steps = TEXT_STEPS if of_texts else STEPS
    for number, step in enumerate(steps, 1):
        progress.note(f"[{number}/{len(steps)}] {step.title}")
        start_ms = now_ms()
        try:
            step.work(demo)
        finally:
            progress.end()
        demo.seconds[step.name] = (now_ms() - start_ms) / 1e3
    return demo


def _zoo_of_texts(options: DemoOptions, folder: Folder, progress: Progress) -> Zoo:
    """The texts as files, and three models fitted on others of them."""
    progress.note("fitting three models on sentences of other files")
    splits = collect(options.seed)
    count = min(BENCH_IMAGES, options.images // 2) if options.bench_images is None else options.bench_images
    write_split(folder / TEXTS, splits["profile"], options.images)
    write_split(folder / BENCH, splits["bench"], count)
    return read_zoo(write_zoo(folder / MODELS, splits["fit"]), require_files=True, trust_python=True)


def embedded_zoo() -> Path:
    """The manifest of the embedded networks.

    Raises
    ------
    ModelError
        This copy of the package was built without them.
    """
    path = Path(str(resources.files("premodel.demo"))) / "zoo" / "zoo.toml"
    if not path.is_file():
        raise ModelError(
            "the demo's networks are not in this copy of premodel", where=path, do="make them: recipes/digits"
        )
    return path
