"""What the speed of the server is measured with.

- `bench_micro`, `bench_scrape`  pieces, in seconds
- `hot_path`                     the server in one process, without sockets
- `instructions`                 counts what that takes, and compares
- `load`                         side by side with peers
"""
