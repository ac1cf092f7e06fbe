"""What the main process of a worker and the processes of its pool know of each other."""
