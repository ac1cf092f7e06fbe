"""What a terminal shows: tables, JSON, lines that are drawn again."""
