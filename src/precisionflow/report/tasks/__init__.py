"""What the report needs of each task."""
