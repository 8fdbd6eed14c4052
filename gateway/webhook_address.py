"""
Where webhooks may go: to the operator's receiver, and by default to none in the gateway's own network.

Read by the parser that makes the connection (yarl), so that no two parsers can disagree on the host (CVE-2026-45400).
"""

import ipaddress
import socket
import unicodedata

from yarl import URL

_LOCAL_NAMES = ("localhost", "local", "internal", "localdomain", "home.arpa", "intranet", "lan")
"""Names that stand for the own machine or network (RFC 6761, RFC 6762, RFC 8375), and `metadata.google.internal`."""
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
"""IPv4 addresses for IPv6-only networks (RFC 6052, RFC 8215): the last 32 bits are the address."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet: not loopback, private, link-local, reserved, nor round one."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if any(ip in network for network in _NAT64) or int(ip) >> 32 == 0:
            wrapped.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        inner = [each for each in wrapped if each is not None]
        if inner:
            return all(is_public(str(each)) for each in inner)
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def checked_url(text: str, *, allow_private: bool) -> str:
    """
    The URL itself. Raises `ValueError` with what is wrong, never with what was given.

    A name is not resolved here: what it stands for is checked at each connection.
    """
    try:
        url = URL(text)
        host = url.host
        port = url.port
    except ValueError:
        raise ValueError("not a URL") from None
    if url.scheme not in ("http", "https"):
        raise ValueError("expected http:// or https://")
    if url.user is not None or url.password is not None or "@" in text.partition("//")[2].partition("/")[0]:
        raise ValueError("must not hold a user or a password")
    if not host or port is None or url.fragment or "\\" in text or any(c.isspace() or c < " " for c in text):
        raise ValueError("expected http(s)://host/path")
    if not allow_private and not _is_public_host(unicodedata.normalize("NFKC", host)):
        raise ValueError("a private, loopback or link-local address: WEBHOOK_ALLOW_PRIVATE=true allows it")
    return text


def _is_public_host(host: str) -> bool:
    name = host.lower().rstrip(".")
    if "%" in name:
        return False
    try:
        return is_public(str(ipaddress.ip_address(name)))
    except ValueError:
        pass
    try:
        # Every form the C library takes for an address: 127.1, 0x7f.1, 017700000001, 2130706433.
        return is_public(socket.inet_ntoa(socket.inet_aton(name)))
    except OSError:
        pass
    return "." in name and not name.endswith(tuple(f".{each}" for each in _LOCAL_NAMES))
