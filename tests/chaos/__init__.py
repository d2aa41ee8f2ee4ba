"""The chaos audit: a cluster of real processes, hundreds of real clients, faults drawn from a seed.

    python -m tests.chaos --bus local --seconds 30 --seed 7

Everything random (who joins what and when, which fault when and how long) comes from one seed (`plan.py`).
Clients keep what they are told as pusher-js does (`view.py`) and find what must never happen as it
happens; when faults are over, everything that anybody was told is compared with the truth (`rest.py`).
The truth is what the clients know themselves: who is connected, subscribed and signed in as whom.
"""
