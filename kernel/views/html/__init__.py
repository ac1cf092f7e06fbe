"""What pages are made of: templates, texts, static files, numbers and times in words."""
