
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _XOPEN_SOURCE  700               /* wcwidth() */

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "canary_text.h"
#include "ctl_text.h"


static void ctl_text_reserve(ctl_text_t *text, size_t len);
static int ctl_is_safe(uint32_t ch);
static size_t ctl_char_width(const char *text, size_t n);


void
ctl_text_add(ctl_text_t *text, const char *bytes, size_t len)
{
    ctl_text_reserve(text, len);

    if (len) {
        memcpy(text->data + text->len, bytes, len);
    }

    text->len += len;
    text->data[text->len] = '\0';
}


void
ctl_text_adds(ctl_text_t *text, const char *string)
{
    ctl_text_add(text, string, strlen(string));
}


void
ctl_text_addf(ctl_text_t *text, const char *fmt, ...)
{
    int      n;
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);

    if (n < 0) {
        return;
    }

    ctl_text_reserve(text, (size_t) n);

    va_start(args, fmt);
    vsnprintf(text->data + text->len, (size_t) n + 1, fmt, args);
    va_end(args);

    text->len += (size_t) n;
}


void
ctl_text_add_safe(ctl_text_t *text, const char *string)
{
    size_t  n, len;

    len = strlen(string);

    ctl_text_add(text, "", 0);

    for ( /* void */ ; len; string += n, len -= n) {
        n = canary_utf8_length(string, len);

        if (n && ctl_is_safe(canary_utf8_decode(string, n))) {
            ctl_text_add(text, string, n);
            continue;
        }

        ctl_text_add(text, "?", 1);

        if (n == 0) {
            n = 1;
        }
    }
}


/*
 * What a terminal obeys, or what makes text look like other text: controls
 * (C0, DEL, C1), marks of direction, line and paragraph separators,
 * embeddings, overrides and isolates of direction, and what is not seen at
 * all (of zero width, fillers, tags).
 */

static int
ctl_is_safe(uint32_t ch)
{
    size_t  i;

    static const struct {
        uint32_t  first;
        uint32_t  last;
    } unsafe[] = {
        { 0x0, 0x1f }, { 0x7f, 0x9f }, { 0xad, 0xad }, { 0x34f, 0x34f },
        { 0x61c, 0x61c }, { 0x115f, 0x1160 }, { 0x17b4, 0x17b5 },
        { 0x180b, 0x180f }, { 0x200b, 0x200f }, { 0x2028, 0x202e },
        { 0x2060, 0x206f }, { 0x3164, 0x3164 }, { 0xfeff, 0xfeff },
        { 0xffa0, 0xffa0 }, { 0xfff0, 0xfffb }, { 0xe0000, 0xe0fff }
    };

    for (i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++) {
        if (ch >= unsafe[i].first && ch <= unsafe[i].last) {
            return 0;
        }
    }

    return 1;
}


/* Between the values of JSON, which is valid, only white space is unsafe. */

void
ctl_text_add_json(ctl_text_t *text, const char *json)
{
    size_t    n, len;
    uint32_t  ch;

    len = strlen(json);

    ctl_text_add(text, "", 0);

    for ( /* void */ ; len; json += n, len -= n) {
        n = canary_utf8_length(json, len);
        n = n ? n : 1;
        ch = canary_utf8_decode(json, n);

        if (ctl_is_safe(ch) || ch == '\n' || ch == '\t') {
            ctl_text_add(text, json, n);

        } else if (ch < 0x20) {
            ctl_text_add(text, " ", 1);

        } else if (ch < 0x10000) {
            ctl_text_addf(text, "\\u%04x", ch);

        } else {
            ch -= 0x10000;
            ctl_text_addf(text, "\\u%04x\\u%04x", 0xd800 + (ch >> 10),
                          0xdc00 + (ch & 0x3ff));
        }
    }
}


void
ctl_text_fill(ctl_text_t *text, char ch, size_t n)
{
    ctl_text_reserve(text, n);

    memset(text->data + text->len, ch, n);

    text->len += n;
    text->data[text->len] = '\0';
}


void
ctl_text_clear(ctl_text_t *text)
{
    text->len = 0;
    ctl_text_add(text, "", 0);
}


void
ctl_text_free(ctl_text_t *text)
{
    free(text->data);
    memset(text, 0, sizeof(ctl_text_t));
}


static void
ctl_text_reserve(ctl_text_t *text, size_t len)
{
    size_t  size;

    if (text->data && len < text->size - text->len) {
        return;
    }

    if (len > SIZE_MAX / 4 || text->len > SIZE_MAX / 4) {
        ctl_no_memory();
    }

    size = 2 * (text->len + len) + 64;

    text->data = realloc(text->data, size);
    if (text->data == NULL) {
        ctl_no_memory();
    }

    text->size = size;
}


char *
ctl_strdup(const char *string)
{
    ctl_text_t  text = { NULL, 0, 0 };

    ctl_text_adds(&text, string);

    return text.data;
}


void *
ctl_calloc(size_t n, size_t size)
{
    void  *p;

    p = calloc(n ? n : 1, size);
    if (p == NULL) {
        ctl_no_memory();
    }

    return p;
}


void
ctl_no_memory(void)
{
    fputs("canaryctl: there is no memory left\n", stderr);
    exit(1);
}


size_t
ctl_width(const char *text, size_t len)
{
    size_t  n, width;

    width = 0;

    for ( /* void */ ; len; text += n, len -= n) {
        n = canary_utf8_length(text, len);

        if (n == 0) {
            n = 1;
        }

        width += ctl_char_width(text, n);
    }

    return width;
}


size_t
ctl_fit(const char *text, size_t len, size_t columns)
{
    size_t  n, fit, width;

    for (fit = 0; fit < len; fit += n) {
        n = canary_utf8_length(text + fit, len - fit);

        if (n == 0) {
            n = 1;
        }

        width = ctl_char_width(text + fit, n);

        if (width > columns) {
            break;
        }

        columns -= width;
    }

    return fit;
}


static size_t
ctl_char_width(const char *text, size_t n)
{
    int  width;

    if (n == 1) {
        return 1;
    }

    width = wcwidth((wchar_t) canary_utf8_decode(text, n));

    return (width < 0) ? 1 : (size_t) width;
}
