
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_RULE_TEXT_H
#define CANARY_RULE_TEXT_H


#include <stddef.h>

#include "canary_rule.h"


/*
 * A rule in words, as nginx.conf and the command line have it:
 *
 *     error_5xx_rate 10% min_requests=50
 *
 * Reads the kind, the threshold and n - 2 parameters, with the defaults of
 * what is not given; the name of a match is added to those that there are.
 * Returns 0 with what is wrong, and what would be right, in "why".
 */

#define CANARY_RULE_WHY_MAX  512
#define CANARY_RULE_WORDS    9       /* one more than are ever right */

int canary_rule_text_read(const char *const *words, unsigned n,
    canary_matches_t *matches, canary_rule_t *rule,
    char why[CANARY_RULE_WHY_MAX]);


#endif /* CANARY_RULE_TEXT_H */
