"""Filters of readings over time: generalised coordinates, coloured noise, what is believed after the last reading."""
