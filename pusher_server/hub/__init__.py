"""All connections, channels and signed-in users of this node. Synchronous, no I/O, no clock.

The hub is the only truth about its own connections (DESIGN §5.5). Two rules hold everywhere in it:
nothing reachable from a connection's `write` may change the hub, and no step of the fan-out waits.
"""
