"""HTML: templates, texts in two languages, static files, and how numbers and times are written."""
