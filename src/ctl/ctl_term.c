
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _XOPEN_SOURCE    700
#define _DEFAULT_SOURCE                   /* struct winsize */

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_term.h"


static size_t ctl_term_break(const char *text, size_t len, size_t columns);


void
ctl_term_init(ctl_term_t *term)
{
    const char  *no_colour, *name;

    /* the widths of characters: what is written is always UTF-8 */

    if (setlocale(LC_CTYPE, "") == NULL
        || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
    {
        setlocale(LC_CTYPE, "C.UTF-8");
    }

    no_colour = getenv("NO_COLOR");
    name = getenv("TERM");

    memset(term, 0, sizeof(ctl_term_t));

    term->terminal = isatty(STDOUT_FILENO) && name && name[0]
                     && strcmp(name, "dumb") != 0;
    term->colour = term->terminal && !(no_colour && no_colour[0]);

    ctl_term_measure(term);
}


void
ctl_term_measure(ctl_term_t *term)
{
    struct winsize  size;

    if (!term->terminal) {
        return;
    }

    term->columns = 80;
    term->rows = 24;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0
        && size.ws_col && size.ws_row)
    {
        term->columns = size.ws_col;
        term->rows = size.ws_row;
    }
}


void
ctl_term_add(const ctl_term_t *term, ctl_text_t *out, ctl_style_t style,
    const char *text, size_t len)
{
    static const char *const  codes[] = {
        "", "\033[1m", "\033[2m", "\033[32m", "\033[33m", "\033[31m"
    };

    if (!term->colour || style == CTL_PLAIN || len == 0) {
        ctl_text_add(out, text, len);
        return;
    }

    ctl_text_adds(out, codes[style]);
    ctl_text_add(out, text, len);
    ctl_text_adds(out, "\033[0m");
}


void
ctl_term_field(const ctl_term_t *term, ctl_text_t *out, const char *label,
    ctl_style_t style, const char *text)
{
    size_t  len, part, columns;

    columns = (term->columns > CTL_LABEL_WIDTH)
              ? term->columns - CTL_LABEL_WIDTH : 1;

    len = strlen(text);

    do {
        part = term->columns ? ctl_term_break(text, len, columns) : len;

        ctl_text_addf(out, "%-*s", CTL_LABEL_WIDTH, label);
        ctl_term_add(term, out, style, text, part);
        ctl_text_adds(out, "\n");

        text += part;
        len -= part;
        label = "";

        while (len && *text == ' ') {
            text++;
            len--;
        }

    } while (len);
}


/* where a line of so many columns ends: before a blank, if there is one */

static size_t
ctl_term_break(const char *text, size_t len, size_t columns)
{
    size_t  fit, part;

    fit = ctl_fit(text, len, columns);

    if (fit == len) {
        return len;
    }

    for (part = fit; part; part--) {
        if (text[part] == ' ') {
            return part;
        }
    }

    return fit ? fit : len;
}


void
ctl_term_write(const ctl_text_t *out)
{
    if (out->len == 0) {
        return;
    }

    if (fwrite(out->data, 1, out->len, stdout) != out->len
        || fflush(stdout) != 0)
    {
        ctl_error("cannot write to standard output");
        exit(CTL_FAILED);
    }
}


void
ctl_term_write_json(const ctl_text_t *out)
{
    ctl_text_t  safe = { NULL, 0, 0 };

    if (!isatty(STDOUT_FILENO)) {
        ctl_term_write(out);
        return;
    }

    ctl_text_add_json(&safe, out->data);
    ctl_term_write(&safe);
    ctl_text_free(&safe);
}
