"""The watch: a loop that works in the background, apart from the processes that serve requests."""
