
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_setting.h"


#define CANARY_SETTING_MAX  INT64_MAX


static int canary_setting_digit(uint64_t *value, char digit);
static int canary_setting_unit(const char **text, unsigned *rank,
    uint64_t *scale);


int
canary_setting_ratio(const char *text, unsigned decimals, uint64_t *parts)
{
    size_t    i, len;
    uint64_t  value;
    unsigned  dot;

    len = strlen(text);

    if (len && text[len - 1] == '%') {
        decimals -= 2;
        len--;
    }

    if (len == 0) {
        return 0;
    }

    for (i = 0, dot = 0, value = 0; i < len; i++) {

        if (text[i] == '.' && !dot && decimals) {
            dot = 1;

        } else if (dot && decimals == 0) {
            return 0;

        } else if (!canary_setting_digit(&value, text[i])) {
            return 0;

        } else {
            decimals -= dot;
        }
    }

    while (decimals--) {
        if (!canary_setting_digit(&value, '0')) {
            return 0;
        }
    }

    *parts = value;

    return 1;
}


/* Each unit is smaller than the one before it; the last may be missing. */

int
canary_setting_time(const char *text, uint64_t *ms)
{
    int       digits;
    uint64_t  value, total, scale;
    unsigned  rank;

    total = 0;
    rank = 0;

    do {
        for (value = 0, digits = 0; *text >= '0' && *text <= '9'; text++) {
            if (!canary_setting_digit(&value, *text)) {
                return 0;
            }

            digits = 1;
        }

        if (!digits || !canary_setting_unit(&text, &rank, &scale)
            || value > CANARY_SETTING_MAX / scale
            || value * scale > CANARY_SETTING_MAX - total)
        {
            return 0;
        }

        total += value * scale;
        text += strspn(text, " ");

    } while (*text);

    *ms = total;

    return 1;
}


int
canary_setting_number(const char *text, uint64_t *number)
{
    uint64_t  value;

    value = 0;

    if (*text == '\0') {
        return 0;
    }

    for ( /* void */ ; *text; text++) {
        if (!canary_setting_digit(&value, *text)) {
            return 0;
        }
    }

    *number = value;

    return 1;
}


static int
canary_setting_digit(uint64_t *value, char digit)
{
    if (digit < '0' || digit > '9'
        || *value > (CANARY_SETTING_MAX - (uint64_t) (digit - '0')) / 10)
    {
        return 0;
    }

    *value = *value * 10 + (uint64_t) (digit - '0');

    return 1;
}


/* "ms" before "m"; without a unit, or before a blank, it is seconds */

static int
canary_setting_unit(const char **text, unsigned *rank, uint64_t *scale)
{
    size_t    len;
    unsigned  i;

    static const struct {
        const char  *name;
        unsigned     rank;
        uint64_t     scale;
    } units[] = {
        { "w", 1, 7 * 86400000ull },
        { "d", 2, 86400000 },
        { "h", 3, 3600000 },
        { "ms", 6, 1 },
        { "m", 4, 60000 },
        { "s", 5, 1000 },
        { " ", 5, 1000 },
        { "", 7, 1000 }
    };

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        len = strlen(units[i].name);

        if (strncmp(*text, units[i].name, len) != 0) {
            continue;
        }

        if (units[i].rank <= *rank || (len == 0 && **text)) {
            return 0;
        }

        *text += len;
        *rank = units[i].rank;
        *scale = units[i].scale;

        return 1;
    }

    return 0;
}
