"""Secrets among an order's arguments: sealed as it is accepted, erased when nothing needs them."""
