"""What people have paused, callbacks and orders alike: begun, ended, kept in force, and told of."""
