"""Bulk acts on pages: counted and begun, followed while they go on, aborted."""
