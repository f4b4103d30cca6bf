"""maya-batch turns a book into an audiobook with the Maya1 text-to-speech model.

    import maya_batch

    plan = maya_batch.plan_book(maya_batch.load_book("book.yaml"), model="demo")
    result = maya_batch.render(plan)
    print(result.exit_code, result.files, maya_batch.read_report(plan).problems_by_kind)
    maya_batch.speak("Hello.", "Calm female voice in the 30s age", "hello.wav", model="demo")

What a name needs is imported when it is first used: `import maya_batch` loads no other module.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maya_batch.book.plan import Plan
    from maya_batch.book.settings import Machine
    from maya_batch.errors import BusyError, MachineError, ManifestError, MayaBatchError, StoppedError, UsageError
    from maya_batch.interrupt import Stop
    from maya_batch.manifest import Manuscript
    from maya_batch.report.model import Report
    from maya_batch.run.library import load_book, plan_book, read_report, render, speak
    from maya_batch.run.progress import ProgressListener
    from maya_batch.run.result import RunResult
    from maya_batch.run.sample_files import Sample

__all__ = [
    "BusyError",
    "Machine",
    "MachineError",
    "ManifestError",
    "Manuscript",
    "MayaBatchError",
    "Plan",
    "ProgressListener",
    "Report",
    "RunResult",
    "Sample",
    "Stop",
    "StoppedError",
    "UsageError",
    "load_book",
    "plan_book",
    "read_report",
    "render",
    "speak",
]

_MODULES = {
    "errors": ("BusyError", "MachineError", "ManifestError", "MayaBatchError", "StoppedError", "UsageError"),
    "interrupt": ("Stop",),
    "manifest": ("Manuscript",),
    "book.plan": ("Plan",),
    "book.settings": ("Machine",),
    "report.model": ("Report",),
    "run.progress": ("ProgressListener",),
    "run.result": ("RunResult",),
    "run.samples": ("Sample",),
    "run.library": ("load_book", "plan_book", "read_report", "render", "speak"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"maya_batch.{module}"), name)
    raise AttributeError(f"module 'maya_batch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
