"""The router's one nft table, and how it is loaded.

TCP is steered by TPROXY, not by NAT: a steered packet keeps its addresses, the accepted socket's own address *is* the destination the
function asked for, and no connection tracking takes part, whose entries would time out, or turn invalid, during a long freeze. Whatever is
to happen to a frozen environment's packets belongs at the head of `steer` (towards the router) and into a chain of its own
on the output hook (towards the environment): both see the real addresses.

Only features that nft 1.0.6 and a kernel without bridge reject, act_gact and netem have.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable

from .addresses import LAB_NETWORK, ROUTER_INTERFACE_PREFIX, SERVICE_NETWORK

STEER_MARK = 1
"""The mark of packets that are delivered here whatever their address."""

STEER_PORT = 1
"""Where the listener for steered TCP is (tcpmux, RFC 1078: withdrawn, so no server of a function's is hidden by it)."""

DNS_PORT = 53

SYSTEM_FOLDERS = "/usr/sbin:/sbin:/usr/local/sbin"
"""Debian installs nft there, and leaves them out of ordinary users' PATH."""

TABLE = f"""
table inet frostline {{
    set hosts {{
        type ipv4_addr . inet_service
    }}
    chain steer {{
        type filter hook prerouting priority mangle; policy accept;
        iifname != "{ROUTER_INTERFACE_PREFIX}*" accept
        ip daddr {LAB_NETWORK} ip daddr != {SERVICE_NETWORK} ip daddr . tcp dport != @hosts meta l4proto tcp reject with tcp reset
        tcp dport {DNS_PORT} meta mark set {STEER_MARK} tproxy ip to :{DNS_PORT} accept
        meta nfproto ipv4 meta l4proto tcp meta mark set {STEER_MARK} tproxy ip to :{STEER_PORT} accept
        meta nfproto ipv4 udp dport {DNS_PORT} meta mark set {STEER_MARK} accept
        drop
    }}
    chain arriving {{
        type filter hook input priority filter; policy drop;
        iif lo accept
        meta mark {STEER_MARK} accept
    }}
    chain passing {{
        type filter hook forward priority filter; policy drop;
    }}
}}
"""
"""Environments reach the listener, the name server and nothing else. What they dial of each other is reset at once, and so is a port of one of the
lab's hosts at which nothing is."""


class RulesetError(Exception):
    """The table could not be loaded; the text says why and what would help."""


def find_nft(program: str) -> str:
    """The path of `nft`: as given, in PATH, or where distributions put it. Raises RulesetError."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_FOLDERS}")
    if found is None:
        raise RulesetError(f"the program {program!r} was not found: install nftables (Debian, Ubuntu: apt-get install nftables)")
    return found


def load(program: str, hosts: Iterable[tuple[str, int]] = ()) -> None:
    """Load the table into the calling process's network namespace; `hosts` are ports of the lab's own hosts. Raises RulesetError."""
    path = find_nft(program)
    elements = "".join(f"add element inet frostline hosts {{ {address} . {port} }}\n" for address, port in hosts)
    try:
        done = subprocess.run([path, "-f", "-"], input=TABLE + elements, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RulesetError(f"{path} could not be run: {error}") from error
    if done.returncode:
        said = next((line.strip() for line in done.stderr.splitlines() if line.strip()), f"exit status {done.returncode}")
        raise RulesetError(
            f"{path} refused the router's rules ({said}): the kernel must offer nf_tables with TPROXY (modules nf_tables, nft_tproxy)"
        )
