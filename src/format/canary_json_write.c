
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "canary_json.h"


cJSON *
canary_json_add(cJSON *parent, const char *name, cJSON *item, int *failed)
{
    cJSON_bool  added;

    added = 0;

    if (parent && item) {
        added = name ? cJSON_AddItemToObjectCS(parent, name, item)
                     : cJSON_AddItemToArray(parent, item);
    }

    if (added) {
        return item;
    }

    cJSON_Delete(item);
    *failed = 1;

    return NULL;
}


cJSON *
canary_json_add_object(cJSON *parent, const char *name, int *failed)
{
    return canary_json_add(parent, name, cJSON_CreateObject(), failed);
}


cJSON *
canary_json_add_array(cJSON *parent, const char *name, int *failed)
{
    return canary_json_add(parent, name, cJSON_CreateArray(), failed);
}


void
canary_json_add_null(cJSON *parent, const char *name, int *failed)
{
    canary_json_add(parent, name, cJSON_CreateNull(), failed);
}


void
canary_json_add_text(cJSON *parent, const char *name, const char *text,
    int *failed)
{
    canary_json_add(parent, name, cJSON_CreateString(text), failed);
}


/* Not cJSON's numbers: these are doubles, and small ones get exponents. */

void
canary_json_add_number(cJSON *parent, const char *name, uint64_t value,
    unsigned decimals, int *failed)
{
    int       len;
    char      buf[64];
    uint64_t  one;
    unsigned  i;

    for (one = 1, i = 0; i < decimals; i++) {
        one *= 10;
    }

    len = snprintf(buf, sizeof(buf), "%" PRIu64 ".%0*" PRIu64, value / one,
                   (int) decimals, value % one);

    while (len > 0 && buf[len - 1] == '0') {
        len--;
    }

    if (len > 0 && buf[len - 1] == '.') {
        len--;
    }

    buf[len > 0 ? len : 0] = '\0';

    canary_json_add(parent, name, cJSON_CreateRaw(buf), failed);
}
