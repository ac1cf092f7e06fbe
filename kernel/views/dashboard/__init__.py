"""The operators' pages: `blueprint` puts them together, `frame` is what each is made with."""
