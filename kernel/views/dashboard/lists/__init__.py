"""Lists of orders and of callbacks: found by filter, page by page."""
