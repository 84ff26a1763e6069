"""The guards of an endpoint: those of the bundle that answers, then those of the endpoint itself."""

from __future__ import annotations

from collections.abc import Sequence

from kedge.core.spec import Spec
from kedge.serve.gateway.routing import Running
from kedge.serve.guards.open import open_guards
from kedge.serve.guards.watch import Observe, Watch


class Guarding:
    """Makes the guards of each bundle once."""

    def __init__(self, specs: Sequence[Spec], observe: Observe) -> None:
        self._specs = tuple(specs)
        self._observe = observe
        self._watches: dict[str, Watch] = {}

    def of(self, running: Running) -> Watch:
        """The guards around one bundle. `NotFound` if one of them is not installed."""
        watch = self._watches.get(running.digest)
        if watch is None:
            posted = open_guards((*running.bundle.guards, *self._specs))
            watch = self._watches[running.digest] = Watch(posted, self._observe)
        return watch
