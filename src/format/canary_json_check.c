
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdio.h>
#include <string.h>

#include "canary_json_check.h"
#include "canary_text.h"


typedef enum {
    CANARY_JSON_WRONG = 0,
    CANARY_JSON_VALUE,                    /* a value has to follow */
    CANARY_JSON_AFTER,                    /* a value is complete */
    CANARY_JSON_END
} canary_json_state_t;


typedef struct {
    const char  *text;
    const char  *p;
    const char  *last;
    size_t      *values;                  /* that may still come */
    size_t       depth;
    char         closing[CANARY_JSON_DEPTH_MAX];
    char        *reason;
} canary_json_scan_t;


static canary_json_state_t canary_json_scan_value(canary_json_scan_t *scan);
static canary_json_state_t canary_json_scan_open(canary_json_scan_t *scan,
    char closing);
static canary_json_state_t canary_json_scan_after(canary_json_scan_t *scan);
static canary_json_state_t canary_json_scan_next(canary_json_scan_t *scan);
static canary_json_state_t canary_json_scan_name(canary_json_scan_t *scan);
static canary_json_state_t canary_json_scan_text(canary_json_scan_t *scan);
static int canary_json_scan_escape(canary_json_scan_t *scan);
static int canary_json_scan_unicode(canary_json_scan_t *scan);
static long canary_json_hex(const char *p, const char *last);
static canary_json_state_t canary_json_scan_number(canary_json_scan_t *scan);
static int canary_json_scan_digits(canary_json_scan_t *scan);
static canary_json_state_t canary_json_scan_word(canary_json_scan_t *scan);
static void canary_json_scan_space(canary_json_scan_t *scan);
static int canary_json_scan_is(const canary_json_scan_t *scan, char ch);
static canary_json_state_t canary_json_scan_wrong(canary_json_scan_t *scan,
    const char *what);


int
canary_json_check(const char *text, size_t len, size_t *values,
    char reason[CANARY_JSON_REASON_MAX])
{
    canary_json_scan_t   scan;
    canary_json_state_t  state;

    scan.text = text;
    scan.p = text;
    scan.last = text + len;
    scan.values = values;
    scan.depth = 0;
    scan.reason = reason;

    state = CANARY_JSON_VALUE;

    while (state == CANARY_JSON_VALUE) {
        state = canary_json_scan_value(&scan);

        while (state == CANARY_JSON_AFTER) {
            state = canary_json_scan_after(&scan);
        }
    }

    return state == CANARY_JSON_END;
}


static canary_json_state_t
canary_json_scan_value(canary_json_scan_t *scan)
{
    canary_json_scan_space(scan);

    if (*scan->values == 0) {
        return canary_json_scan_wrong(scan, "too many values");
    }

    (*scan->values)--;

    switch (scan->p < scan->last ? *scan->p : '\0') {

    case '{':
        return canary_json_scan_open(scan, '}');

    case '[':
        return canary_json_scan_open(scan, ']');

    case '"':
        return canary_json_scan_text(scan);

    case 't':
    case 'f':
    case 'n':
        return canary_json_scan_word(scan);

    default:
        return canary_json_scan_number(scan);
    }
}


static canary_json_state_t
canary_json_scan_open(canary_json_scan_t *scan, char closing)
{
    if (scan->depth == CANARY_JSON_DEPTH_MAX) {
        return canary_json_scan_wrong(scan, "brackets nested too deeply");
    }

    scan->closing[scan->depth++] = closing;
    scan->p++;

    canary_json_scan_space(scan);

    if (canary_json_scan_is(scan, closing)) {
        return CANARY_JSON_AFTER;
    }

    return canary_json_scan_next(scan);
}


/* In brackets that are closed at once, there is no value yet. */

static canary_json_state_t
canary_json_scan_after(canary_json_scan_t *scan)
{
    canary_json_scan_space(scan);

    if (scan->depth == 0) {
        return (scan->p == scan->last) ? CANARY_JSON_END
               : canary_json_scan_wrong(scan, "something after the end");
    }

    if (canary_json_scan_is(scan, scan->closing[scan->depth - 1])) {
        scan->depth--;
        scan->p++;
        return CANARY_JSON_AFTER;
    }

    if (!canary_json_scan_is(scan, ',')) {
        return canary_json_scan_wrong(scan, "neither a comma nor the end of "
                                      "the brackets");
    }

    scan->p++;

    return canary_json_scan_next(scan);
}


static canary_json_state_t
canary_json_scan_next(canary_json_scan_t *scan)
{
    return (scan->closing[scan->depth - 1] == '}')
           ? canary_json_scan_name(scan) : CANARY_JSON_VALUE;
}


static canary_json_state_t
canary_json_scan_name(canary_json_scan_t *scan)
{
    canary_json_scan_space(scan);

    if (!canary_json_scan_is(scan, '"')) {
        return canary_json_scan_wrong(scan, "no name in double quotes");
    }

    if (canary_json_scan_text(scan) == CANARY_JSON_WRONG) {
        return CANARY_JSON_WRONG;
    }

    canary_json_scan_space(scan);

    if (!canary_json_scan_is(scan, ':')) {
        return canary_json_scan_wrong(scan, "no colon after a name");
    }

    scan->p++;

    return CANARY_JSON_VALUE;
}


static canary_json_state_t
canary_json_scan_text(canary_json_scan_t *scan)
{
    size_t  n;

    scan->p++;

    while (scan->p < scan->last) {

        if (*scan->p == '"') {
            scan->p++;
            return CANARY_JSON_AFTER;
        }

        if (*scan->p == '\\') {

            if (!canary_json_scan_escape(scan)) {
                return CANARY_JSON_WRONG;
            }

            continue;
        }

        n = canary_utf8_length(scan->p, (size_t) (scan->last - scan->p));

        if (n == 0 || (unsigned char) *scan->p < 0x20) {
            break;
        }

        scan->p += n;
    }

    return canary_json_scan_wrong(scan, "a text without an end");
}


static int
canary_json_scan_escape(canary_json_scan_t *scan)
{
    const char  *p;

    p = scan->p + 1;

    if (p < scan->last && *p == 'u') {
        return canary_json_scan_unicode(scan);
    }

    if (p == scan->last || *p == '\0' || strchr("\"\\/bfnrt", *p) == NULL) {
        canary_json_scan_wrong(scan, "a backslash before what it does not "
                               "escape");
        return 0;
    }

    scan->p = p + 1;

    return 1;
}


/* What is above U+FFFF is written as two: the high half, then the low. */

static int
canary_json_scan_unicode(canary_json_scan_t *scan)
{
    long  ch, low;

    ch = canary_json_hex(scan->p, scan->last);

    if (ch == -1) {
        canary_json_scan_wrong(scan, "\\u without four hexadecimal digits");
        return 0;
    }

    if (ch == 0) {
        (void) snprintf(scan->reason, CANARY_JSON_REASON_MAX,
                        "U+0000 at byte %zu is not allowed",
                        (size_t) (scan->p - scan->text));
        return 0;
    }

    if (ch >= 0xd800 && ch <= 0xdfff) {
        low = canary_json_hex(scan->p + 6, scan->last);

        if (ch > 0xdbff || low < 0xdc00 || low > 0xdfff) {
            canary_json_scan_wrong(scan, "half of a pair of surrogates");
            return 0;
        }

        scan->p += 6;
    }

    scan->p += 6;

    return 1;
}


/* of "\u" and four digits at the beginning; -1: there is something else */

static long
canary_json_hex(const char *p, const char *last)
{
    int          i;
    long         ch;
    const char  *digit;

    static const char  digits[] = "0123456789abcdef0123456789ABCDEF";

    if (last - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return -1;
    }

    ch = 0;

    for (i = 2; i < 6; i++) {
        digit = p[i] ? strchr(digits, p[i]) : NULL;

        if (digit == NULL) {
            return -1;
        }

        ch = ch << 4 | ((digit - digits) & 0xf);
    }

    return ch;
}


/* -? (0 | [1-9][0-9]*) (.[0-9]+)? ([eE][+-]?[0-9]+)? */

static canary_json_state_t
canary_json_scan_number(canary_json_scan_t *scan)
{
    const char  *begin;

    begin = scan->p;

    scan->p += canary_json_scan_is(scan, '-');

    if (canary_json_scan_is(scan, '0')) {
        scan->p++;

    } else if (!canary_json_scan_digits(scan)) {
        return canary_json_scan_wrong(scan, "no value");
    }

    if (canary_json_scan_is(scan, '.')) {
        scan->p++;

        if (!canary_json_scan_digits(scan)) {
            return canary_json_scan_wrong(scan, "no digit after a point");
        }
    }

    if (canary_json_scan_is(scan, 'e') || canary_json_scan_is(scan, 'E')) {
        scan->p++;
        scan->p += canary_json_scan_is(scan, '-')
                   || canary_json_scan_is(scan, '+');

        if (!canary_json_scan_digits(scan)) {
            return canary_json_scan_wrong(scan, "no digit in an exponent");
        }
    }

    if (scan->p - begin > CANARY_JSON_NUMBER_MAX) {
        scan->p = begin;
        return canary_json_scan_wrong(scan, "a number of more than 63 "
                                      "characters");
    }

    return CANARY_JSON_AFTER;
}


static int
canary_json_scan_digits(canary_json_scan_t *scan)
{
    const char  *begin;

    begin = scan->p;

    while (scan->p < scan->last && *scan->p >= '0' && *scan->p <= '9') {
        scan->p++;
    }

    return scan->p > begin;
}


static canary_json_state_t
canary_json_scan_word(canary_json_scan_t *scan)
{
    size_t       len;
    const char  *word;

    word = (*scan->p == 't') ? "true" : (*scan->p == 'f') ? "false" : "null";
    len = strlen(word);

    if ((size_t) (scan->last - scan->p) < len
        || memcmp(scan->p, word, len) != 0)
    {
        return canary_json_scan_wrong(scan, "no value");
    }

    scan->p += len;

    return CANARY_JSON_AFTER;
}


static void
canary_json_scan_space(canary_json_scan_t *scan)
{
    while (scan->p < scan->last
           && (*scan->p == ' ' || *scan->p == '\t' || *scan->p == '\n'
               || *scan->p == '\r'))
    {
        scan->p++;
    }
}


static int
canary_json_scan_is(const canary_json_scan_t *scan, char ch)
{
    return scan->p < scan->last && *scan->p == ch;
}


/* What is no text at all is told before what would have to be there. */

static canary_json_state_t
canary_json_scan_wrong(canary_json_scan_t *scan, const char *what)
{
    size_t  left, at;

    left = (size_t) (scan->last - scan->p);
    at = (size_t) (scan->p - scan->text);

    if (left && (unsigned char) *scan->p < 0x20) {
        (void) snprintf(scan->reason, CANARY_JSON_REASON_MAX,
                        "control character 0x%02x at byte %zu",
                        (unsigned char) *scan->p, at);

    } else if (left && canary_utf8_length(scan->p, left) == 0) {
        (void) snprintf(scan->reason, CANARY_JSON_REASON_MAX,
                        "not valid UTF-8 at byte %zu", at);

    } else {
        if (left >= 3 && memcmp(scan->p, "\xef\xbb\xbf", 3) == 0) {
            what = "a mark of byte order";

        } else if (left == 0) {
            what = "it ends too early";
        }

        (void) snprintf(scan->reason, CANARY_JSON_REASON_MAX,
                        "not valid JSON from byte %zu on: %s", at, what);
    }

    return CANARY_JSON_WRONG;
}
