/*
 * Every delivery is checked.
 *
 * What "order" means: an HTTP sender posts its next event only after the response to the one before, so the events of one sender
 * must reach every subscriber in that order. Events of different senders are concurrent and may be interleaved.
 */
#include "load.h"
#include <stdlib.h>

uint64_t deliveries, delivered_bytes, duplicates, reordered, misrouted;
latencies_t latencies;
int sending;

static order_t *order;                     /* [sender][subscriber]; mode client has one sender per subscriber */
static uint32_t *sequence;                 /* [sender][channel] */
static int order_senders;

void expect_deliveries(int count)
{
    order_senders = count;
    sequence = calloc((size_t)count * opt.channels, sizeof *sequence);
    order = calloc((mode_is("client") ? 1 : (size_t)count) * opt.conns, sizeof *order);
}

void put_marker(char *out, int sender, int channel, uint64_t when)
{
    uint32_t n = sequence[(size_t)sender * opt.channels + channel]++;
    sprintf(out, MARKER "%04x%04x%08x%016llx", sender, channel, n, (unsigned long long)when);
}

void send_client_event(conn_t *c)
{
    static char message[70000];
    char marker[MARKER_LEN + 1], channel[80];
    channel_name(channel_of(c), channel);
    put_marker(marker, c->index / 2, 0, now_ns());
    int n = snprintf(message, sizeof message, "{\"event\":\"client-load\",\"channel\":\"%s\",\"data\":{\"m\":\"%s\",\"f\":\"%s\"}}", channel, marker, filler);
    send_frame(c, 1, message, n);
    events_sent++;
}

void check_order(order_t *o, uint32_t n, uint64_t *swapped, uint64_t *doubled)
{
    if (n >= o->next) {
        uint32_t step = n - o->next + 1;
        o->recent = step < 32 ? o->recent << step | 1 : 1;
        o->next = n + 1;
        return;
    }
    uint32_t back = o->next - 1 - n;
    if (back < 32 && !(o->recent >> back & 1)) {
        o->recent |= 1u << back;
        ++*swapped;
    } else {
        ++*doubled;
    }
}

void on_delivery(conn_t *c, const uint8_t *marker, size_t frame_len)
{
    int sender = from_hex(marker + 3, 4), channel = from_hex(marker + 7, 4);
    uint32_t n = from_hex(marker + 11, 8);
    if (c == &probe_socket && channel == PROBE_CHANNEL) {
        probe_on_delivery(marker);
        return;
    }
    deliveries++;
    delivered_bytes += frame_len;
    record(&latencies, received_at - from_hex(marker + 19, 16));
    int client = mode_is("client"), right = sender < order_senders && c != &probe_socket;
    right = right && (client ? sender == c->index / 2 && (c->index & 1) : channel == c->index % opt.channels);
    if (!right) {
        misrouted++;
        return;
    }
    check_order(&order[(client ? 0 : (size_t)sender * opt.conns) + c->index], n, &reordered, &duplicates);
    if (sending)
        send_client_event(&sockets[c->index - 1]);
}
