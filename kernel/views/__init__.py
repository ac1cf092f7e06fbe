"""HTTP: what a request means to the stages below, and what their answers mean in HTTP."""
