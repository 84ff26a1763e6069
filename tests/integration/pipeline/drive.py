"""Runs a project with the tiny steps in a process of its own: `python drive.py FOLDER [--set KEY=VALUE]...`."""

from __future__ import annotations

import json
import sys
from importlib import import_module

from kedge.app import runs
from kedge.app.project import open_project
from kedge.core.errors import KedgeError

project = open_project(sys.argv[1])
project.steps = import_module("tinysteps").load()
try:
    result = runs.run(project, sets=[word for word in sys.argv[2:] if word != "--set"])
except KedgeError as error:
    print(json.dumps({"error": error.code, "message": error.message}))
    sys.exit(error.exit_code)
print(json.dumps({"outputs": {stage: dict(ports) for stage, ports in result.outputs.items()}, "idle": result.idle}))
