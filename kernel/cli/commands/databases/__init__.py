"""Commands about the database as a whole: bring it up to date, sweep it, take it elsewhere."""
