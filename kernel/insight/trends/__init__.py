"""What was counted over time, minute by minute, and the series of charts."""
