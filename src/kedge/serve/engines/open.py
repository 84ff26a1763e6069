"""Opens the engine a bundle names; engines are found through entry points of the group `kedge.engines`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from kedge.core import adapter
from kedge.core.bundle import Bundle
from kedge.core.catalogue import Catalogue
from kedge.core.errors import Invalid, Missing
from kedge.core.ports import Engine

GROUP = "kedge.engines"

EngineMaker = Callable[[Bundle, Path], Engine]


def open_engine(bundle: Bundle, folder: Path) -> Engine:
    """The engine of a bundle whose files lie in `folder`, loaded and ready.

    `NotFound` names the engines there are; `Missing` the package to install; `Refused` a file that could run code;
    `Invalid` for a model with an adapter beside it, when the engine would answer without the adapter.
    """
    engine = engines().get(bundle.engine.name)(bundle, folder)
    if (folder / adapter.FOLDER).is_dir() and not (bundle.export or "adapters" in engine.describe().can):
        engine.close()
        raise no_adapters(bundle)
    return engine


def no_adapters(bundle: Bundle) -> Invalid:
    """What is said of an engine that knows one set of weights only."""
    return Invalid(
        f"the engine {bundle.engine.name} does not read an adapter beside its base",
        address=bundle.model,
        hint="train with lora.merge = true, or use the engine transformers",
    )


def engines() -> Catalogue[EngineMaker]:
    """Every engine that is installed, ours and those of plug-ins."""
    catalogue: Catalogue[EngineMaker] = Catalogue("engine")
    for point in entry_points(group=GROUP):
        catalogue.add(point.name, _loader(point))
    return catalogue


def _loader(point: EntryPoint) -> Callable[[], EngineMaker]:
    def load() -> EngineMaker:
        try:
            maker: EngineMaker = point.load()
        except ImportError as error:
            package = point.dist.name if point.dist else "its package"
            known = Missing.behind(error)
            if known is not None and package == "kedge":
                raise known from error
            raise Missing(
                f"the engine {point.name!r} of {package} cannot be loaded: {error}",
                hint="pip install 'kedge[serve]'" if package == "kedge" else f"pip install --upgrade {package}",
            ) from error
        return maker

    return load
