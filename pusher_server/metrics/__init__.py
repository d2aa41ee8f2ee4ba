"""The edge for operators: metrics, health, and the application that serves them.

Everything is read at scrape time; nothing runs between two scrapes. Read:

- `catalogue`      every exported metric: name, kind, help, labels
- `counting`       an observer that counts signals
- `collector`      reads the numbers of one process when asked
- `reading`        the numbers of one process as a value, and the sum over several
- `process_group`  adds up a machine's processes; counters never fall when one restarts
- `exposition`     the Prometheus text, under our names and soketi's
- `health`         decides whether clients should be sent here
- `operations`     the Starlette application of the operations listener: a route for each page
- `questions`      the pages `/why` and `/tail`, which the whole cluster answers
- `lag`            how late the event loop is
- `process_stats`  resources of the process: CPU, memory, files

May import: `config`, `diagnosis`, `histogram`, `hub`, `log_rate_limit`, `nesting`, `node`, `protocol`,
`signals`.
"""
