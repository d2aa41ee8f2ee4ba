/* Modes that are not a stream of events: connect, idle, presence, list, leave. And the ends of the JSON line. */
#include "load.h"
#include <stdlib.h>

void print_head(void)
{
    printf("{\"label\":\"%s\",\"mode\":\"%s\",\"type\":\"%s\",\"n\":%d,\"channels\":%d", opt.label, opt.mode, opt.type, opt.conns, opt.channels);
}

void print_tail(void)
{
    probe_print();
    printf(",\"http_errors\":%lu,\"reconnects\":%lu", http_errors, reconnects);
    printf(",\"closed\":%lu,\"protocol_errors\":%lu,\"connect_retries\":%lu,\"bad_frames\":%lu,\"pings\":%lu", closed, protocol_errors, connect_retries, bad_frames, pings);
    if (first_error[0])
        printf(",\"first_error\":\"%s\"", first_error);
    printf("}\n");
    fflush(stdout);
}

void fail(const char *why)
{
    print_head();
    printf(",\"error\":\"%s\",\"ready\":%d,\"opened\":%d", why, ready, opened);
    print_tail();
    exit(2);
}

void run_connect(usage_t before, double seconds)
{
    usage_t after = server_usage(), rested = after;
    double idle_percent = 0;
    if (mode_is("idle")) {
        run_for(opt.settle);
        after = server_usage();
        uint64_t begin = now_ns();
        run_for(opt.duration);
        rested = server_usage();
        idle_percent = (rested.cpu_ns - after.cpu_ns) * 100.0 / (now_ns() - begin);
    }
    print_head();
    printf(",\"conn_s\":%.0f,\"conn_cpu_us\":%.1f,\"ready\":%d", opt.conns / seconds, (after.cpu_ns - before.cpu_ns) / 1e3 / opt.conns, ready);
    printf(",\"rss_before_kb\":%ld,\"rss_after_kb\":%ld,\"kb_per_conn\":%.2f", before.rss_kb, after.rss_kb, (after.rss_kb - before.rss_kb) / (double)opt.conns);
    if (mode_is("idle"))
        printf(",\"idle_cpu_percent\":%.3f", idle_percent);
    print_tail();
}

void run_presence(void)
{
    usage_t u0 = server_usage();
    uint64_t begin = now_ns(), last = begin, seen = 0;
    member_bits = calloc(opt.conns, opt.conns);
    for (int i = 0; i < opt.conns; i++)
        send_subscribe(&sockets[i]);
    while (all_seen < opt.conns) {
        poll_once(50000000);
        uint64_t now = now_ns(), total = member_added + ready + all_seen;
        if (total != seen) {
            seen = total;
            last = now;
        }
        if (now - last > 4000000000ull || now - begin > opt.timeout * 1e9)
            break;
    }
    double ms = (now_ns() - begin) / 1e6;
    int complete = all_seen;
    usage_t u1 = server_usage();
    run_for(0.2);                             /* late repeats are counted too */
    print_head();
    printf(",\"ms_all_seen\":%.1f,\"cpu_us_join\":%.1f,\"cpu_ms\":%.1f,\"beside_cpu_ms\":%.1f,\"joined\":%d,\"complete\":%d,\"member_added\":%lu,\"repeats\":%lu", ms,
           (u1.cpu_ns - u0.cpu_ns) / 1e3 / opt.conns, (u1.cpu_ns - u0.cpu_ns) / 1e6,
           (u1.beside_ns - u0.beside_ns) / 1e6, ready, complete, member_added, member_repeats);
    print_tail();
}

/* Warm-up and measured time of a mode that only the probe looks at; `act` is called every 1/-r seconds. */
static void run_beside_probe(void (*act)(void))
{
    uint64_t begin = now_ns(), end = begin + (opt.warmup + opt.duration) * 1e9, next = begin + opt.warmup * 1e9;
    for (uint64_t now = begin; now < end; now = now_ns()) {
        measuring = now >= begin + opt.warmup * 1e9;
        if (now >= next && opt.rate > 0) {
            act();
            next += 1e9 / opt.rate;
        }
        poll_once(1000000);
    }
}

static conn_t *lister;

static void list_channels(void)
{
    if (!lister->busy)
        request_list(lister);
}

void run_list(void)
{
    lister = make_senders(1, LIST, 0);
    if (!probe_start())
        fail("the probe could not subscribe");
    run_beside_probe(list_channels);
    for (uint64_t end = now_ns() + 5000000000ull; lister->busy && now_ns() < end;)
        poll_once(10000000);
    measuring = 0;
    int complete = probe_drain();
    print_head();
    printf(",\"rate\":%.1f,\"listings\":%lu,\"missing\":%d,\"p50_us\":%.1f,\"p99_us\":%.1f", opt.rate, listings,
           (int)short_listings + !complete + lister->busy + !listings, percentile_us(&latencies, .5), percentile_us(&latencies, .99));
    print_tail();
}

static uint64_t departures;

static void vanish_or_return(void)
{
    conn_t *c = &sockets[0];
    if (c->state == SUBSCRIBED) {
        close_socket(c);
        ready--;
        departures++;
    } else if (c->state == DOWN) {
        start_websocket(0);
    }
}

/* It goes at one tick and comes back at the next; a return that takes longer makes it skip some. */
void run_leave(void)
{
    if (!probe_start())
        fail("the probe could not subscribe");
    opt.rate *= 2;
    run_beside_probe(vanish_or_return);
    measuring = 0;
    int complete = probe_drain();
    print_head();
    printf(",\"rate\":%.1f,\"departures\":%lu,\"missing\":%d", opt.rate / 2, departures, !complete + !departures);
    print_tail();
}
