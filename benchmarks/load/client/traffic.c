/* Modes fanout, http and client: send for warm-up and duration, wait for what is still under way, add up. */
#include "load.h"
#include <stdlib.h>
#include <sys/epoll.h>

/* Without any progress for this long, a closed loop waits for a delivery that never comes. */
#define STALLED_NS 4000000000ull
/* Seconds in which everything that a slow reader has not read is read. */
#define SLOW_CATCH_UP 1.5

/* Totals at one moment. */
typedef struct { uint64_t at, deliveries, events, responses, bytes, own_cpu; usage_t usage; } totals_t;

static uint64_t per_event;                 /* deliveries that one event causes */
static uint64_t late;                      /* times that an event was due and no sender free */
static int stalled;
static long rss_first_half, rss_second_half;

static totals_t totals(void)
{
    return (totals_t){now_ns(), deliveries, events_sent, responses, delivered_bytes, own_cpu_ns(), server_usage()};
}

static void prepare(void)
{
    int client = mode_is("client"), http = mode_is("http");
    per_event = client ? 1 : (opt.conns - opt.slow) / opt.channels;
    sender_count = client ? 0 : opt.http ? opt.http : http ? 8 : opt.rate > 0 ? 64 : opt.window * opt.burst;
    expect_deliveries(client ? opt.conns / 2 : sender_count);
    senders = make_senders(sender_count, TRIGGER, 0);
    for (int i = 0; i < opt.slow; i++) {      /* the first ones stop reading, spread evenly over the channels */
        sockets[i].slow = SLOW;
        watch(&sockets[i], 0, EPOLL_CTL_DEL);
    }
}

/* Posts what is due in an open loop; returns how long until more is. An event that finds no free sender waits, and its latency counts the wait. */
static int64_t send_at_rate(uint64_t begin, uint64_t now)
{
    static int turn, channel, pending;
    static uint64_t next_event;
    uint64_t interval = 1e9 * opt.burst / opt.rate;
    if (!next_event)
        next_event = begin;
    while (next_event <= now) {
        if (!pending)
            pending = opt.burst;
        int tried = 0;
        for (; tried < sender_count && senders[turn].busy; tried++)
            turn = (turn + 1) % sender_count;
        if (tried == sender_count) {
            late++;
            return 20000;
        }
        trigger(&senders[turn], channel++ % opt.channels, next_event);
        if (!--pending)
            next_event += interval;
    }
    return next_event - now;
}

/* Closed loop: at most `window` bursts that are not yet answered and delivered everywhere. */
static void send_in_window(void)
{
    static int channel;
    uint64_t done = per_event ? deliveries / per_event : responses;
    done = done < responses ? done : responses;
    if (!mode_is("http") && events_sent - done > (uint64_t)(opt.window - 1) * opt.burst)
        return;
    int most = mode_is("http") ? sender_count : opt.burst;
    for (int i = 0; i < sender_count && most; i++)
        if (!senders[i].busy) {
            trigger(&senders[i], channel++ % opt.channels, now_ns());
            most--;
        }
}

static void start_pairs(void)
{
    sending = 1;
    for (int i = 0; i < opt.conns / 2; i++)
        for (int w = 0; w < opt.window; w++)
            send_client_event(&sockets[2 * i]);
}

/* Memory while some do not read: its peak before and after half of the measured time. */
static void watch_memory(uint64_t now, uint64_t half)
{
    static uint64_t next;
    if (!opt.slow || now < next)
        return;
    long rss = server_usage().rss_kb, *peak = now < half ? &rss_first_half : &rss_second_half;
    *peak = rss > *peak ? rss : *peak;
    next = now + 250000000;
}

/* Warm-up and measured time; returns the totals at the beginning of the latter. */
static totals_t send_all_events(void)
{
    uint64_t begin = now_ns(), measure_at = begin + opt.warmup * 1e9, end = measure_at + opt.duration * 1e9;
    uint64_t progress = 0, progress_at = begin;
    totals_t start = totals();
    if (mode_is("client"))
        start_pairs();
    for (uint64_t now = begin; now < end; now = now_ns()) {
        if (!measuring && now >= measure_at) {
            measuring = 1;
            start = totals();
        }
        int64_t wait = (measuring ? end : measure_at) - now;
        watch_memory(now, (measure_at + end) / 2);
        if (opt.rate > 0) {
            int64_t until = send_at_rate(begin, now);
            wait = until < wait ? until : wait;
        } else if (!mode_is("client")) {
            send_in_window();
        }
        if (deliveries + responses != progress) {
            progress = deliveries + responses;
            progress_at = now;
        } else if (now - progress_at > STALLED_NS && opt.rate == 0) {
            stalled = 1;
            break;
        }
        poll_once(wait < 0 ? 0 : wait > 250000000 ? 250000000 : wait);
    }
    return start;
}

static int all_arrived(void)
{
    for (int i = 0; i < sender_count; i++)
        if (senders[i].busy)
            return 0;
    return deliveries - duplicates - misrouted >= events_sent * per_event;
}

/* Every event sent must arrive at every subscriber that reads; true when there was still something coming as we gave up. */
static int drain(void)
{
    uint64_t end = now_ns() + 5000000000ull, quiet_since = now_ns(), progress = deliveries, now;
    while (!all_arrived()) {
        now = now_ns();
        if (deliveries != progress) {
            progress = deliveries;
            quiet_since = now;
        }
        if (now > end || now - quiet_since > 1500000000ull)
            return now - quiet_since < 1400000000ull;
        poll_once(20000000);
    }
    run_for(0.05);                            /* a late duplicate would still be noticed */
    return 0;
}

static void print_verification(int arriving)
{
    int64_t missing = (int64_t)(events_sent * per_event) - (int64_t)(deliveries - duplicates - misrouted);
    int verified = !missing && !duplicates && !reordered && !misrouted && !stalled && !bad_frames;
    printf(",\"sent\":%lu,\"delivered\":%lu,\"missing\":%ld,\"still_arriving\":%d", events_sent, deliveries, (long)missing, arriving);
    printf(",\"duplicates\":%lu,\"reordered\":%lu,\"misrouted\":%lu,\"verified\":%s", duplicates, reordered, misrouted, verified ? "true" : "false");
    printf(",\"late\":%lu,\"stalled\":%d", late, stalled);
}

/*
 * Which of the ones that stopped reading did the server drop? Its end reaches a full socket only behind everything that waits
 * there, so they have to read again to see it. Those that were dropped then come back.
 */
static void print_slow(long rss_before)
{
    int dropped = 0, back = 0;
    for (int i = 0; i < opt.slow; i++)
        watch(&sockets[i], EPOLLIN, EPOLL_CTL_ADD);
    run_for(SLOW_CATCH_UP);
    for (int i = 0; i < opt.slow; i++) {
        if (sockets[i].slow != DROPPED)
            continue;
        dropped++;
        ready--;
        sockets[i].slow = READS;
        sockets[i].socket_id[0] = 0;
        start_websocket(i);
    }
    uint64_t end = now_ns() + 5000000000ull;
    while (ready < opt.conns && handshakes && now_ns() < end)
        poll_once(20000000);
    for (int i = 0; i < opt.slow; i++)
        back += sockets[i].slow == READS && sockets[i].state == SUBSCRIBED;
    printf(",\"slow\":%d,\"slow_dropped\":%d,\"slow_back\":%d", opt.slow, dropped, back);
    long peak = rss_first_half > rss_second_half ? rss_first_half : rss_second_half;
    printf(",\"rss_before_kb\":%ld,\"rss_peak_kb\":%ld,\"rss_rise_mb\":%.1f,\"rss_later_rise_mb\":%.1f", rss_before, peak, (peak - rss_before) / 1024.0,
           (rss_second_half - rss_first_half) / 1024.0);
}

void run_traffic(void)
{
    prepare();
    if (!probe_start())
        fail("the probe could not subscribe");
    long rss_before = server_usage().rss_kb;
    totals_t a = send_all_events(), b = totals();
    double seconds = (b.at - a.at) / 1e9, cpu_us = (b.usage.cpu_ns - a.usage.cpu_ns) / 1e3;
    measuring = sending = 0;
    probe_drain();
    int arriving = drain();
    uint64_t d = b.deliveries - a.deliveries, r = b.responses - a.responses, units = mode_is("http") ? r : d;

    print_head();
    printf(",\"window\":%d,\"burst\":%d,\"rate\":%.1f,\"seconds\":%.3f", opt.window, opt.burst, opt.rate, seconds);
    printf(",\"deliv_s\":%.0f,\"events_s\":%.1f,\"http_s\":%.1f,\"mb_s\":%.1f", d / seconds, (b.events - a.events) / seconds, r / seconds, (b.bytes - a.bytes) / seconds / 1e6);
    printf(",\"cpu_us\":%.3f,\"cpu_us_event\":%.3f,\"beside_us_event\":%.3f", units ? cpu_us / units : -1, r ? cpu_us / r : -1,
           r ? (b.usage.beside_ns - a.usage.beside_ns) / 1e3 / r : -1);
    printf(",\"server_util\":%.3f,\"client_util\":%.3f", cpu_us / 1e6 / seconds, (b.own_cpu - a.own_cpu) / 1e9 / seconds);
    printf(",\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f", percentile_us(&latencies, .5), percentile_us(&latencies, .99), percentile_us(&latencies, .999));
    print_verification(arriving);
    if (opt.slow)
        print_slow(rss_before);
    print_tail();
}
