"""Takes the rows of an installation from one database to another, and compares the two."""
