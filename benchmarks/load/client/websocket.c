/* WebSocket frames in both directions, and what the server's messages mean. */
#include "load.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

uint64_t bad_frames, pings, protocol_errors;
int hold_subscriptions;

int contains(const uint8_t *p, size_t n, const char *what) { return memmem(p, n, what, strlen(what)) != NULL; }

void start_websocket(int index)
{
    conn_t *c = &sockets[index];
    c->kind = WEBSOCKET;
    c->index = index;
    c->asked = c->joined = 0;
    handshakes++;
    if (open_socket(c) < 0)
        handshakes--;
}

void send_upgrade(conn_t *c)
{
    char text[600];
    const char *key = app_name(opt.key, app_of(channel_of(c)));
    int n = snprintf(text, sizeof text, "GET /app/%s?protocol=7&client=load&version=1.0 HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nOrigin: http://localhost\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     "Sec-WebSocket-Version: 13\r\n\r\n", key, opt.host, port_of(c));
    c->state = UPGRADING;
    send_all(c, text, n);
}

void send_frame(conn_t *c, int opcode, const char *text, size_t n)
{
    static uint8_t frame[70000];
    static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    size_t h = 2;
    if (n > 65000) {
        note_error("load client", "a frame to send is too large", 28);
        return;
    }
    frame[0] = 0x80 | opcode;
    if (n < 126) {
        frame[1] = 0x80 | n;
    } else {
        frame[1] = 0x80 | 126;
        frame[2] = n >> 8;
        frame[3] = n;
        h = 4;
    }
    memcpy(frame + h, mask, 4);
    h += 4;
    for (size_t i = 0; i < n; i++)
        frame[h + i] = text[i] ^ mask[i & 3];
    send_all(c, frame, h + n);
}

static void on_established(conn_t *c, const uint8_t *p, size_t n)
{
    const uint8_t *id = memmem(p, n, "socket_id", 9);
    size_t k = 0;
    for (id = id ? id + 9 : p + n; id < p + n && !isdigit(*id); id++)
        ;
    for (; id < p + n && (isdigit(*id) || *id == '.') && k < sizeof c->socket_id - 1; id++)
        c->socket_id[k++] = *id;
    c->socket_id[k] = 0;
    if (c == &probe_socket) {
        send_subscribe(c);
        return;
    }
    opened++;
    if (hold_subscriptions)
        handshakes--;
    else
        send_subscribe(c);
}

static void on_text(conn_t *c, const uint8_t *p, size_t n)
{
    const uint8_t *marker = memmem(p, n, MARKER, 3);
    if (marker && marker + MARKER_LEN <= p + n) {
        on_delivery(c, marker, n);
    } else if (contains(p, n, "pusher_internal:subscription_succeeded")) {
        on_subscribed(c, p, n);
    } else if (contains(p, n, "pusher_internal:member_added")) {
        on_member_added(c, p, n);
    } else if (member_left && contains(p, n, "pusher_internal:member_removed")) {
        on_member_removed(c, p, n);
    } else if (contains(p, n, "pusher:connection_established")) {
        on_established(c, p, n);
    } else if (contains(p, n, "pusher:ping")) {
        pings++;
        send_frame(c, 1, "{\"event\":\"pusher:pong\",\"data\":{}}", 33);
    } else if (contains(p, n, "pusher:error") || contains(p, n, "subscription_error")) {
        protocol_errors++;
        note_error("server", p, n);
    }
}

/* The header of a frame: its length in *header and *len; false while it is incomplete. */
static int frame_header(const uint8_t *f, size_t left, size_t *header, size_t *len)
{
    if (left < 2)
        return 0;
    *header = 2;
    *len = f[1] & 127;
    int extra = *len == 126 ? 2 : *len == 127 ? 8 : 0;
    if (left < 2 + (size_t)extra)
        return 0;
    if (extra)
        *len = 0;
    for (int i = 0; i < extra; i++)
        *len = *len << 8 | f[2 + i];
    *header += extra;
    return 1;
}

static void add_fragment(conn_t *c, const uint8_t *payload, size_t len)
{
    c->message = realloc(c->message, c->message_len + len + 1);
    memcpy(c->message + c->message_len, payload, len);
    c->message_len += len;
}

/* One complete frame; false when it ends the connection. */
static int on_frame(conn_t *c, const uint8_t *f, uint8_t *payload, size_t len)
{
    int opcode = f[0] & 15, final = f[0] & 0x80;
    if (f[1] & 0x80 || opcode == 2 || (opcode == 0) != (c->message_len > 0 && opcode < 8)) {
        bad_frames++;                          /* masked, binary, or a fragment out of place */
    } else if (opcode < 2 && final && !c->message_len) {
        on_text(c, payload, len);              /* the usual case: one message, one frame */
    } else if (opcode < 2) {
        add_fragment(c, payload, len);
        if (final) {
            on_text(c, c->message, c->message_len);
            c->message_len = 0;
        }
    } else if (opcode == 8) {
        note_error("close frame", payload + 2, len > 2 ? len - 2 : 0);
        return 0;
    } else if (opcode == 9) {
        send_frame(c, 10, (char *)payload, len);
    }
    return 1;
}

/* Consumes the complete frames of b; returns how many bytes were used, or -1 when the connection is over. */
ssize_t parse_websocket(conn_t *c, uint8_t *b, size_t n)
{
    size_t at = 0, header, len;
    if (c->state == UPGRADING) {
        uint8_t *end = memmem(b, n, "\r\n\r\n", 4);
        if (!end)
            return 0;
        if (n < 12 || memcmp(b + 9, "101", 3)) {
            note_error("handshake", b, n);
            return -1;
        }
        at = end + 4 - b;
        c->state = OPEN;
    }
    while (frame_header(b + at, n - at, &header, &len) && n - at >= header + len) {
        uint8_t *f = b + at;
        at += header + len;
        if (!on_frame(c, f, f + header, len))
            return -1;
    }
    return at;
}
