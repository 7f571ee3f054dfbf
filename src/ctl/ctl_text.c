
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
static uint32_t ctl_utf8_decode(const char *text, size_t n);
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

        if (n && ctl_is_safe(ctl_utf8_decode(string, n))) {
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
 * (C0, DEL, C1), marks of direction, line and paragraph separators, and
 * embeddings, overrides and isolates of direction.
 */

static int
ctl_is_safe(uint32_t ch)
{
    return !(ch < 0x20
             || (ch >= 0x7f && ch < 0xa0)
             || ch == 0x61c
             || ch == 0x200e || ch == 0x200f
             || (ch >= 0x2028 && ch <= 0x202e)
             || (ch >= 0x2066 && ch <= 0x2069)
             || ch == 0xfeff);
}


/* of a valid character of n bytes */

static uint32_t
ctl_utf8_decode(const char *text, size_t n)
{
    size_t                i;
    uint32_t              ch;
    const unsigned char  *p;

    p = (const unsigned char *) text;

    if (n == 1) {
        return p[0];
    }

    ch = p[0] & (0xffu >> (n + 1));

    for (i = 1; i < n; i++) {
        ch = ch << 6 | (p[i] & 0x3f);
    }

    return ch;
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

    width = wcwidth((wchar_t) ctl_utf8_decode(text, n));

    return (width < 0) ? 1 : (size_t) width;
}
