/* What the floor's two files share: its one application, and its signatures. */
#ifndef FLOOR_H
#define FLOOR_H
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

extern const char *key, *secret, *app;

/* Whether the 64 hexadecimal digits are our HMAC-SHA256 of the text. */
int signed_by_us(const char *text, size_t n, const char *signature);

/* Whether a request may publish. head is "POST /apps/ID/events?a=b&... HTTP/1.1", head_end its end. */
int authorized(const char *head, const char *head_end, const char *body, size_t body_len);

#endif
