"""The commands of the command line, by subject; `kernel.cli.main` puts them together."""
