"""What a user's file holds: read in `column`, told in `signs`, `words` and `beside`, proposed as a task in `block`."""
