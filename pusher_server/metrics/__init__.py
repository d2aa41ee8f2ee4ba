"""What operators see of the server: metrics, health, and the listener that shows them.

Everything is read at scrape time. `catalogue` says what there is, `gathering` reads one process, `team` puts
workers together, `exposition` writes it for Prometheus, `health` judges, `operations` and `listener` answer.
"""
