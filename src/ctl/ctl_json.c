
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "ctl_json.h"


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

    return cJSON_IsNumber(item) ? item->valuedouble : none;
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
