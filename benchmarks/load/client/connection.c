/* Sockets and the event loop. */
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

conn_t *sockets;
int opened, ready, handshakes, started, leaving;
uint64_t closed, connect_retries, reconnects, http_errors, received_at;
char first_error[400];

/*
 * The probe's connections have an epoll of their own, looked at between every few others: its latencies are to show the server's
 * queue, not ours, while thousands of deliveries are waiting to be read.
 */
static int main_epoll, express_epoll;
#define EXPRESS_EVERY 16

static uint8_t buffer[8 << 20];

void note_error(const char *what, const void *text, size_t n)
{
    if (first_error[0])
        return;
    int k = snprintf(first_error, sizeof first_error, "%s: %.*s", what, (int)(n > 250 ? 250 : n), (const char *)text);
    for (int i = 0; i < k && i < (int)sizeof first_error; i++) {   /* keep the JSON line valid */
        unsigned char b = first_error[i];
        if (b == '"' || b == '\\' || b < ' ' || b > '~')
            first_error[i] = '\'';
    }
}

void loop_init(void)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    main_epoll = epoll_create1(0);
    express_epoll = epoll_create1(0);
    epoll_ctl(main_epoll, EPOLL_CTL_ADD, express_epoll, &e);
    sockets = calloc(opt.conns, sizeof *sockets);
    for (int i = 0; i < opt.conns; i++)
        sockets[i].fd = -1;
}

void watch(conn_t *c, uint32_t events, int op)
{
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(c->express ? express_epoll : main_epoll, op, c->fd, &e);
}

int port_of(const conn_t *c)
{
    if (c->kind == HTTP || c == &probe_socket)
        return opt.backend;
    int place = c->index / opt.channels;       /* which of its channel's members this is */
    return mode_is("death") ? opt.ports[place >= opt.watchers] : opt.ports[place % opt.port_count];
}

int open_socket(conn_t *c)
{
    int one = 1;
    struct linger reset = {1, 0};              /* no TIME_WAIT: ports are needed again for the next run */
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port_of(c))};
    inet_pton(AF_INET, opt.host, &to.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    c->input_len = c->message_len = 0;
    c->state = CONNECTING;
    if (connect(c->fd, (void *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        note_error("connect", strerror(errno), strlen(strerror(errno)));
        close(c->fd);
        c->fd = -1;
        c->state = DOWN;
        return -1;
    }
    watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
    return 0;
}

void close_socket(conn_t *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->state = DOWN;
}

/* For small control messages on WebSockets: they fit the socket buffer, so waiting is the exception. */
void send_all(conn_t *c, const void *data, size_t n)
{
    const char *p = data;
    for (int tries = 0; n && tries < 20000;) {
        ssize_t r = send(c->fd, p, n, MSG_NOSIGNAL);
        if (r < 0 && errno != EAGAIN)
            return;
        if (r < 0) {
            usleep(50);
            tries++;
            continue;
        }
        p += r;
        n -= r;
    }
}

static void http_closed(conn_t *c)
{
    if (!c->busy)
        return;                                /* closed while idle: the next request opens a new one */
    reconnects++;
    if (c->reused && !c->input_len) {          /* a kept connection closed just as the request left: send it again */
        transmit(c);
        return;
    }
    c->busy = 0;
    http_errors++;
    note_error("http", "closed before the response", 26);
}

static void on_closed(conn_t *c)
{
    int state = c->state;
    close_socket(c);
    if (leaving)
        return;
    if (c->kind == HTTP) {
        http_closed(c);
    } else if (c->slow) {
        c->slow = DROPPED;
    } else if (c == &probe_socket || state == SUBSCRIBED || (hold_subscriptions && c->socket_id[0])) {
        closed++;
    } else {                                   /* failed handshake: try again, within reason */
        handshakes--;
        if (++connect_retries <= (uint64_t)opt.conns / 10 + 10) {
            c->socket_id[0] = 0;
            start_websocket(c->index);
        }
    }
}

static void on_connected(conn_t *c)
{
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        note_error("connect", strerror(error), strlen(strerror(error)));
        on_closed(c);
    } else if (c->kind == WEBSOCKET) {
        watch(c, EPOLLIN, EPOLL_CTL_MOD);
        send_upgrade(c);
    } else {
        c->state = OPEN;
        flush_request(c);
    }
}

/* Keeps what the parser could not use yet. */
static void keep_rest(conn_t *c, size_t used, size_t n)
{
    size_t left = n - used;
    if (left > c->input_cap) {
        c->input_cap = left * 2;
        c->input = realloc(c->input, c->input_cap);
    }
    if (left)
        memcpy(c->input, buffer + used, left);
    c->input_len = left;
}

static void on_readable(conn_t *c)
{
    size_t kept = c->input_len;
    if (kept)
        memcpy(buffer, c->input, kept);
    ssize_t r = recv(c->fd, buffer + kept, sizeof buffer - kept - 1, 0);
    if (r < 0 && errno == EAGAIN)
        return;
    received_at = now_ns();
    if (r <= 0) {
        if (c->kind == HTTP && c->busy && kept)
            parse_http(c, buffer, kept, 1);
        on_closed(c);
        return;
    }
    ssize_t used = c->kind == HTTP ? parse_http(c, buffer, kept + r, 0) : parse_websocket(c, buffer, kept + r);
    if (used >= 0) {
        keep_rest(c, used, kept + r);
    } else if (c->kind == HTTP) {              /* the server said that it closes */
        reconnects++;
        close_socket(c);
    } else {
        on_closed(c);
    }
}

static void on_ready(conn_t *c, uint32_t events)
{
    if (c->fd < 0)
        return;
    if (c->state == CONNECTING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        on_connected(c);
        return;
    }
    if (c->kind == HTTP && events & EPOLLOUT)
        flush_request(c);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        on_readable(c);
}

static void poll_express(void)
{
    struct epoll_event events[64];
    probe_tick(now_ns());
    int n = epoll_wait(express_epoll, events, 64, 0);
    for (int i = 0; i < n; i++)
        on_ready(events[i].data.ptr, events[i].events);
}

void poll_once(int64_t max_ns)
{
    struct epoll_event events[512];
    int probing = opt.probe_rate > 0;
    if (probing) {
        int64_t due = probe_due_ns(now_ns());
        max_ns = due < max_ns ? due : max_ns;
    }
    struct timespec t = {max_ns / 1000000000, max_ns % 1000000000};
    int n = epoll_pwait2(main_epoll, events, 512, &t, NULL);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr)
            on_ready(events[i].data.ptr, events[i].events);
        if (probing && i % EXPRESS_EVERY == EXPRESS_EVERY - 1)
            poll_express();
    }
    if (probing)
        poll_express();
}

void run_for(double seconds)
{
    for (uint64_t now = now_ns(), end = now + seconds * 1e9; now < end; now = now_ns())
        poll_once(end - now);
}

/* Opens (and, unless held back, subscribes) all WebSockets; false when the time limit passed first. */
int connect_all(void)
{
    uint64_t limit = now_ns() + opt.timeout * 1e9;
    int *count = hold_subscriptions ? &opened : &ready;
    while (*count < opt.conns) {
        while (started < opt.conns && handshakes < opt.concurrency)
            start_websocket(started++);
        poll_once(200000000);
        if (now_ns() > limit || (started == opt.conns && !handshakes && *count < opt.conns))
            return 0;
    }
    return 1;
}

/* Closing handshake on every socket, so that the next run finds a server without leftovers. */
void leave(void)
{
    uint64_t end = now_ns() + 3000000000ull;
    int open = 1;
    leaving = 1;
    for (int i = 0; i < opt.conns; i++)
        if (sockets[i].state >= OPEN && !sockets[i].slow)
            send_frame(&sockets[i], 8, "\x03\xe8", 2);
    while (open && now_ns() < end) {
        open = 0;
        for (int i = 0; i < opt.conns && !open; i++)
            open = sockets[i].state >= OPEN && !sockets[i].slow;
        if (open)
            poll_once(20000000);
    }
}
