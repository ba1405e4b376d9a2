"""All SQL of the farm: nothing outside this package speaks it."""
