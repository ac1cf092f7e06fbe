"""Bytes in and out: strict JSON, order request, envelope, texts, signatures, trace ids."""
