"""A worker process: Celery's hints in, the dispatcher's thread, maintenance jobs."""
