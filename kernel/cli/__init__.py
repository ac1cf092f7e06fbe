"""The command line, and the programs that `kernel up` keeps running on one machine."""
