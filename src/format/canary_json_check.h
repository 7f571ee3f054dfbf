
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_JSON_CHECK_H
#define CANARY_JSON_CHECK_H


#include <stddef.h>


/*
 * Whether a text is JSON (RFC 8259), and such as cJSON reads as it is meant:
 * cJSON also takes \u without four hex digits, which ends the text there,
 * leading zeros, "5.", control characters, and a mark of byte order.  Names
 * that come twice are for canary_json_parse() to see.
 */


#define CANARY_JSON_DEPTH_MAX    512      /* brackets in brackets */
#define CANARY_JSON_NUMBER_MAX   63       /* characters, as cJSON has it */
#define CANARY_JSON_REASON_MAX   128


/*
 * Takes at most so many values, elements and members counted, and leaves how
 * many more there might have been.  Returns 0 with the reason in words, which
 * names the byte, counted from 0.
 */

int canary_json_check(const char *text, size_t len, size_t *values,
    char reason[CANARY_JSON_REASON_MAX]);


#endif /* CANARY_JSON_CHECK_H */
