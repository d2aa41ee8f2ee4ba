"""Tests of `pusher_server.doctor` that need no network."""
