"""Which release of Label Studio is known to work."""

from __future__ import annotations

TESTED_WITH = "1.23.2"
"""Every test runs against it."""
