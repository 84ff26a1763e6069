"""Bundles that a gateway must not serve are refused before an engine is started."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from kedge.core.bundle import Bundle
from kedge.core.errors import NotFound
from kedge.core.spec import Spec
from kedge.serve.launch import Launcher


def test_a_bundle_with_an_unknown_guard_is_refused_rather_than_served_without(tmp_path: Path) -> None:
    bundle = replace(Bundle(model="x", engine=Spec(name="echo")), guards=(Spec(name="never heard of"),))
    with pytest.raises(NotFound, match="never heard of"):
        asyncio.run(Launcher(unpack=lambda digest: (bundle, tmp_path)).launch("sha256:0"))
