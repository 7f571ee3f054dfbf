
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_TEXT_H
#define CANARY_TEXT_H


#include <stddef.h>
#include <stdint.h>


/* Text from outside, taken apart with no regard to the locale. */


/* The length of a valid UTF-8 character at the beginning; 0: none. */

size_t canary_utf8_length(const char *text, size_t len);

/* The code point of a valid character of n bytes. */

uint32_t canary_utf8_decode(const char *text, size_t n);

/* The bytes at the beginning that are valid UTF-8. */

size_t canary_utf8_prefix(const char *text, size_t len);

/*
 * Copies a text, with a zero at its end, and U+FFFD for each byte that is no
 * valid UTF-8, or zero: so it may take so many bytes for each.
 */

#define CANARY_UTF8_GROWS  3

void canary_utf8_replace(const char *text, size_t len, char *copy);

/*
 * Whether valid UTF-8 has control characters: C0, DEL, C1, and the line and
 * paragraph separators, U+2028 and U+2029.
 */

int canary_utf8_controls(const char *text, size_t len);

/*
 * What is wrong with the name of an endpoint or a release, which stands in
 * logs, on terminals and in paths of URIs; NULL: nothing.  It need not be
 * UTF-8.
 */

const char *canary_text_bad_name(const char *text, size_t len);

/*
 * A decimal number as JSON writes it, and nothing else.  Returns 0 if it is
 * none or not finite.
 */

int canary_text_decimal(const char *text, double *number);


#endif /* CANARY_TEXT_H */
