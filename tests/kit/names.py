"""Names for the objects of tests that share one server."""

import uuid


def unique(prefix: str) -> str:
    """A name that no other test has, good for instances, catalogs, schemas and tables alike."""
    return f"{prefix}{uuid.uuid4().hex[:10]}"
