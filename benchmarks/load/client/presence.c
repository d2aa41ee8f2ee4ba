/*
 * Presence in a cluster: what a single join costs in channels of different sizes, and what the death of a node costs those who
 * are left. Who has to hear of it hears of it once: anything else is missing or a repeat.
 */
#include "load.h"
#include <signal.h>
#include <stdlib.h>

/* Time in which a server that has sent the last frame comes to rest, so that its CPU time is complete. */
#define REST_SECONDS 0.002
#define PATIENCE_NS 5000000000ull

static uint64_t told, repeats, told_at;

/* ---------------------------------------------------------------- join */

static void on_left(conn_t *c, int who)
{
    (void)who;
    c->members_seen++;
    told++;
}

/* All but the joiner have been told once, and its own answer is there; false when somebody was not, or was twice. */
static int all_told(const conn_t *joiner)
{
    int missing = opt.conns - 1;
    for (uint64_t end = now_ns() + PATIENCE_NS; missing && now_ns() < end;) {
        poll_once(1000000);
        if (told + member_added >= (uint64_t)opt.conns - 1 && ready == opt.conns - (joiner->state != SUBSCRIBED))
            for (int i = missing = 0; i < opt.conns; i++)
                missing += &sockets[i] != joiner && sockets[i].members_seen < 1;
    }
    run_for(REST_SECONDS);
    int wrong = missing;
    for (int i = 0; i < opt.conns; i++) {
        if (&sockets[i] != joiner && sockets[i].members_seen > 1)
            repeats++;
        sockets[i].members_seen = 0;
    }
    told = member_added = 0;
    return !wrong;
}

static void let_go(conn_t *c)
{
    c->state = OPEN;
    ready--;
    send_unsubscribe(c);
}

static void join_again(conn_t *c)
{
    handshakes++;                             /* as connections do that subscribe for the first time */
    send_subscribe(c);
}

static void add(usage_t *sum, usage_t before, usage_t after)
{
    sum->cpu_ns += after.cpu_ns - before.cpu_ns;
    sum->beside_ns += after.beside_ns - before.beside_ns;
}

void run_join(void)
{
    usage_t joins = {0, 0, 0}, leaves = {0, 0, 0};
    int cycles = 0, missing = 0;
    member_left = on_left;
    run_for(opt.settle);
    for (int i = 0; i < opt.conns; i++)
        sockets[i].members_seen = 0;
    member_added = 0;
    for (uint64_t end = now_ns() + opt.duration * 1e9; now_ns() < end && !missing; cycles++) {
        conn_t *joiner = &sockets[cycles % opt.port_count];   /* one on each node */
        usage_t u0 = server_usage();
        let_go(joiner);
        missing += !all_told(joiner);
        usage_t u1 = server_usage();
        join_again(joiner);
        while (joiner->state != SUBSCRIBED && !missing && now_ns() < end + PATIENCE_NS)
            poll_once(1000000);
        missing += !all_told(joiner);
        add(&leaves, u0, u1);
        add(&joins, u1, server_usage());
    }
    print_head();
    printf(",\"joins\":%d,\"missing\":%d,\"repeats\":%lu", cycles, missing, repeats);
    printf(",\"join_us\":%.1f,\"leave_us\":%.1f,\"beside_join_us\":%.1f,\"beside_leave_us\":%.1f", joins.cpu_ns / 1e3 / cycles, leaves.cpu_ns / 1e3 / cycles,
           joins.beside_ns / 1e3 / cycles, leaves.beside_ns / 1e3 / cycles);
    print_tail();
}

/* ---------------------------------------------------------------- death */

/* Beats of a lease: the node's last renewal was at most that long before it died. */
static double beat(void) { return opt.lease / 6 < 0.5 ? opt.lease / 6 : 0.5; }

static uint8_t *heard;                     /* [watcher][member of its channel] */
static uint64_t first_at;

static int is_dead(int index) { return index / opt.channels >= opt.watchers; }

static void on_dead_left(conn_t *c, int who)
{
    if (who < 0 || who >= opt.conns || is_dead(c->index) || !is_dead(who) || who % opt.channels != c->index % opt.channels) {
        misrouted++;
        return;
    }
    uint8_t *flag = &heard[(size_t)c->index * (opt.conns / opt.channels) + who / opt.channels];
    if (*flag) {
        repeats++;
        return;
    }
    *flag = 1;
    told++;
    told_at = received_at;
    if (!first_at)
        first_at = received_at;
}

/* Until nobody has been told of a join for a while. */
static void until_quiet(void)
{
    uint64_t before;
    do {
        before = member_added;
        run_for(0.3);
    } while (member_added != before);
}

static void kill_victim(void)
{
    for (int i = 0; i < opt.conns; i++)
        if (is_dead(i))
            sockets[i].slow = SLOW;           /* that the server closes them is no fault */
    kill(opt.victim, SIGKILL);
}

/* CPU between two readings beyond what the probe alone costs, which was read before the lease ended. */
static double beyond_ms(uint64_t quiet_ns, double quiet_s, uint64_t busy_ns, double busy_s)
{
    return (busy_ns - quiet_ns / quiet_s * busy_s) / 1e6;
}

/* -n and -k are counted such that each channel has -W watchers on the first port and all its others on the second. */
void run_death(void)
{
    int each = opt.conns / opt.channels;
    uint64_t expected = (uint64_t)opt.channels * opt.watchers * (each - opt.watchers);
    heard = calloc((size_t)opt.channels * opt.watchers, each);
    until_quiet();
    uint64_t joins_told = member_added;
    member_left = on_dead_left;
    if (!probe_start())
        fail("the probe could not subscribe");
    run_for(0.3);
    uint64_t killed = now_ns(), limit = killed + (opt.lease + opt.timeout) * 1e9;
    kill_victim();
    run_for(opt.lease * 0.4);
    usage_t u0 = server_usage();
    uint64_t quiet_from = now_ns();
    run_for(opt.lease * 0.35);
    usage_t u1 = server_usage();
    uint64_t busy_from = now_ns();
    int early = told > 0;
    measuring = 1;
    while (told < expected && now_ns() < limit)
        poll_once(20000000);
    run_for(REST_SECONDS);
    usage_t u2 = server_usage();
    double quiet_s = (busy_from - quiet_from) / 1e9, busy_s = (now_ns() - busy_from) / 1e9;
    run_for(0.3);                             /* late repeats, and a stall that the last events of the probe show */
    measuring = 0;
    probe_drain();
    print_head();
    printf(",\"lease\":%g,\"watchers\":%d,\"joins_told\":%lu,\"told\":%lu,\"missing\":%ld,\"repeats\":%lu,\"misrouted\":%lu,\"early\":%d", opt.lease, opt.watchers,
           joins_told, told, (long)(expected - told), repeats, misrouted, early);
    printf(",\"first_ms\":%.1f,\"last_ms\":%.1f,\"told_ms\":%.1f,\"after_lease_ms\":%.1f", (first_at - killed) / 1e6, (told_at - killed) / 1e6,
           (told_at - first_at) / 1e6, (told_at - killed) / 1e6 - (opt.lease - beat()) * 1e3);
    printf(",\"cpu_ms\":%.1f,\"beside_cpu_ms\":%.1f", beyond_ms(u1.cpu_ns - u0.cpu_ns, quiet_s, u2.cpu_ns - u1.cpu_ns, busy_s),
           beyond_ms(u1.beside_ns - u0.beside_ns, quiet_s, u2.beside_ns - u1.beside_ns, busy_s));
    print_tail();
}
