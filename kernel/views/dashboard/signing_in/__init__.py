"""Sign-in and sign-out: with a key, and by the organisation's provider."""
