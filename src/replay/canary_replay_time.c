
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_replay_time.h"
#include "canary_text.h"


static int canary_replay_date(const char *text, uint64_t *microseconds);
static int64_t canary_replay_days(unsigned year, unsigned month, unsigned day);
static int canary_replay_offset(const char *text, int *minutes);


int
canary_replay_seconds(const char *text, uint64_t max, uint64_t *microseconds)
{
    double  seconds;

    if (!canary_text_decimal(text, &seconds)
        || !(seconds >= 0 && seconds * 1e6 <= (double) max))
    {
        return 0;
    }

    *microseconds = (uint64_t) (seconds * 1e6 + 0.5);

    return 1;
}


int
canary_replay_time(const char *text, uint64_t *microseconds)
{
    return canary_replay_seconds(text, CANARY_REPLAY_TIME_MAX, microseconds)
           || canary_replay_date(text, microseconds);
}


/* 2026-11-23T01:22:09.760Z, or with an offset such as +01:00 */

static int
canary_replay_date(const char *text, uint64_t *microseconds)
{
    int       minutes;
    unsigned  year, month, day, hour, minute, second, scale;
    int64_t   time;
    uint64_t  fraction;

    if (!canary_replay_digits(&text, 4, 2099, &year) || *text++ != '-'
        || !canary_replay_digits(&text, 2, 12, &month) || *text++ != '-'
        || !canary_replay_digits(&text, 2, 31, &day)
        || (*text != 'T' && *text != 't' && *text != ' ')
        || (text++, !canary_replay_digits(&text, 2, 23, &hour))
        || *text++ != ':'
        || !canary_replay_digits(&text, 2, 59, &minute) || *text++ != ':'
        || !canary_replay_digits(&text, 2, 60, &second)
        || year < 1970 || month == 0 || day == 0)
    {
        return 0;
    }

    fraction = 0;

    if (*text == '.') {
        text++;

        if (*text < '0' || *text > '9') {
            return 0;
        }

        for (scale = 100000; *text >= '0' && *text <= '9'; text++) {
            fraction += scale * (uint64_t) (*text - '0');
            scale /= 10;
        }
    }

    if (!canary_replay_offset(text, &minutes)) {
        return 0;
    }

    time = canary_replay_days(year, month, day) * 86400
           + hour * 3600 + minute * 60 + second - (int64_t) minutes * 60;

    if (time < 0) {
        return 0;
    }

    *microseconds = (uint64_t) time * 1000000 + fraction;

    return *microseconds <= CANARY_REPLAY_TIME_MAX;
}


static int
canary_replay_offset(const char *text, int *minutes)
{
    int       sign;
    unsigned  hour, minute;

    *minutes = 0;

    if (*text == 'Z' || *text == 'z') {
        return text[1] == '\0';
    }

    if (*text != '+' && *text != '-') {
        return 0;
    }

    sign = (*text++ == '-') ? -1 : 1;

    if (!canary_replay_digits(&text, 2, 23, &hour) || *text++ != ':'
        || !canary_replay_digits(&text, 2, 59, &minute) || *text)
    {
        return 0;
    }

    *minutes = sign * (int) (hour * 60 + minute);

    return 1;
}


int
canary_replay_digits(const char **text, unsigned n, unsigned max,
    unsigned *value)
{
    const char  *p;

    *value = 0;

    for (p = *text; n; n--, p++) {
        if (*p < '0' || *p > '9') {
            return 0;
        }

        *value = *value * 10 + (unsigned) (*p - '0');
    }

    *text = p;

    return *value <= max;
}


/* Days since 1970 in the Gregorian calendar; years begin with March here. */

static int64_t
canary_replay_days(unsigned year, unsigned month, unsigned day)
{
    unsigned  y, m;

    y = (month > 2) ? year : year - 1;
    m = (month > 2) ? month - 3 : month + 9;

    return 365ll * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5
           + day - 1 - 719468;
}
