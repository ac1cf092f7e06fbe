"""The people who look after the installation: `roles` say what they may do, `people` adds, changes
and removes them, `sessions` lets their browsers in until they end, `oidc` says what the word of
their organisation's provider proves."""
