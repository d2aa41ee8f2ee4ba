"""The load benchmark: our server, soketi and a C floor under the same work, every delivery checked.

    python -m benchmarks.load.compare     goals, tables and chart in docs/performance/
    python -m benchmarks.load.first_page  README's chart, from recorded pages
    python -m benchmarks.load.growth      how cost grows with the work
    python -m benchmarks.load.cluster     what several processes cost beside one

`client/` is the load client and `floor/` the least that a server can do, both in C; the rest drives them.
"""
