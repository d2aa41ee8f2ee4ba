"""`python -m pusher_server`: the same as the command `pusher-server`."""

from pusher_server.cli.main import main

if __name__ == "__main__":
    main()
