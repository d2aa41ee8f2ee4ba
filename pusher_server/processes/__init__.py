"""Several processes on one machine: a supervisor, its workers and their bus.

Read:

- `supervisor`       starts, watches, replaces and ends the workers and their bus
- `child`            one process of the supervisor
- `answering`        lets one worker answer operators for all
- `control_channel`  the socket between the supervisor and a process
- `restarts`         how long the successor of a process waits
- `worker`           the program of a worker
- `bus`              the program of the bus
- `bus_socket`       the socket of the bus, also after its file was removed
- `cores`            how many cores there are

May import: every other package but `cli` and but `doctor`.
"""
