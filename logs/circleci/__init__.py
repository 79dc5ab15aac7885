"""What CircleCI says on the wire, read and written in plain Python without Django."""
