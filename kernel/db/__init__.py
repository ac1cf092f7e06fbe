"""The database: engine, transactions, clock, ids, tables. Only this room knows which one it is."""
