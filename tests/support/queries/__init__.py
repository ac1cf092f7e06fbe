"""All statements of the service, said once, and how MariaDB goes about each."""
