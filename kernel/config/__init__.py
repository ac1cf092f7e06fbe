"""Everything an operator can turn: settings, Celery's configuration, logging."""
