/* Channels: their names, subscriptions with real signatures, and who has seen whom on a presence channel. */
#include "load.h"
#include <string.h>

uint64_t member_added, member_repeats;
int all_seen;
uint8_t *member_bits;
void (*member_left)(conn_t *c, int who);

/* Subscriptions of one connection that may be unanswered: its own traffic is not to look like a flood. */
#define SUBSCRIPTIONS_IN_FLIGHT 20

int channels_each(void) { return mode_is("list") || mode_is("leave") ? opt.channels / opt.conns : 1; }

int channel_of(const conn_t *c)
{
    if (c == &probe_socket)
        return PROBE_CHANNEL;
    if (mode_is("client"))
        return c->index / 2;
    return channels_each() > 1 ? c->index * channels_each() + c->asked : c->index % opt.channels;
}

int app_of(int channel) { return channel == PROBE_CHANNEL || mode_is("client") ? 0 : channel % opt.apps; }

const char *app_name(const char *base, int app)
{
    static char names[4][100];
    static int turn;
    if (opt.apps == 1)
        return base;
    char *name = names[turn++ & 3];
    snprintf(name, sizeof names[0], "%s-%d", base, app);
    return name;
}

void channel_name(int channel, char *out)
{
    const char *prefix = !strcmp(opt.type, "public") ? "" : !strcmp(opt.type, "private") ? "private-" : "presence-";
    if (channel == PROBE_CHANNEL)
        strcpy(out, "load-probe");
    else
        sprintf(out, "%s%s-%d", prefix, mode_is("client") ? "pair" : "load", channel);
}

static void subscribe_to(conn_t *c, int number)
{
    char channel[80], member[120], text[400], hex[65], message[900];
    const char *key = app_name(opt.key, app_of(number));
    int n, k;
    channel_name(number, channel);
    if (!strncmp(channel, "presence-", 9)) {
        sprintf(member, "{\"user_id\":\"usr%06d\",\"user_info\":{\"n\":%d}}", c->index, c->index);
        n = sprintf(text, "%s:%s:%s", c->socket_id, channel, member);
        sign(text, n, hex);
        k = sprintf(message, "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"%s\",\"auth\":\"%s:%s\",\"channel_data\":"
                    "\"{\\\"user_id\\\":\\\"usr%06d\\\",\\\"user_info\\\":{\\\"n\\\":%d}}\"}}", channel, key, hex, c->index, c->index);
    } else if (!strncmp(channel, "private-", 8)) {
        n = sprintf(text, "%s:%s", c->socket_id, channel);
        sign(text, n, hex);
        k = sprintf(message, "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"%s\",\"auth\":\"%s:%s\"}}", channel, key, hex);
    } else {
        k = sprintf(message, "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"%s\"}}", channel);
    }
    send_frame(c, 1, message, k);
}

/* Subscribes to the connection's channel, or to as many of its channels as may be unanswered. */
void send_subscribe(conn_t *c)
{
    if (channels_each() == 1 || c == &probe_socket) {
        subscribe_to(c, channel_of(c));
        return;
    }
    while (c->asked < channels_each() && c->asked - c->joined < SUBSCRIPTIONS_IN_FLIGHT) {
        subscribe_to(c, channel_of(c));
        c->asked++;
    }
}

static int number_at(const uint8_t *digits)
{
    int number = 0;
    for (int i = 0; i < 6; i++)
        number = number * 10 + (digits[i] - '0');
    return number;
}

/* All numbers after "usr" in a list of members, or in one; who has been seen by whom is a square of flags. */
static int note_members(conn_t *c, const uint8_t *p, size_t n)
{
    const uint8_t *end = p + n;
    int fresh = 0;
    while ((p = memmem(p, end - p, "usr", 3)) && p + 9 <= end) {
        int who = number_at(p + 3);
        p += 9;
        if (who < 0 || who >= opt.conns)
            continue;
        uint8_t *seen = &member_bits[(size_t)c->index * opt.conns + who];
        if (!*seen) {
            *seen = 1;
            fresh = 1;
            if (++c->members_seen == opt.conns)
                all_seen++;
        }
    }
    return fresh;
}

void on_subscribed(conn_t *c, const uint8_t *p, size_t n)
{
    if (member_bits)
        note_members(c, p, n);
    if (c != &probe_socket && channels_each() > 1) {
        c->joined++;
        send_subscribe(c);
        if (c->joined < channels_each())
            return;
    }
    if (c->state == SUBSCRIBED)
        return;
    c->state = SUBSCRIBED;
    if (c == &probe_socket)
        return;
    ready++;
    if (!hold_subscriptions)
        handshakes--;
}

void on_member_added(conn_t *c, const uint8_t *p, size_t n)
{
    member_added++;
    c->members_seen += !member_bits;
    if (member_bits && !note_members(c, p, n))
        member_repeats++;
}

void send_unsubscribe(conn_t *c)
{
    char channel[80], message[200];
    channel_name(channel_of(c), channel);
    send_frame(c, 1, message, sprintf(message, "{\"event\":\"pusher:unsubscribe\",\"data\":{\"channel\":\"%s\"}}", channel));
}

void on_member_removed(conn_t *c, const uint8_t *p, size_t n)
{
    const uint8_t *at = memmem(p, n, "usr", 3);
    if (at && at + 9 <= p + n)
        member_left(c, number_at(at + 3));
}
