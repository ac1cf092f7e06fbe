"""Programs on one machine: supervised processes, an embedded broker, a small receiver."""
