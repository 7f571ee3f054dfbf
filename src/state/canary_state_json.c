
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "canary_state_document.h"
#include "canary_state_json.h"


#define CANARY_STATE_HEX    (2 * SHA256_DIGEST_LENGTH)
#define CANARY_STATE_BEGIN  "{\"version\":"
#define CANARY_STATE_SUM    ",\"sha256\":\""
#define CANARY_STATE_VALUE  "\",\"state\":"
#define CANARY_STATE_END    "}\n"


static const char *canary_state_open(const char *text, size_t len,
    size_t *size, char *error);
static int canary_state_skip(const char **p, const char *last,
    const char *text);
static int canary_state_version(const char **p, const char *last, char *error);
static int canary_state_sum(const char *sum, const char *value, size_t size);
static int canary_state_depth(const char *value, size_t size);
static canary_state_t *canary_state_parse(const char *value, size_t size,
    char *error);
static void canary_state_say(char *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));


canary_state_t *
canary_state_json_read(const char *text, size_t len,
    char error[CANARY_STATE_ERROR])
{
    size_t       size;
    const char  *value;

    error[0] = '\0';

    value = canary_state_open(text, len, &size, error);

    return value ? canary_state_parse(value, size, error) : NULL;
}


/* The value of "state", of which the checksum is right; or NULL. */

static const char *
canary_state_open(const char *text, size_t len, size_t *size, char *error)
{
    const char  *p, *last, *sum;

    p = text;
    last = text + len;

    if (len == 0) {
        canary_state_say(error, "it is empty");
        return NULL;
    }

    if (len > CANARY_STATE_SIZE_MAX) {
        canary_state_say(error, "it is larger than %u bytes",
                         CANARY_STATE_SIZE_MAX);
        return NULL;
    }

    if (!canary_state_skip(&p, last, CANARY_STATE_BEGIN)) {
        canary_state_say(error, "it does not begin as a state file does");
        return NULL;
    }

    if (!canary_state_version(&p, last, error)) {
        return NULL;
    }

    sum = p + sizeof(CANARY_STATE_SUM) - 1;

    if (!canary_state_skip(&p, last, CANARY_STATE_SUM)
        || last - p < CANARY_STATE_HEX
        || (p += CANARY_STATE_HEX,
            !canary_state_skip(&p, last, CANARY_STATE_VALUE)))
    {
        canary_state_say(error, "its checksum is not where it should be");
        return NULL;
    }

    *size = (size_t) (last - p) - (sizeof(CANARY_STATE_END) - 1);

    if (last - p < (ptrdiff_t) sizeof(CANARY_STATE_END)
        || memcmp(p + *size, CANARY_STATE_END, sizeof(CANARY_STATE_END) - 1)
           != 0)
    {
        canary_state_say(error, "its end is missing");
        return NULL;
    }

    if (!canary_state_sum(sum, p, *size)) {
        canary_state_say(error, "its checksum is wrong");
        return NULL;
    }

    return p;
}


static int
canary_state_skip(const char **p, const char *last, const char *text)
{
    size_t  len;

    len = strlen(text);

    if ((size_t) (last - *p) < len || memcmp(*p, text, len) != 0) {
        return 0;
    }

    *p += len;

    return 1;
}


int
canary_state_json_newer(const char *text, size_t len)
{
    char         error[CANARY_STATE_ERROR];
    const char  *p, *last;

    p = text;
    last = text + len;

    return canary_state_skip(&p, last, CANARY_STATE_BEGIN)
           && !canary_state_version(&p, last, error)
           && strtoul(text + strlen(CANARY_STATE_BEGIN), NULL, 10)
              > CANARY_STATE_VERSION;
}


static int
canary_state_version(const char **p, const char *last, char *error)
{
    const char  *digits;
    unsigned     version;

    version = 0;

    for (digits = *p; *p < last && **p >= '0' && **p <= '9'; (*p)++) {
        if (*p - digits < 6) {
            version = 10 * version + (unsigned) (**p - '0');
        }
    }

    if (version == CANARY_STATE_VERSION && *p - digits < 6) {
        return 1;
    }

    canary_state_say(error, "it is of version %.*s, this module reads "
                     "version %d", (int) (*p - digits > 20 ? 20
                                                           : *p - digits),
                     digits, CANARY_STATE_VERSION);

    return 0;
}


static int
canary_state_sum(const char *sum, const char *value, size_t size)
{
    char           hex[3];
    unsigned       i;
    unsigned char  digest[SHA256_DIGEST_LENGTH];

    (void) SHA256((const unsigned char *) value, size, digest);

    for (i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        (void) snprintf(hex, sizeof(hex), "%02x", digest[i]);

        if (memcmp(hex, &sum[2 * i], 2) != 0) {
            return 0;
        }
    }

    return 1;
}


/* Whether brackets are not nested too deeply for a recursive parser. */

static int
canary_state_depth(const char *value, size_t size)
{
    int     text;
    size_t  i, depth;

    text = 0;
    depth = 0;

    for (i = 0; i < size; i++) {

        if (text) {
            if (value[i] == '\\') {
                i++;

            } else if (value[i] == '"') {
                text = 0;
            }

            continue;
        }

        if (value[i] == '"') {
            text = 1;

        } else if (value[i] == '{' || value[i] == '[') {

            if (++depth > CANARY_STATE_DEPTH_MAX) {
                return 0;
            }

        } else if ((value[i] == '}' || value[i] == ']') && depth) {
            depth--;
        }
    }

    return 1;
}


static canary_state_t *
canary_state_parse(const char *value, size_t size, char *error)
{
    char                  *copy;
    cJSON                 *json;
    canary_state_t        *state;
    canary_json_errors_t   errors;

    if (!canary_state_depth(value, size)) {
        canary_state_say(error, "its brackets are nested deeper than %d",
                         CANARY_STATE_DEPTH_MAX);
        return NULL;
    }

    /* what is parsed has to end with a zero */

    copy = malloc(size + 1);
    if (copy == NULL) {
        canary_state_say(error, "there is no memory for it");
        return NULL;
    }

    memcpy(copy, value, size);
    copy[size] = '\0';

    memset(&errors, 0, sizeof(errors));

    state = NULL;
    json = canary_json_parse(copy, size, &errors);

    if (json) {
        state = canary_state_read(json, &errors);
    }

    cJSON_Delete(json);
    free(copy);

    if (errors.total == 0 && state) {
        return state;
    }

    canary_state_destroy(state);

    if (errors.total) {
        canary_state_say(error, "%s%s%s", errors.list[0].pointer,
                         errors.list[0].pointer[0] ? " " : "",
                         errors.list[0].detail);
    } else {
        canary_state_say(error, "there is no memory for it");
    }

    return NULL;
}


static void
canary_state_say(char *error, const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    (void) vsnprintf(error, CANARY_STATE_ERROR, format, args);
    va_end(args);
}


char *
canary_state_json_write(const canary_state_t *state, size_t *len)
{
    int     failed;
    char   *text, *document;
    cJSON  *json;

    failed = 0;

    json = cJSON_CreateObject();

    canary_state_write(json, state, &failed);

    text = failed ? NULL : cJSON_PrintUnformatted(json);

    cJSON_Delete(json);

    if (text == NULL) {
        return NULL;
    }

    document = canary_state_json_seal(text, strlen(text), len);

    cJSON_free(text);

    return document;
}


char *
canary_state_json_seal(const char *value, size_t size, size_t *len)
{
    int            n;
    char          *document, hex[2 * SHA256_DIGEST_LENGTH + 1];
    size_t         room;
    unsigned       i;
    unsigned char  digest[SHA256_DIGEST_LENGTH];

    (void) SHA256((const unsigned char *) value, size, digest);

    for (i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        (void) snprintf(&hex[2 * i], 3, "%02x", digest[i]);
    }

    room = size + sizeof(hex) + 64;

    document = malloc(room);
    if (document == NULL) {
        return NULL;
    }

    n = snprintf(document, room, "{\"version\":%d,\"sha256\":\"%s\","
                 "\"state\":", CANARY_STATE_VERSION, hex);

    memcpy(document + n, value, size);
    memcpy(document + n + size, "}\n", sizeof("}\n"));

    *len = (size_t) n + size + 2;

    return document;
}
