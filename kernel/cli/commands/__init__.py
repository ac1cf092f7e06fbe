"""The commands of the command line, by subject; `kernel.cli.main` lists them and loads one."""
