"""What the API document says of each select_tag: its order, an example of it, and its result."""
