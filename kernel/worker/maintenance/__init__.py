"""Housekeeping jobs, one file each: a function of the kernel, and of a record of what it did."""
