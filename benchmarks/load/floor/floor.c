/*
 * The floor: the least that a server can do. One thread, epoll, one send() per delivery.
 *
 * It accepts the same connections, subscriptions, signed triggers and client events as the others, checks every signature, and
 * leaves out everything else: presence, limits, slow readers, pings, many channels per connection, messages above 60 kB. What it
 * costs is mostly the kernel's work for a TCP connection, so it shows what is left to gain on this machine.
 *
 *     PORT=6001 APP_ID=app-id KEY=app-key SECRET=app-secret floor
 */
#include "floor.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#define MAX_NAME 200
#define MAX_TEXT 65000
#define MAX_FDS 1048576

typedef struct channel {
    char name[MAX_NAME + 1];
    int *fds, count, room;
    struct channel *next;
} channel_t;

typedef struct {
    int fd, upgraded, position;            /* position in its channel's fds */
    channel_t *channel;
    char *pending;                         /* bytes of an incomplete message */
    size_t pending_len;
    char socket_id[24];
} conn_t;

const char *key, *secret, *app;
static channel_t *channels[4096];
static conn_t *conns[MAX_FDS];
static int epoll_fd;

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value ? value : otherwise;
}

/* ---------------------------------------------------------------- channels and frames */

static channel_t *find_channel(const char *name, int len, int make)
{
    uint32_t hash = 2166136261u;
    for (int i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    channel_t **bucket = &channels[hash & 4095], *found = *bucket;
    while (found && ((int)strlen(found->name) != len || memcmp(found->name, name, len)))
        found = found->next;
    if (found || !make || len > MAX_NAME)
        return found;
    found = calloc(1, sizeof *found);
    memcpy(found->name, name, len);
    found->next = *bucket;
    return *bucket = found;
}

static void leave_channel(conn_t *c)
{
    channel_t *from = c->channel;
    if (!from)
        return;
    int last = from->fds[--from->count];
    from->fds[c->position] = last;
    conns[last]->position = c->position;
    c->channel = NULL;
}

static void join_channel(conn_t *c, channel_t *to)
{
    leave_channel(c);
    if (to->count == to->room)
        to->fds = realloc(to->fds, sizeof(int) * (to->room = to->room * 2 + 4));
    c->channel = to;
    c->position = to->count;
    to->fds[to->count++] = c->fd;
}

static void close_conn(conn_t *c)
{
    leave_channel(c);
    close(c->fd);
    conns[c->fd] = NULL;
    free(c->pending);
    free(c);
}

static size_t make_frame(uint8_t *out, const char *text, size_t n)
{
    size_t header = 2;
    out[0] = 0x81;
    out[1] = n < 126 ? n : 126;
    if (n >= 126) {
        out[2] = n >> 8;
        out[3] = n;
        header = 4;
    }
    memcpy(out + header, text, n);
    return header + n;
}

/* Whoever does not take it at once loses it: the load client notices that as a lost delivery. */
static void put(int fd, const void *data, size_t n)
{
    if (send(fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return;
}

static void send_text(int fd, const char *text, size_t n)
{
    static uint8_t frame[MAX_TEXT + 10];
    put(fd, frame, make_frame(frame, text, n));
}

static void fan_out(const channel_t *to, const char *text, size_t n, int except)
{
    static uint8_t frame[MAX_TEXT + 10];
    size_t len = make_frame(frame, text, n);
    for (int i = 0; i < to->count; i++)
        if (to->fds[i] != except)
            put(to->fds[i], frame, len);
}

/* ---------------------------------------------------------------- messages */

/* The raw, still escaped string that follows `before` in compact JSON; its length, or -1. */
static int find_string(const char *text, size_t n, const char *before, const char **value)
{
    const char *p = memmem(text, n, before, strlen(before)), *end = text + n;
    if (!p)
        return -1;
    const char *e = p += strlen(before);
    while (e < end && *e != '"')
        e += *e == '\\' ? 2 : 1;
    *value = p;
    return e < end ? e - p : -1;
}

static void publish(const char *body, size_t n)
{
    static char text[MAX_TEXT];
    const char *name, *channel, *data;
    int name_len = find_string(body, n, "\"name\":\"", &name), channel_len = find_string(body, n, "\"channels\":[\"", &channel);
    int data_len = find_string(body, n, "\"data\":\"", &data);
    if (name_len < 0 || channel_len < 0 || data_len < 0 || name_len + channel_len + data_len > MAX_TEXT - 100)
        return;
    channel_t *to = find_channel(channel, channel_len, 0);
    if (!to)
        return;
    int len = sprintf(text, "{\"event\":\"%.*s\",\"channel\":\"%.*s\",\"data\":\"%.*s\"}", name_len, name, channel_len, channel, data_len, data);
    fan_out(to, text, len, -1);
}

static int may_join(const conn_t *c, const char *channel, int len, const char *text, size_t n)
{
    char to_sign[MAX_NAME + 30];
    const char *auth;
    if (len < 8 || memcmp(channel, "private-", 8))
        return 1;
    int key_len = strlen(key), k = sprintf(to_sign, "%s:%.*s", c->socket_id, len, channel);
    if (find_string(text, n, "\"auth\":\"", &auth) != key_len + 65 || memcmp(auth, key, key_len))
        return 0;
    return signed_by_us(to_sign, k, auth + key_len + 1);
}

static void subscribe(conn_t *c, const char *text, size_t n)
{
    static const char refused[] = "{\"event\":\"pusher:error\",\"data\":{\"code\":4009,\"message\":\"Invalid signature\"}}";
    char answer[MAX_NAME + 200];
    const char *channel;
    int len = find_string(text, n, "\"channel\":\"", &channel);
    if (len < 0 || len > MAX_NAME)
        return;
    if (!may_join(c, channel, len, text, n)) {
        send_text(c->fd, refused, sizeof refused - 1);
        return;
    }
    join_channel(c, find_channel(channel, len, 1));
    int k = sprintf(answer, "{\"event\":\"pusher_internal:subscription_succeeded\",\"channel\":\"%.*s\",\"data\":\"{}\"}", len, channel);
    send_text(c->fd, answer, k);
}

static void on_message(conn_t *c, const char *text, size_t n)
{
    const char *event;
    int len = find_string(text, n, "\"event\":\"", &event);
    if (len == 16 && !memcmp(event, "pusher:subscribe", 16))
        subscribe(c, text, n);
    else if (len > 7 && !memcmp(event, "client-", 7) && c->channel)
        fan_out(c->channel, text, n, c->fd);
    else if (len == 11 && !memcmp(event, "pusher:ping", 11))
        send_text(c->fd, "{\"event\":\"pusher:pong\",\"data\":\"{}\"}", 35);
}

/* ---------------------------------------------------------------- bytes in: each returns how many it used, 0 for "incomplete" */

static size_t upgrade(conn_t *c, const char *ws_key, size_t head_len)
{
    static uint64_t seed = 88172645463325252ull;
    char accept_of[160], answer[600], hello[200];
    uint8_t digest[20], accept_key[40];
    int key_len = strcspn(ws_key, "\r");
    snprintf(accept_of, sizeof accept_of, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key_len, ws_key);
    SHA1((uint8_t *)accept_of, strlen(accept_of), digest);
    EVP_EncodeBlock(accept_key, digest, 20);
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    snprintf(c->socket_id, sizeof c->socket_id, "%u.%u", (uint32_t)(seed >> 32) % 1000000000, (uint32_t)seed % 1000000000);
    int n = snprintf(answer, sizeof answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n", accept_key);
    int k = sprintf(hello, "{\"event\":\"pusher:connection_established\",\"data\":\"{\\\"socket_id\\\":\\\"%s\\\",\\\"activity_timeout\\\":30}\"}", c->socket_id);
    put(c->fd, answer, n + make_frame((uint8_t *)answer + n, hello, k));
    c->upgraded = 1;
    return head_len;
}

static size_t on_http(conn_t *c, char *bytes, size_t n)
{
    static const char done[] = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    static const char refused[] = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
    char *head_end = memmem(bytes, n, "\r\n\r\n", 4);
    if (!head_end)
        return 0;
    size_t head_len = head_end + 4 - bytes, body_len = 0;
    char saved = *head_end;
    *head_end = 0;
    char *ws_key = strcasestr(bytes, "sec-websocket-key: "), *length = strcasestr(bytes, "content-length:");
    body_len = length ? strtoul(length + 15, NULL, 10) : 0;
    *head_end = saved;
    if (ws_key)
        return upgrade(c, ws_key + 19, head_len);
    if (n < head_len + body_len)
        return 0;
    if (authorized(bytes, head_end, head_end + 4, body_len)) {
        publish(head_end + 4, body_len);
        put(c->fd, done, sizeof done - 1);
    } else {
        put(c->fd, refused, sizeof refused - 1);
    }
    return head_len + body_len;
}

/* One masked frame; -1 when it closes the connection. */
static ssize_t on_frame(conn_t *c, uint8_t *bytes, size_t n)
{
    size_t header = 2, len = n > 1 ? bytes[1] & 127 : 0;
    if (n < 2 || (len == 126 && n < 4))
        return 0;
    if (len == 127)
        return -1;
    if (len == 126) {
        len = bytes[2] << 8 | bytes[3];
        header = 4;
    }
    if (n < header + 4 + len)
        return 0;
    uint8_t *mask = bytes + header, *payload = mask + 4;
    for (size_t i = 0; i < len; i++)
        payload[i] ^= mask[i & 3];
    if ((bytes[0] & 15) == 8)
        return -1;
    if ((bytes[0] & 15) == 1)
        on_message(c, (char *)payload, len);
    return header + 4 + len;
}

static void on_readable(conn_t *c)
{
    static char buffer[1 << 18];
    size_t n = c->pending_len, at = 0;
    if (n)
        memcpy(buffer, c->pending, n);
    ssize_t received = recv(c->fd, buffer + n, sizeof buffer - n - 1, 0), used = 1;
    if (received < 0 && errno == EAGAIN)
        return;
    if (received <= 0) {
        close_conn(c);
        return;
    }
    for (n += received; at < n && used > 0; at += used) {
        used = c->upgraded ? on_frame(c, (uint8_t *)buffer + at, n - at) : (ssize_t)on_http(c, buffer + at, n - at);
        if (used < 0) {
            close_conn(c);
            return;
        }
    }
    c->pending_len = n - at;
    if (c->pending_len) {
        c->pending = realloc(c->pending, c->pending_len);
        memcpy(c->pending, buffer + at, c->pending_len);
    }
}

/* ---------------------------------------------------------------- sockets */

static void accept_some(int listener)
{
    for (int i = 0, one = 1; i < 64; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0)
            return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        conns[fd] = calloc(1, sizeof(conn_t));
        conns[fd]->fd = fd;
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
    }
}

int main(void)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(setting("PORT", "6001"))), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct rlimit files;
    app = setting("APP_ID", "app-id"), key = setting("KEY", "app-key"), secret = setting("SECRET", "app-secret");
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < MAX_FDS ? files.rlim_max : MAX_FDS;
    setrlimit(RLIMIT_NOFILE, &files);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) {
        perror("floor");
        return 1;
    }
    epoll_fd = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        struct epoll_event events[512];
        int n = epoll_wait(epoll_fd, events, 512, -1);
        for (int i = 0; i < n; i++)
            if (events[i].data.fd == listener)
                accept_some(listener);
            else if (conns[events[i].data.fd])
                on_readable(conns[events[i].data.fd]);
    }
}
