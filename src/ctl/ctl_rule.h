
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_RULE_H
#define CTL_RULE_H


#include <cjson/cJSON.h>


/*
 * A rule in words, 'error_5xx_rate 10% min_requests=50', as JSON has it.
 * NULL: what is wrong with it has been told.
 */

cJSON *ctl_rule(const char *text);


#endif /* CTL_RULE_H */
