"""How it went: charts of an hour, a day or a week, and tags, callers and receivers compared."""
