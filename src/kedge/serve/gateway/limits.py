"""How many requests are under way at once."""

from __future__ import annotations

from kedge.core.settings import GatewaySettings
from kedge.serve.gateway.errors import limited


class Limits:
    """Lets requests in, or says when to come again."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.under_way = 0

    def enter(self) -> None:
        """A request under way, until `leave`. 429 if there are too many."""
        if self.under_way >= self.settings.max_waiting:
            raise limited(
                f"{self.under_way} requests are under way, which is the limit", seconds=1, code="too_many_requests"
            )
        self.under_way += 1

    def leave(self) -> None:
        """One of them is answered."""
        self.under_way -= 1
