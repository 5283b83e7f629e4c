"""How many requests one client may send: a bucket of tokens for each, filled at a steady rate.

Hides what counts as one client (an IPv4 address, 64 bits of IPv6) and that only so many are remembered.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

_REMEMBERED = 10_000  # clients; one that was not here for longer than its bucket takes to fill has a full one


class Rates:
    """`rate` requests a second, `burst` at once; a rate of 0 lets everything through."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when

    def wait(self, client: str, now: float) -> float:
        """Seconds until the client may ask again; 0 if it may now, and then one request is counted."""
        if not self._rate:
            return 0.0
        key = _network(client)
        tokens, then = self._buckets.get(key, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - then) * self._rate)
        if tokens < 1:
            self._keep(key, tokens, now)
            return (1 - tokens) / self._rate
        self._keep(key, tokens - 1, now)
        return 0.0

    def _keep(self, key: str, tokens: float, now: float) -> None:
        self._buckets[key] = tokens, now
        self._buckets.move_to_end(key)
        while len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)


def _network(client: str) -> str:
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if address.version == 4:
        return client
    return str(ipaddress.ip_network((address, 64), strict=False))
