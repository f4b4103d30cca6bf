"""Imported by the process that runs are forked from: what each of them would otherwise make for itself."""

from functools import cache
from unittest.mock import patch

import typer.main

from maya_batch.cli import app
from maya_batch.report.page import _template

patch("typer.main.get_command", cache(typer.main.get_command)).start()
typer.main.get_command(app)
_template()
