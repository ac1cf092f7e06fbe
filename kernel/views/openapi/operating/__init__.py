"""What operators ask of the installation, in the API document."""
