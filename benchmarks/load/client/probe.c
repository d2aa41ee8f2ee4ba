/*
 * The probe: a channel of its own with one subscriber, triggered at a fixed rate while the server does something else. Its
 * latency counts from when the event was due, so it shows for how long the server's event loop was held up.
 */
#include "load.h"
#include <string.h>

/* Enough that a stall of 100 ms at 500 events a second does not make later events wait for a free sender. */
#define PROBE_SENDERS 64

conn_t probe_socket = {.kind = WEBSOCKET, .fd = -1, .index = -1, .express = 1};

static conn_t *probe_senders;
static order_t order[PROBE_SENDERS];
static latencies_t probe_latencies;
static uint64_t next_due, sent, answered, received, doubled, swapped;
static int running;

int probe_start(void)
{
    if (opt.probe_rate <= 0)
        return 1;
    uint64_t end = now_ns() + 5000000000ull;
    probe_senders = make_senders(PROBE_SENDERS, PROBE_TRIGGER, 1);
    if (open_socket(&probe_socket) < 0)
        return 0;
    while (probe_socket.state != SUBSCRIBED && now_ns() < end)
        poll_once(20000000);
    next_due = now_ns();
    running = probe_socket.state == SUBSCRIBED;
    return running;
}

void probe_tick(uint64_t now)
{
    static int turn;
    while (running && next_due <= now) {
        int tried = 0;
        for (; tried < PROBE_SENDERS && probe_senders[turn].busy; tried++)
            turn = (turn + 1) % PROBE_SENDERS;
        if (tried == PROBE_SENDERS)
            return;                           /* due all the same: its latency counts the wait */
        sent++;
        trigger(&probe_senders[turn], PROBE_CHANNEL, next_due);
        turn = (turn + 1) % PROBE_SENDERS;
        next_due += 1e9 / opt.probe_rate;
    }
}

int64_t probe_due_ns(uint64_t now)
{
    if (!running)
        return 100000000;
    return next_due > now ? (int64_t)(next_due - now) : 20000;
}

void probe_answered(void) { answered++; }

void probe_on_delivery(const uint8_t *marker)
{
    unsigned int sender = from_hex(marker + 3, 4);
    received++;
    record(&probe_latencies, received_at - from_hex(marker + 19, 16));
    if (sender < PROBE_SENDERS)
        check_order(&order[sender], from_hex(marker + 11, 8), &swapped, &doubled);
}

int probe_drain(void)
{
    uint64_t end = now_ns() + 5000000000ull;
    running = 0;
    while ((answered < sent || received - doubled < sent) && now_ns() < end)
        poll_once(10000000);
    return received - doubled == sent;
}

void probe_print(void)
{
    if (opt.probe_rate <= 0)
        return;
    printf(",\"probe_rate\":%.0f,\"probe_sent\":%lu,\"probe_missing\":%ld,\"probe_duplicates\":%lu,\"probe_reordered\":%lu", opt.probe_rate, sent,
           (long)(sent - (received - doubled)), doubled, swapped);
    printf(",\"probe_p50_us\":%.1f,\"probe_p99_us\":%.1f,\"probe_max_us\":%.1f", percentile_us(&probe_latencies, .5), percentile_us(&probe_latencies, .99),
           probe_latencies.max / 1e3);
}
