"""Shared helpers of the end-to-end suite and the demo: they start and question a real server."""
