"""`kernel orders`: list and find orders, show, submit, change or follow one."""
