
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_match.h"


/* it is in logs, labels and names of fields, so that nothing has to quote it */

const char *
canary_match_bad_name(const char *name, size_t len)
{
    size_t  i;

    if (len == 0 || len >= CANARY_MATCH_SIZE) {
        return "has to have 1 to 31 characters";
    }

    for (i = 0; i < len; i++) {
        if (!((name[i] >= '0' && name[i] <= '9')
              || (name[i] >= 'A' && name[i] <= 'Z')
              || (name[i] >= 'a' && name[i] <= 'z')
              || name[i] == '_' || name[i] == '-' || name[i] == '.'))
        {
            return "has to be of letters, digits, \"_\", \"-\" and \".\"";
        }
    }

    return NULL;
}


unsigned
canary_match_find(const canary_matches_t *matches, const char *name,
    size_t len)
{
    unsigned  i;

    if (len == 0 || len >= CANARY_MATCH_SIZE) {
        return 0;
    }

    for (i = 0; i < CANARY_MATCHES_MAX; i++) {
        if (memcmp(matches->names[i], name, len) == 0
            && matches->names[i][len] == '\0')
        {
            return i + 1;
        }
    }

    return 0;
}


unsigned
canary_match_add(canary_matches_t *matches, const char *name, size_t len)
{
    unsigned  i;

    i = canary_match_find(matches, name, len);

    if (i) {
        return i;
    }

    for (i = 0; i < CANARY_MATCHES_MAX; i++) {
        if (matches->names[i][0] == '\0') {
            memcpy(matches->names[i], name, len);
            return i + 1;
        }
    }

    return 0;
}


unsigned
canary_match_missing(const canary_matches_t *matches,
    const canary_matches_t *others)
{
    unsigned     i, missing;
    const char  *name;

    for (i = 0, missing = 0; i < CANARY_MATCHES_MAX; i++) {
        name = matches->names[i];

        if (name[0] && canary_match_find(others, name, strlen(name)) == 0) {
            missing |= 1u << i;
        }
    }

    return missing;
}
