/* Time, latency histograms, hexadecimal numbers and signatures. */
#include "load.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int measuring;

static uint64_t clock_ns(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

uint64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

uint64_t own_cpu_ns(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

void die(const char *what)
{
    perror(what);
    exit(1);
}

void to_hex(const uint8_t *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    out[2 * n] = 0;
}

uint64_t from_hex(const uint8_t *s, int digits)
{
    uint64_t v = 0;
    for (int i = 0; i < digits; i++)
        v = v << 4 | (s[i] <= '9' ? s[i] - '0' : (s[i] | 32) - 'a' + 10);
    return v;
}

void sign(const char *text, size_t n, char out[65])
{
    uint8_t mac[32];
    unsigned int len = 32;
    HMAC(EVP_sha256(), opt.secret, strlen(opt.secret), (const uint8_t *)text, n, mac, &len);
    to_hex(mac, 32, out);
}

void record(latencies_t *l, uint64_t ns)
{
    if (!measuring)
        return;
    int i = ns;
    if (ns >= 64) {
        int e = 63 - __builtin_clzll(ns);
        i = (e - 5) << 6 | ((ns >> (e - 6)) & 63);
    }
    l->bucket[i < BUCKETS ? i : BUCKETS - 1]++;
    l->count++;
    if (ns > l->max)
        l->max = ns;
}

double percentile_us(const latencies_t *l, double p)
{
    uint64_t rank = l->count * p, seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
        seen += l->bucket[i];
        if (seen > rank)
            return (i < 64 ? (double)i : (double)((64ull | (i & 63)) << ((i >> 6) - 1))) / 1e3;
    }
    return -1;
}
