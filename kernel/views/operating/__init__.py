"""What those who operate the installation ask by HTTP: metrics, trends."""
