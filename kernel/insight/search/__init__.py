"""Finding orders and callbacks for people: bounded, however many there are."""
