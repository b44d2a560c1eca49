"""Maps that make predictions true on average, fitted on rows that trained no predicting network."""
