"""Client configurations and connections that survive a freeze.

This is a skeleton: it holds its version and nothing else yet. Whatever comes into it keeps to three rules: no required
dependency, no background thread (a freeze starves it), and no request sent twice that may have been carried out.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
