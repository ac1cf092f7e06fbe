"""What takes a message and knows no ticket: Slack, Teams, a receiver of CloudEvents."""
