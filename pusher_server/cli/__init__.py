"""The command `pusher-server`: one file per command, gathered in `main`.

Commands import what they need when they run, so that `--help` and `version` answer at once.
"""
