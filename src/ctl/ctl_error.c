
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl.h"
#include "ctl_text.h"


static void ctl_message(const char *prefix, const char *fmt, va_list args);
static char *ctl_format(const char *fmt, va_list args);


void
ctl_error(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    ctl_message("canaryctl: ", fmt, args);
    va_end(args);
}


/* what is no error, but nothing for standard output either */

void
ctl_note(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    ctl_message("", fmt, args);
    va_end(args);
}


static void
ctl_message(const char *prefix, const char *fmt, va_list args)
{
    char        *message;
    ctl_text_t   out = { NULL, 0, 0 };

    message = ctl_format(fmt, args);

    ctl_text_adds(&out, prefix);
    ctl_text_add_safe(&out, message);
    ctl_text_adds(&out, "\n");

    fflush(stdout);
    fputs(out.data, stderr);

    ctl_text_free(&out);
    free(message);
}


static char *
ctl_format(const char *fmt, va_list args)
{
    int      n;
    char    *message;
    va_list  copy;

    va_copy(copy, args);
    n = vsnprintf(NULL, 0, fmt, copy);
    va_end(copy);

    message = ctl_calloc((size_t) (n < 0 ? 0 : n) + 1, 1);
    vsnprintf(message, (size_t) (n < 0 ? 0 : n) + 1, fmt, args);

    return message;
}
