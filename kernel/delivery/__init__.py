"""Callbacks: outbox row, claim, attempt, record; breakers, lanes, pauses, replay."""
