"""Explains why nothing arrives: evidence in bounded memory, and rules that turn it into sentences. Pure.

Why it is so: docs/decisions.md#evidence-and-rules. Read:

- `evidence`        keeps events that nobody received, refusals, connections that ended, and numbers of apps
- `causes`          the causes that the rules know: sentence, fix, page
- `findings`        a cause with its evidence; findings of several processes as one list
- `channel_names`   compares channel names that are nearly the same
- `event_names`     writes the `.listen()` line of an event; names that nobody can listen to
- `near_misses`     the rules about events that nobody received
- `signed_text`     guesses which part of the text of a subscription or a sign-in was signed otherwise
- `signed_request`  the same for a request to the API
- `entry`           the rules about clients that are refused, cut or come again and again
- `silence`         the rules about apps to which nobody publishes or subscribes
- `guesses`         decides which refusals are looked into: a budget
- `report`          the evidence of one process as a value, and what follows from several of them
- `guided`          the way of one event as steps, from the connection to the delivery
- `explanation`     the answer for the whole cluster
- `live`            follows what happens, for operators that look
- `inventory`       questions about what is there, and orders, as values
- `printable`       makes the texts of strangers fit for a sentence

May import: `app`, `auth`, `log_rate_limit`, `protocol`, `signals`, `token_bucket`.
"""
