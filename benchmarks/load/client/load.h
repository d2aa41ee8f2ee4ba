/*
 * The load client: what its files share.
 *
 * One thread and epoll, so that it is never the bottleneck. Subscribers are real WebSocket connections, triggers are signed
 * POST /apps/ID/events requests; both use the server's ordinary port. Every event carries its sender, a sequence number and its
 * send time, so every delivery is checked: lost, doubled, out of order, on the wrong channel. One JSON line per run.
 */
#ifndef LOAD_H
#define LOAD_H
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* ---------------------------------------------------------------- options.c */

#define MOST 8                             /* ports and process ids that an option takes */

typedef struct {
    const char *host, *app, *key, *secret, *mode, *type, *label;
    int ports[MOST], port_count, backend;  /* WebSockets are spread over the ports; HTTP goes to one */
    int pids[MOST], pid_count, beside[MOST], beside_count;
    int victim, watchers;
    int conns, channels, apps, concurrency;
    int window, burst, http, filler, slow, vanish;
    double rate, probe_rate, duration, warmup, timeout, settle, lease;
} options_t;

extern options_t opt;
void read_options(int argc, char **argv);
int mode_is(const char *name);

/* ---------------------------------------------------------------- clock.c: time, latencies, hexadecimal, signatures */

uint64_t now_ns(void);
uint64_t own_cpu_ns(void);
void die(const char *what);
void to_hex(const uint8_t *bytes, size_t n, char *out);
uint64_t from_hex(const uint8_t *s, int digits);
/* HMAC-SHA256 with the application's secret, in hexadecimal. */
void sign(const char *text, size_t n, char out[65]);

/* Latencies in ns, log-linear: 64 steps per power of two, so at most 1.6 % off. */
#define BUCKETS (64 * 60)
typedef struct { uint64_t bucket[BUCKETS], count, max; } latencies_t;

extern int measuring;                      /* latencies count only between warm-up and drain */
void record(latencies_t *l, uint64_t ns);
double percentile_us(const latencies_t *l, double p);

/* ---------------------------------------------------------------- usage.c: the kernel's accounting of the server */

typedef struct { uint64_t cpu_ns, beside_ns; long rss_kb; } usage_t;
usage_t server_usage(void);

/* ---------------------------------------------------------------- connection.c: sockets and the event loop */

enum { WEBSOCKET, HTTP };
enum { DOWN, CONNECTING, UPGRADING, OPEN, SUBSCRIBED };
enum { READS, SLOW, DROPPED };
/* What an HTTP connection is for. */
enum { TRIGGER, PROBE_TRIGGER, LIST };

typedef struct {
    int kind, role, fd, state, index, express;
    uint8_t *input;                        /* bytes of an incomplete frame or response */
    size_t input_len, input_cap;
    /* WebSocket */
    uint8_t *message;                      /* the fragments so far of a message sent in several frames */
    size_t message_len;
    char socket_id[48];
    int asked, joined;                     /* channels subscribed to, and confirmed, when a connection has several */
    int slow;                              /* this subscriber stopped reading; DROPPED once the server has closed it */
    int members_seen;
    /* HTTP */
    int busy, reused;                      /* a request is out; the connection has served one before */
    char *request;
    size_t request_len, request_sent;
    uint64_t sent_at;
} conn_t;

extern conn_t *sockets;
extern int opened, ready, handshakes, started, leaving;
extern uint64_t closed, connect_retries, reconnects, http_errors;
extern uint64_t received_at;               /* time of the recv() being handled */
extern char first_error[400];

void note_error(const char *what, const void *text, size_t n);
void loop_init(void);
void watch(conn_t *c, uint32_t events, int op);
int open_socket(conn_t *c);
void close_socket(conn_t *c);
void send_all(conn_t *c, const void *data, size_t n);
void poll_once(int64_t max_ns);
void run_for(double seconds);
int connect_all(void);
void leave(void);
/* Where a connection goes: HTTP and the probe to the backend's port, the members of a channel to the ports in turn. */
int port_of(const conn_t *c);

/* ---------------------------------------------------------------- websocket.c */

extern uint64_t bad_frames, pings, protocol_errors;
extern int hold_subscriptions;             /* mode presence: open all sockets first, subscribe later */
void start_websocket(int index);
void send_upgrade(conn_t *c);
void send_frame(conn_t *c, int opcode, const char *text, size_t n);
ssize_t parse_websocket(conn_t *c, uint8_t *b, size_t n);
int contains(const uint8_t *p, size_t n, const char *what);

/* ---------------------------------------------------------------- channels.c: names, subscriptions, presence */

/* How many channels each connection joins: 1, or its share of all of them in the modes list and leave. */
int channels_each(void);
int app_of(int channel);
/* "id", or "id-3" when the load is spread over several applications. */
const char *app_name(const char *base, int app);
void channel_name(int channel, char *out);
int channel_of(const conn_t *c);
void send_subscribe(conn_t *c);
void on_subscribed(conn_t *c, const uint8_t *p, size_t n);
void on_member_added(conn_t *c, const uint8_t *p, size_t n);
void on_member_removed(conn_t *c, const uint8_t *p, size_t n);
void send_unsubscribe(conn_t *c);
extern uint64_t member_added, member_repeats;
extern int all_seen;
extern uint8_t *member_bits;
/* Told of each member who leaves, in the modes that look at it; NULL in others. */
extern void (*member_left)(conn_t *c, int who);

/* ---------------------------------------------------------------- delivery.c: markers out, verification in */

/*
 * "~~P", sender (4 hex digits), channel (4), sequence number of that sender on that channel (8), send time in ns (16). Only
 * letters, digits and "~": it survives any server's re-encoding of JSON and is found by a search.
 */
#define MARKER "~~P"
#define MARKER_LEN (3 + 4 + 4 + 8 + 16)
#define PROBE_CHANNEL 0xffff               /* the probe's own, beside the numbered ones */

typedef struct { uint32_t next, recent; } order_t;     /* next expected number; which of the 32 before it were seen */

extern uint64_t deliveries, delivered_bytes, duplicates, reordered, misrouted;
extern latencies_t latencies;
void expect_deliveries(int senders);
void put_marker(char *out, int sender, int channel, uint64_t when);
void send_client_event(conn_t *c);
void on_delivery(conn_t *c, const uint8_t *marker, size_t frame_len);
/* Counts a delivery as good, reordered or doubled, into the two counters. */
void check_order(order_t *o, uint32_t n, uint64_t *swapped, uint64_t *doubled);
extern int sending;                        /* mode client: keep answering */

/* ---------------------------------------------------------------- http.c */

extern conn_t *senders;
extern int sender_count;
extern uint64_t events_sent, responses, listings, short_listings;
extern char *filler;
conn_t *make_senders(int count, int role, int express);
void flush_request(conn_t *h);
void transmit(conn_t *h);
void trigger(conn_t *h, int channel, uint64_t when);
void request_list(conn_t *h);
ssize_t parse_http(conn_t *h, uint8_t *b, size_t n, int at_end);

/* ---------------------------------------------------------------- probe.c: a channel of one, while others are loaded */

extern conn_t probe_socket;
int probe_start(void);                     /* false when it could not subscribe */
void probe_tick(uint64_t now);
int64_t probe_due_ns(uint64_t now);
int probe_drain(void);                     /* false when events are missing */
void probe_answered(void);
void probe_on_delivery(const uint8_t *marker);
void probe_print(void);

/* ---------------------------------------------------------------- report.c, modes.c, traffic.c */

void print_head(void);
void print_tail(void);
void fail(const char *why);
void run_connect(usage_t before, double seconds);
void run_presence(void);
void run_list(void);
void run_leave(void);
void run_traffic(void);

/* ---------------------------------------------------------------- presence.c: a join, and the death of a node */

void run_join(void);
void run_death(void);

#endif
