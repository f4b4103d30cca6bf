"""What the pages of a report have in them: style and script, the policy that lets nothing else run, and data."""

import base64
import hashlib
import json
from importlib.resources import files
from urllib.parse import quote

#: Characters that would end a script element or begin a comment in it, or that older JavaScript takes as line ends.
_UNSAFE = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def resource(*names: str) -> str:
    """The texts of these files of the package, joined."""
    folder = files("maya_batch.report")
    return "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


def content_policy(style: str, script: str) -> str:
    """The Content-Security-Policy of a page: whatever its texts contain, only this script runs.

    Nothing is loaded from elsewhere: a page that is opened as a file plays the files next to it, a page from a server
    those of the server.
    """
    return (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
        "media-src data: 'self' file:; base-uri 'none'; form-action 'none'"
    )


def file_link(name: str) -> str:
    """The URL of a file, by its path relative to the page."""
    # After "./", a name with a colon is not a URL of another scheme.
    return "./" + quote(name, errors="surrogateescape")


def inline_json(data: object) -> str:
    """`data` as JSON for a script element of the type application/json: it has no `<`, `>` and `&`.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_UNSAFE)


def _digest(text: str) -> str:
    """The source of an inline style or script in a Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
