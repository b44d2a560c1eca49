"""A trained model behind the interface of those who serve it."""
