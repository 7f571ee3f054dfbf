
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <stddef.h>
#include <string.h>

#include "canary_text.h"


#define CANARY_DIGITS_MAX    18      /* that fit into 63 bits */
#define CANARY_EXPONENT_MAX  10000


typedef struct {
    uint64_t  mantissa;
    int       digits;                /* of the mantissa, without zeros that
                                        lead it */
    int       exponent;
} canary_decimal_t;


static const char *canary_decimal_integer(const char *p,
    canary_decimal_t *decimal);
static const char *canary_decimal_fraction(const char *p,
    canary_decimal_t *decimal);
static const char *canary_decimal_exponent(const char *p,
    canary_decimal_t *decimal);
static void canary_decimal_digit(canary_decimal_t *decimal, char digit,
    int integer);
static int canary_is_digit(char ch);


/* The ranges of the bytes are table 3-7 of the Unicode Standard. */

size_t
canary_utf8_length(const char *text, size_t len)
{
    size_t                n, i;
    unsigned              low, high;
    const unsigned char  *p;

    p = (const unsigned char *) text;

    if (len == 0) {
        return 0;
    }

    if (p[0] < 0x80) {
        return 1;
    }

    n = (p[0] < 0xc2) ? 0 : (p[0] < 0xe0) ? 2 : (p[0] < 0xf0) ? 3
        : (p[0] < 0xf5) ? 4 : 0;

    if (n == 0 || len < n) {
        return 0;
    }

    low = (p[0] == 0xe0) ? 0xa0 : (p[0] == 0xf0) ? 0x90 : 0x80;
    high = (p[0] == 0xed) ? 0x9f : (p[0] == 0xf4) ? 0x8f : 0xbf;

    if (p[1] < low || p[1] > high) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf) {
            return 0;
        }
    }

    return n;
}


void
canary_utf8_replace(const char *text, size_t len, char *copy)
{
    size_t  i, n;

    for (i = 0; i < len; i += n) {

        n = canary_utf8_length(text + i, len - i);

        if (n == 0 || text[i] == '\0') {
            n = 1;
            memcpy(copy, "\xef\xbf\xbd", 3);
            copy += 3;

        } else {
            memcpy(copy, text + i, n);
            copy += n;
        }
    }

    *copy = '\0';
}


uint32_t
canary_utf8_decode(const char *text, size_t n)
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


size_t
canary_utf8_prefix(const char *text, size_t len)
{
    size_t  n, prefix;

    for (prefix = 0; prefix < len; prefix += n) {
        n = canary_utf8_length(text + prefix, len - prefix);

        if (n == 0) {
            break;
        }
    }

    return prefix;
}


int
canary_utf8_controls(const char *text, size_t len)
{
    size_t                i;
    const unsigned char  *p;

    p = (const unsigned char *) text;

    for (i = 0; i < len; i++) {

        if (p[i] < 0x20 || p[i] == 0x7f) {
            return 1;
        }

        if (p[i] == 0xc2 && i + 1 < len && p[i + 1] < 0xa0) {
            return 1;
        }

        if (p[i] == 0xe2 && i + 2 < len && p[i + 1] == 0x80
            && (p[i + 2] == 0xa8 || p[i + 2] == 0xa9))
        {
            return 1;
        }
    }

    return 0;
}


/* Dots are taken out of a path before anybody looks for a name there. */

const char *
canary_text_bad_name(const char *text, size_t len)
{
    size_t  begin, end;

    if (len == 0) {
        return "is empty";
    }

    if (canary_utf8_controls(text, len)) {
        return "has a control character";
    }

    for (begin = 0; begin <= len; begin = end + 1) {

        for (end = begin; end < len && text[end] != '/'; end++) {
            /* void */
        }

        if ((end - begin == 1 && text[begin] == '.')
            || (end - begin == 2 && text[begin] == '.'
                && text[begin + 1] == '.'))
        {
            return "is \".\" or \"..\", or has that between slashes, which "
                   "leads elsewhere in a path";
        }
    }

    return NULL;
}


/* number: -? (0 | [1-9][0-9]*) (.[0-9]+)? ([eE][+-]?[0-9]+)? */

int
canary_text_decimal(const char *text, double *number)
{
    int                negative;
    double             value;
    const char        *p;
    canary_decimal_t   decimal = { 0, 0, 0 };

    negative = (*text == '-');

    p = canary_decimal_integer(text + negative, &decimal);

    if (p && *p == '.') {
        p = canary_decimal_fraction(p + 1, &decimal);
    }

    if (p && (*p == 'e' || *p == 'E')) {
        p = canary_decimal_exponent(p + 1, &decimal);
    }

    if (p == NULL || *p != '\0') {
        return 0;
    }

    /* a power of ten up to 10^22 is exact, and so is its quotient rounded */

    value = (double) decimal.mantissa;

    if (decimal.mantissa == 0) {
        value = 0;

    } else if (decimal.exponent < 0) {
        value /= pow(10, -decimal.exponent);

    } else {
        value *= pow(10, decimal.exponent);
    }

    *number = negative ? -value : value;

    return isfinite(value);
}


static const char *
canary_decimal_integer(const char *p, canary_decimal_t *decimal)
{
    if (!canary_is_digit(*p) || (*p == '0' && canary_is_digit(p[1]))) {
        return NULL;
    }

    for ( /* void */ ; canary_is_digit(*p); p++) {
        canary_decimal_digit(decimal, *p, 1);
    }

    return p;
}


static const char *
canary_decimal_fraction(const char *p, canary_decimal_t *decimal)
{
    if (!canary_is_digit(*p)) {
        return NULL;
    }

    for ( /* void */ ; canary_is_digit(*p); p++) {
        canary_decimal_digit(decimal, *p, 0);
    }

    return p;
}


/* Takes a digit; in a fraction, each that fits lowers the exponent. */

static void
canary_decimal_digit(canary_decimal_t *decimal, char digit, int integer)
{
    if (decimal->digits == CANARY_DIGITS_MAX) {

        if (integer && decimal->exponent < CANARY_EXPONENT_MAX) {
            decimal->exponent++;
        }

        return;
    }

    decimal->mantissa = decimal->mantissa * 10 + (uint64_t) (digit - '0');

    if (decimal->mantissa) {
        decimal->digits++;
    }

    if (!integer && decimal->exponent > -CANARY_EXPONENT_MAX) {
        decimal->exponent--;
    }
}


static const char *
canary_decimal_exponent(const char *p, canary_decimal_t *decimal)
{
    int  exponent, sign;

    sign = (*p == '-') ? -1 : 1;

    if (*p == '-' || *p == '+') {
        p++;
    }

    if (!canary_is_digit(*p)) {
        return NULL;
    }

    for (exponent = 0; canary_is_digit(*p); p++) {
        if (exponent < CANARY_EXPONENT_MAX) {
            exponent = exponent * 10 + (*p - '0');
        }
    }

    decimal->exponent += sign * exponent;

    return p;
}


static int
canary_is_digit(char ch)
{
    return ch >= '0' && ch <= '9';
}
