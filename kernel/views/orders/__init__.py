"""What the API says of orders beside the plain ones of `kernel.views.api`."""
