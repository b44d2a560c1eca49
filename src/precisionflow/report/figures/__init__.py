"""The figures of the page by subject: arrays in, one SVG text out each."""
