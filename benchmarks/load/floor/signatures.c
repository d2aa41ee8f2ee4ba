/* Signatures of subscriptions and of HTTP requests. */
#include "floor.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static void to_hex(const uint8_t *bytes, int n, char *out)
{
    for (int i = 0; i < n; i++) {
        out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    out[2 * n] = 0;
}

int signed_by_us(const char *text, size_t n, const char *signature)
{
    uint8_t mac[32];
    unsigned int len = 32;
    char hex[65];
    HMAC(EVP_sha256(), secret, strlen(secret), (const void *)text, n, mac, &len);
    to_hex(mac, 32, hex);
    return !CRYPTO_memcmp(hex, signature, 64);
}

/* The pieces of a query string in the order of their names, without the signature, joined again into out. */
static int canonical_query(char *query, char *out, char signature[65], const char **body_md5)
{
    char *pieces[16], *state;
    int count = 0, key_is_ours = 0, recent = 0, n = 0;
    for (char *piece = strtok_r(query, "&", &state); piece && count < 16; piece = strtok_r(NULL, "&", &state)) {
        if (!strncmp(piece, "auth_signature=", 15)) {
            snprintf(signature, 65, "%s", piece + 15);
            continue;
        }
        if (!strncmp(piece, "auth_key=", 9))
            key_is_ours = !strcmp(piece + 9, key);
        if (!strncmp(piece, "body_md5=", 9))
            *body_md5 = piece + 9;
        if (!strncmp(piece, "auth_timestamp=", 15))
            recent = labs(time(NULL) - atol(piece + 15)) < 600;
        int i = count++;
        for (; i > 0 && strcmp(pieces[i - 1], piece) > 0; i--)
            pieces[i] = pieces[i - 1];
        pieces[i] = piece;
    }
    for (int i = 0; i < count; i++)
        n += sprintf(out + n, "%s%s", i ? "&" : "", pieces[i]);
    return key_is_ours && recent && strlen(signature) == 64;
}

int authorized(const char *head, const char *head_end, const char *body, size_t body_len)
{
    const char *question = memchr(head, '?', head_end - head), *space = question ? memchr(question, ' ', head_end - question) : NULL;
    char query[1024], canonical[1400], signature[65] = "", md5[33], wanted[200];
    const char *said_md5 = "";
    uint8_t digest[16];
    unsigned int len = 16;
    int path = snprintf(wanted, sizeof wanted, "POST /apps/%s/events", app);
    if (!space || space - question > 1000 || question - head != path || memcmp(head, wanted, path))
        return 0;
    memcpy(query, question + 1, space - question - 1);
    query[space - question - 1] = 0;
    EVP_Digest(body, body_len, digest, &len, EVP_md5(), NULL);
    to_hex(digest, 16, md5);
    int n = sprintf(canonical, "POST\n%.*s\n", path - 5, wanted + 5);
    if (!canonical_query(query, canonical + n, signature, &said_md5) || strcmp(said_md5, md5))
        return 0;
    return signed_by_us(canonical, strlen(canonical), signature);
}
