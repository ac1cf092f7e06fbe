"""Recurring orders: when each schedule is due, and what submits its orders."""
