"""CircleCI's webhook format, read and written in plain Python without Django."""
