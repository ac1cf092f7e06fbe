"""Hosted service desks: ServiceNow, Freshservice, Zendesk, Jira with its service management."""
