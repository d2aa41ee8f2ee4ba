"""What a client needs whatever its transport: its messages, their order, its answers, its time.

A transport, such as `websocket`, builds its connection from these. Read:

- `dispatch`     calls the node's verb for a message
- `mailbox`      keeps the order per channel when a message must wait
- `answers`      turns errors into answers, here only
- `heartbeat`    one sweep for all deadlines and slow readers
- `slow_reader`  what is kept for slow readers, and whether they still acknowledge anything
- `drain`        the pace at which clients are sent away

May import: `errors`, `hub`, `node`, `protocol`, `signals`.
"""
