"""Opens the base model that a bundle's model was trained from, to be asked beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from kedge.app.work.answerers import Local, local_folder
from kedge.core.bundle import Bundle
from kedge.core.errors import NotFound
from kedge.core.step import StepContext
from kedge.evaluate.pose import BETWEEN
from kedge.train.base import locate_base
from kedge.train.types import TrainOptions


def open_base(context: StepContext, run: Mapping[str, Any], bundle: Bundle) -> Local:
    """The base model under the bundle's prompt and sampling; its answer ends where it would go on with another example.

    `NotFound` when the base is no longer where training found it.
    """
    options = msgspec.convert(run["args"], TrainOptions)
    try:
        folder = locate_base(options, root=context.root, workdir=context.workdir)
    except NotFound as error:
        raise NotFound(
            error.message, address=options.base, hint="bring it back, or leave it out of the evaluation: shots = []"
        ) from error
    sampling = replace(bundle.sampling, stop=tuple(dict.fromkeys((*bundle.sampling.stop, BETWEEN))))
    plain = replace(bundle, chat_template="", sampling=sampling, guards=())
    return local_folder(plain, folder, f"base of {run['key']}", root=context.root, progress=context.progress)
