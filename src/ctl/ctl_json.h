
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_JSON_H
#define CTL_JSON_H


#include <cjson/cJSON.h>


/*
 * What the API answers, as it may be.  An object that is NULL has no members;
 * of another type than asked for is not there.
 */

const char *ctl_json_text(const cJSON *object, const char *name,
    const char *none);
double ctl_json_number(const cJSON *object, const char *name, double none);
const cJSON *ctl_json_list(const cJSON *object, const char *name);
const cJSON *ctl_json_object(const cJSON *object, const char *name);

/* That member of the list whose "name" is that text; NULL: none. */

const cJSON *ctl_json_named(const cJSON *list, const char *name);


#endif /* CTL_JSON_H */
