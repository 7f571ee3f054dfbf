
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_setting.h"
#include "canary_text.h"
#include "ctl_value.h"


#define CTL_NUMBER_MAX  64                /* characters */


int
ctl_ratio(const char *text, double *ratio)
{
    char    number[CTL_NUMBER_MAX];
    size_t  len;

    len = strlen(text);

    if (len == 0 || text[len - 1] != '%') {
        return canary_text_decimal(text, ratio);
    }

    if (len > sizeof(number)) {
        return 0;
    }

    memcpy(number, text, len - 1);
    number[len - 1] = '\0';

    if (!canary_text_decimal(number, ratio)) {
        return 0;
    }

    *ratio /= 100;

    return 1;
}


int
ctl_seconds(const char *text, double *seconds)
{
    uint64_t  ms;

    if (canary_text_decimal(text, seconds)) {
        return 1;
    }

    if (!canary_setting_time(text, &ms)) {
        return 0;
    }

    *seconds = (double) ms / 1000;

    return 1;
}
