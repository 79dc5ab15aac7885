"""Feeds for programs that watch a build: badges, cctray and Atom."""
