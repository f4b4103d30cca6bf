"""The command that installs an extra of this program, which depends on how the program was installed.

The program is on no package index: by its name, pip would install another program.
"""

import json
import shlex
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path
from urllib.parse import unquote, urlsplit


def install_hint(extra: str) -> str:
    """The command that installs the packages of this extra."""
    try:
        program = distribution("maya-batch")
    except PackageNotFoundError:  # run from a source folder, not installed
        return f"pip install -c constraints.txt '.[{extra}]'"
    clone, editable = _clone(program)
    if clone is None:
        needed = [name for name in program.requires or () if _is_of(name, extra)]
        return shlex.join(
            [sys.executable, "-m", "pip", "install", *(name.partition(";")[0].strip() for name in needed)]
        )
    return _in_clone(clone, editable, extra)


def rebuild_hint(package: str, setting: str) -> str:
    """The command that compiles an installed package again, in the same version, with an environment variable set.

    pip keeps what it compiled before, and would install that.
    """
    again = ["--force-reinstall", "--no-cache-dir", "--no-deps", f"{package}=={version(package)}"]
    return f"{setting} {shlex.join([sys.executable, '-m', 'pip', 'install', *again])}"


def _clone(program: Distribution) -> tuple[Path | None, bool]:
    """The source folder that it was installed from, None without one (PEP 610), and whether the install is editable."""
    try:
        origin = json.loads(program.read_text("direct_url.json") or "null")
        folder = Path(unquote(urlsplit(origin["url"]).path))
        editable = bool(origin["dir_info"].get("editable"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, False
    return (folder if (folder / "pyproject.toml").is_file() else None), editable


def _in_clone(clone: Path, editable: bool, extra: str) -> str:
    # Not resolved: in a virtual environment python is a link, and its target is the system's Python.
    pip = Path(sys.prefix, "bin", "pip")
    shown = str(pip.relative_to(clone) if pip.is_relative_to(clone) else pip)
    constraints = ["-c", "constraints.txt"] if (clone / "constraints.txt").is_file() else []
    line = f"{shlex.join([shown, 'install', *constraints])} {'-e ' if editable else ''}'.[{extra}]'"
    return line if Path.cwd() == clone else f"cd {shlex.quote(str(clone))} && {line}"


def _is_of(requirement: str, extra: str) -> bool:
    """Whether a requirement in the metadata belongs to the extra: `faster-whisper<2,>=1; extra == 'verify'`."""
    marker = requirement.partition(";")[2].replace('"', "'")
    return f"extra == '{extra}'" in marker
