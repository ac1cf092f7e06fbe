"""Who lives beside the installation under test: a shop in its database, and a second installation
on its Redis. Each keeps a book of its own, which `check` holds against what is there at the end.
"""
