
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "canary_json.h"
#include "ctl_json.h"


#define CTL_VALUES_MAX  1000000
#define CTL_LIST_MAX    65536


static int ctl_json_is_long(const cJSON *value);


cJSON *
ctl_json_parse(const char *text, size_t len, size_t *values, char *why,
    size_t size)
{
    cJSON                 *json;
    size_t                 left;
    canary_json_errors_t   errors;

    memset(&errors, 0, sizeof(errors));

    left = CTL_VALUES_MAX;
    json = canary_json_parse_most(text, len, &left, &errors);

    *values = CTL_VALUES_MAX - left;

    if (json == NULL) {
        (void) snprintf(why, size, "%s%s%s", errors.list[0].pointer,
                        errors.list[0].pointer[0] ? ": " : "",
                        errors.list[0].detail);
        return NULL;
    }

    if (ctl_json_is_long(json)) {
        (void) snprintf(why, size, "a list of more than %d elements",
                        CTL_LIST_MAX);
        cJSON_Delete(json);
        return NULL;
    }

    return json;
}


/* Each element may become a line, which takes more than it does itself. */

static int
ctl_json_is_long(const cJSON *value)
{
    unsigned      n;
    const cJSON  *child;

    n = 0;

    cJSON_ArrayForEach(child, value) {
        if (++n > CTL_LIST_MAX || ctl_json_is_long(child)) {
            return 1;
        }
    }

    return 0;
}


const char *
ctl_json_text(const cJSON *object, const char *name, const char *none)
{
    const cJSON  *item;

    item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(item) ? item->valuestring : none;
}


double
ctl_json_number(const cJSON *object, const char *name, double none)
{
    const cJSON  *item;

    item = cJSON_GetObjectItemCaseSensitive(object, name);

    return (cJSON_IsNumber(item) && isfinite(item->valuedouble))
           ? item->valuedouble : none;
}


/* 0 if there is none, or one that no int holds */

int
ctl_json_int(const cJSON *object, const char *name)
{
    double  number;

    number = ctl_json_number(object, name, 0);

    return (number >= 0 && number <= INT_MAX) ? (int) number : 0;
}


const cJSON *
ctl_json_list(const cJSON *object, const char *name)
{
    const cJSON  *item;

    item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsArray(item) ? item : NULL;
}


const cJSON *
ctl_json_object(const cJSON *object, const char *name)
{
    const cJSON  *item;

    item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsObject(item) ? item : NULL;
}


/* In cJSON, the last one is before the first. */

const cJSON *
ctl_json_before(const cJSON *list, const cJSON *item)
{
    const cJSON  *first;

    first = list ? list->child : NULL;

    if (first == NULL || item == first) {
        return NULL;
    }

    return item ? item->prev : first->prev;
}


const cJSON *
ctl_json_named(const cJSON *list, const char *name)
{
    const cJSON  *item;

    cJSON_ArrayForEach(item, list) {
        if (strcmp(ctl_json_text(item, "name", ""), name) == 0) {
            return item;
        }
    }

    return NULL;
}
