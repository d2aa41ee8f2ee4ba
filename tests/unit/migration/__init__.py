"""Unit tests of `pusher_server.migration`."""
