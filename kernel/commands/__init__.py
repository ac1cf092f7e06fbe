"""The commands of the command line, by what they are about; `kernel.cli` puts them together."""
