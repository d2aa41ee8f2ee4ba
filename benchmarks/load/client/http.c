/* The backend's side: signed requests over kept connections, and their responses. */
#include "load.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

conn_t *senders;
int sender_count;
uint64_t events_sent, responses, listings, short_listings;
char *filler;

#define HEAD_ROOM 1000

conn_t *make_senders(int count, int role, int express)
{
    conn_t *made = calloc(count + 1, sizeof *made);
    for (int i = 0; i < count; i++) {
        made[i] = (conn_t){.kind = HTTP, .role = role, .fd = -1, .state = DOWN, .index = i, .express = express};
        made[i].request = malloc(HEAD_ROOM + strlen(filler) + 1000);
    }
    return made;
}

void flush_request(conn_t *h)
{
    while (h->request_sent < h->request_len) {
        ssize_t r = send(h->fd, h->request + h->request_sent, h->request_len - h->request_sent, MSG_NOSIGNAL);
        if (r < 0)
            break;                            /* full: EPOLLOUT comes; broken: the reading side reports it */
        h->request_sent += r;
    }
    watch(h, h->request_sent < h->request_len ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
}

void transmit(conn_t *h)
{
    h->request_sent = 0;
    if (h->state != DOWN) {
        flush_request(h);
        return;
    }
    h->reused = 0;
    if (open_socket(h) < 0) {
        h->busy = 0;
        http_errors++;
    }
}

/* The query string with its signature. `digest` is NULL for a request without body. */
static void signed_query(const char *method, const char *path, int app, const char *digest, char out[700])
{
    char text[900], signature[65];
    int n = sprintf(out, "auth_key=%s&auth_timestamp=%ld&auth_version=1.0", app_name(opt.key, app), (long)time(NULL));
    if (digest)
        n += sprintf(out + n, "&body_md5=%s", digest);
    int k = snprintf(text, sizeof text, "%s\n%s\n%s", method, path, out);
    sign(text, k, signature);
    sprintf(out + n, "&auth_signature=%s", signature);
}

void trigger(conn_t *h, int channel, uint64_t when)
{
    char name[80], marker[MARKER_LEN + 1], md5[33], path[200], query[700];
    uint8_t digest[16];
    unsigned int len = 16;
    int app = app_of(channel);
    channel_name(channel, name);
    if (h->role == PROBE_TRIGGER)             /* its sequence number is its own: one channel */
        sprintf(marker, MARKER "%04x%04x%08x%016llx", h->index, PROBE_CHANNEL, h->asked++, (unsigned long long)when);
    else
        put_marker(marker, h->index, channel, when);
    char *body = h->request + HEAD_ROOM;      /* the head is written below it, then the body moves up against it */
    int n = sprintf(body, "{\"name\":\"load-event\",\"channels\":[\"%s\"],\"data\":\"{\\\"m\\\":\\\"%s\\\",\\\"f\\\":\\\"%s\\\"}\"}", name, marker,
                    h->role == PROBE_TRIGGER ? "" : filler);
    EVP_Digest(body, n, digest, &len, EVP_md5(), NULL);
    to_hex(digest, 16, md5);
    snprintf(path, sizeof path, "/apps/%s/events", app_name(opt.app, app));
    signed_query("POST", path, app, md5, query);
    int head = snprintf(h->request, HEAD_ROOM, "POST %s?%s HTTP/1.1\r\nHost: %s:%d\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
                        "Content-Length: %d\r\n\r\n", path, query, opt.host, opt.backend, n);
    memmove(h->request + head, body, n);
    h->request_len = head + n;
    h->busy = 1;
    h->sent_at = when;
    events_sent += h->role == TRIGGER;
    transmit(h);
}

void request_list(conn_t *h)
{
    char path[200], query[700];
    snprintf(path, sizeof path, "/apps/%s/channels", app_name(opt.app, 0));
    signed_query("GET", path, 0, NULL, query);
    h->request_len = snprintf(h->request, HEAD_ROOM, "GET %s?%s HTTP/1.1\r\nHost: %s:%d\r\nAccept: application/json\r\n\r\n", path, query, opt.host, opt.backend);
    h->busy = 1;
    h->sent_at = now_ns();
    transmit(h);
}

static int count_channels(const uint8_t *p, size_t n)
{
    const uint8_t *end = p + n;
    int found = 0;
    for (; (p = memmem(p, end - p, "\"load-", 6)); p += 6)
        found++;
    return found;
}

static void response_done(conn_t *h, int ok, const uint8_t *text, size_t n)
{
    h->busy = 0;
    h->reused = 1;
    if (!ok) {
        http_errors++;
        note_error("http", text, n);
    }
    if (h->role == PROBE_TRIGGER) {
        probe_answered();
        return;
    }
    responses++;
    if (h->role == LIST) {
        listings++;
        short_listings += count_channels(text, n) < opt.channels;
    }
    if (h->role == LIST || mode_is("http"))
        record(&latencies, received_at - h->sent_at);
}

/* The value of a response header, or NULL. `head` ends with a NUL. */
static const char *header_value(const char *head, const char *name)
{
    const char *at = strcasestr(head, name);
    if (!at)
        return NULL;
    for (at += strlen(name); *at == ' '; at++)
        ;
    return at;
}

/* Length of a complete chunked body, or 0 while incomplete. */
static size_t chunked_length(const uint8_t *b, size_t n)
{
    size_t at = 0;
    for (;;) {
        const uint8_t *eol = memmem(b + at, n - at, "\r\n", 2);
        if (!eol)
            return 0;
        size_t size = strtoul((const char *)b + at, NULL, 16);
        at = eol + 2 - b + size + 2;
        if (at > n)
            return 0;
        if (size == 0)
            return at;
    }
}

/* Handles a response in b[0..n) if it is complete; at_end: the server has closed. Returns bytes used, or -1 to close. */
ssize_t parse_http(conn_t *h, uint8_t *b, size_t n, int at_end)
{
    uint8_t *end = memmem(b, n, "\r\n\r\n", 4);
    if (!end || !h->busy)
        return h->busy ? 0 : (ssize_t)n;
    size_t head = end + 4 - b, body = 0;
    uint8_t saved = end[2];
    end[2] = 0;
    const char *length = header_value((char *)b, "\r\ncontent-length:");
    const char *encoding = header_value((char *)b, "\r\ntransfer-encoding:");
    const char *connection = header_value((char *)b, "\r\nconnection:");
    int last = (connection && !strncasecmp(connection, "close", 5)) || !memcmp(b, "HTTP/1.0", 8);
    int status = atoi((char *)b + 9);
    size_t want = length ? strtoul(length, NULL, 10) : 0;
    int chunked = encoding && !strncasecmp(encoding, "chunked", 7);
    end[2] = saved;
    if (length) {
        body = want;
    } else if (chunked) {
        b[n] = 0;
        body = chunked_length(b + head, n - head);
        if (!body)
            return 0;
    } else if (status != 204) {
        if (!at_end)
            return 0;
        body = n - head;
    }
    if (n < head + body)
        return 0;
    /* soketi answers 200 to refused requests: its error is in the body */
    response_done(h, status / 100 == 2 && !contains(b + head, body, "\"error\""), b, head + body);
    return last ? -1 : (ssize_t)(head + body);
}
