"""What a client's address is, when proxies may stand between."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import Scope

UNKNOWN = "unknown"


class ClientAddress:
    """
    Reads the address of a request.

    `trusted` are CIDRs of proxies. Only when the peer is one of them is `X-Forwarded-For` read, and then the right-most
    hop that is not trusted counts: everything left of it could have been written by the client. An IPv6 address stands
    for its /64, the smallest block a customer gets (RFC 6177). Raises `ValueError` for a malformed CIDR.
    """

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        self._trusted: tuple[IPv4Network | IPv6Network, ...] = tuple(ip_network(cidr) for cidr in trusted)

    def of(self, scope: Scope) -> str:
        """The address in canonical form, or `unknown` (a Unix socket, a peer that is no IP address)."""
        client = scope.get("client")
        peer = _parsed(client[0]) if client else None
        if peer is None:
            return UNKNOWN
        if self._trusted and self._is_trusted(peer):
            forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
            for hop in reversed(forwarded.decode("latin-1").split(",")):
                address = _parsed(hop.strip())
                if address is None:
                    break
                peer = address
                if not self._is_trusted(address):
                    break
        if isinstance(peer, IPv6Address):
            return str(IPv6Network((int(peer) >> 64 << 64, 64)))
        return str(peer)

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it: bare, with a port, in brackets, IPv4 mapped into IPv6."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
