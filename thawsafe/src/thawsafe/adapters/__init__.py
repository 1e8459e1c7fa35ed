"""One module a client library, imported only when asked for: `from thawsafe.adapters import httpx`.

Each gives normal objects of its client's world (a pool manager, an adapter, a transport, a connector) whose connections are judged before a
request is written to them. How one is written: docs/thawsafe.md, "How an adapter is written".
"""
