"""Jobs that keep what was counted and seal what people changed; they touch no order."""
