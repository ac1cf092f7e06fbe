"""What an operator configures: settings, Celery's configuration, logging."""
