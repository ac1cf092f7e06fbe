"""Maintenance jobs, one file each."""
