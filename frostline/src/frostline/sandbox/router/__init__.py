"""The lab's router: the way out for environments that live in network namespaces of their own.

::

    environment               router's namespace                     the machine
    eth0 198.19.0.7/32 -veth- env7 ---- nft table `frostline` ------ dialer ------ real network, loopback
                              TCP to any address -> listener --------^
                              port 53 to any address -> name server -^

Two processes, so that the main process never carries a function's bytes:

- the *lab* process (`lab`) lives in the router's network namespace and owns what the kernel keeps there: veths (`links`), the nft table
  (`ruleset`), and the listening sockets, which it makes and gives away;
- the *dialer* process (`dialer`) lives in the machine's own network. It accepts on those sockets (a socket belongs to the namespace it was
  made in, whoever holds it), decides whether a destination may be dialed (`policy`), relays bytes (`relay`) and answers names
  (`nameserver`, `names`, `forward`).

A freeze of the network is the dialer's: an environment's connections are held together (`edge`), each meets its fate (`connection`, `held`,
`first_write`), and a middlebox may forget it meanwhile (`idle`). What is sent on those that nobody reads any more is seen by a packet socket
(`unread`, `resets`). What is seen of all that is told by `record`, `traffic` and `reporter`.

The main process holds a control socket to each (`client.Router`); when it dies, both see end-of-file and end, and the namespace with them.

Importing this package brings the constants of `addresses` only; `Router` is in `frostline.sandbox.router.client`.
"""

from .addresses import GATEWAY_ADDRESS, HOST_ADDRESS, HOST_NAMES, LAB_NETWORK, NAMESERVER_ADDRESS, RESOLV_CONF

__all__ = ["GATEWAY_ADDRESS", "HOST_ADDRESS", "HOST_NAMES", "LAB_NETWORK", "NAMESERVER_ADDRESS", "RESOLV_CONF"]
