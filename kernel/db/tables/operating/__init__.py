"""Tables for those who operate the installation: what went wrong, and what they ordered."""
