"""The endpoints that SERVICE may ask, and the machines they may be at.

Hides how the list is written, and which addresses are public. An entry of the list is an endpoint's address
and, after spaces, the networks (`10.0.0.0/8`, or one address) it may be in besides the public ones.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from kg.errors import UsageError

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# Of the IANA's registries, for special purposes; older versions of Python take parts of them for public.
_SPECIAL = (ipaddress.IPv4Network("192.0.0.0/24"), ipaddress.IPv4Network("192.88.99.0/24"),
            ipaddress.IPv6Network("64:ff9b:1::/48"))  # fmt: skip
# Addresses of IPv6 that are translated to IPv4 on the way, with the IPv4 address in their last 32 bits.
_TRANSLATED = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))


def read(text: str) -> tuple[str, ...]:
    """The entries of a list: endpoints, each followed by its networks, and files that hold the same.

    In a file, what follows a `#` is a comment. Raises UsageError naming what does not fit and where.
    """
    found: list[str] = []
    for word in text.split():
        if _is_endpoint(word) or _is_network(word):
            _add(found, word, "")
            continue
        try:
            lines = Path(word).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as problem:
            raise UsageError(
                f"services: {word} is no address of an endpoint (https://host/sparql) and cannot be read as "
                f"a file of them: {getattr(problem, 'strerror', None) or problem}"
            ) from problem
        for number, line in enumerate(lines, 1):
            # An endpoint's address has no fragment, so nothing but a comment begins with this character.
            for entry in line.partition("#")[0].split():
                _add(found, entry, f"{word}, line {number}: ")
    for entry in found:
        check(entry)
    return tuple(found)


def check(entry: str) -> None:
    """Raise UsageError where an entry is not an endpoint's address with networks behind it."""
    endpoint, *networks = entry.split() or [""]
    try:
        parts = urlsplit(endpoint)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not endpoint.isascii() or "#" in endpoint or set(endpoint) & set('<>"{}|\\^`'):
        raise UsageError(
            f"services: {endpoint!r} is no address of an endpoint; write it in ASCII, as https://host/sparql"
        )
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"services: the address at {parts.hostname} holds a name or a password, which queries and errors "
            "would show; leave it out"
        )
    for network in networks:
        if not _is_network(network):
            raise UsageError(f"services: {network!r} behind {endpoint} is no network, such as 10.0.0.0/8")


def networks(entries: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Endpoint -> networks it may be in besides public ones; a host that is a number is listed by that."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        endpoint, *listed = entry.split()
        host = urlsplit(endpoint).hostname or ""
        own = (host,) if _is_network(host) else ()
        found[endpoint] = (*found.get(endpoint, ()), *listed, *own)
    return found


def may_ask(address: str, listed: Iterable[str]) -> bool:
    """Whether a machine may be asked: its address is public, or in a listed network.

    Public is what the IANA's registries call globally reachable, for all addresses that one stands for: an
    IPv6 address may carry an IPv4 address in it, to which it is translated on the way.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    every = [found, *_inner(found)]
    for text in listed:
        network = ipaddress.ip_network(text)
        if any(each.version == network.version and each in network for each in every):
            return True
    return all(
        each.is_global
        and not each.is_multicast
        and not each.is_reserved
        and not (isinstance(each, ipaddress.IPv6Address) and each.is_site_local)
        and not any(each in network for network in _SPECIAL)
        for each in every[1:] or every
    )


def _inner(address: _Address) -> Iterator[_Address]:
    if not isinstance(address, ipaddress.IPv6Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address.sixtofour is not None:
        yield from (address, address.sixtofour)
    elif address.teredo is not None:
        yield from (address, *address.teredo)
    elif any(address in network for network in _TRANSLATED):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _add(found: list[str], word: str, where: str) -> None:
    if _is_endpoint(word):
        found.append(word)
    elif not _is_network(word):
        raise UsageError(f"services: {where}{word!r} is neither an endpoint's address nor a network")
    elif not found:
        raise UsageError(f"services: {where}{word} stands before any endpoint; write it behind its own")
    else:
        found[-1] += f" {word}"


def _is_endpoint(word: str) -> bool:
    return word.lower().startswith(("http://", "https://"))


def _is_network(word: str) -> bool:
    try:
        ipaddress.ip_network(word)
    except ValueError:
        return False
    return True
