"""The API's document, made of its own models."""
