
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_SETTING_H
#define CANARY_SETTING_H


#include <stdint.h>


/*
 * Values as nginx.conf has them, read as nginx reads them.  All return 0 if
 * the text is none, or does not fit into 63 bits.
 */


/*
 * "0.2" or "20%" in units of 10^-decimals; decimals is at least 2, and there
 * may not be more digits after the point.
 */

int canary_setting_ratio(const char *text, unsigned decimals,
    uint64_t *parts);

/* "250ms", "10s", "1h 30m", "10" (seconds), in milliseconds; from weeks on */

int canary_setting_time(const char *text, uint64_t *ms);

/* digits, and nothing else */

int canary_setting_number(const char *text, uint64_t *number);


#endif /* CANARY_SETTING_H */
