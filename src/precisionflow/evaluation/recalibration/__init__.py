"""Maps that make predictions true on average, fitted on held-out rows."""
