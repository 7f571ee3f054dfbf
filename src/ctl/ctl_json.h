
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_JSON_H
#define CTL_JSON_H


#include <stddef.h>

#include <cjson/cJSON.h>


/*
 * Parses what the API answered, strictly, no more values than it has for the
 * list of 10,000 endpoints, and no list that is longer than any of it;
 * zero-terminated.  How many values there are is told; NULL: what is wrong is
 * written to why.
 */

cJSON *ctl_json_parse(const char *text, size_t len, size_t *values,
    char *why, size_t size);

/*
 * What the API answers, as it may be.  An object that is NULL has no members;
 * of another type than asked for is not there, nor is a number that no double
 * holds.
 */

const char *ctl_json_text(const cJSON *object, const char *name,
    const char *none);
double ctl_json_number(const cJSON *object, const char *name, double none);
int ctl_json_int(const cJSON *object, const char *name);
const cJSON *ctl_json_list(const cJSON *object, const char *name);
const cJSON *ctl_json_object(const cJSON *object, const char *name);

/* The one before that one, or with NULL the last one; NULL: there is none. */

const cJSON *ctl_json_before(const cJSON *list, const cJSON *item);

/* That member of the list whose "name" is that text; NULL: none. */

const cJSON *ctl_json_named(const cJSON *list, const char *name);


#endif /* CTL_JSON_H */
