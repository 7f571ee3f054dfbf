
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "ctl_sse.h"


static void ctl_sse_line(ctl_sse_t *sse);
static void ctl_sse_field(ctl_sse_t *sse, const char *name, size_t len,
    const char *value);
static void ctl_sse_dispatch(ctl_sse_t *sse);


void
ctl_sse_init(ctl_sse_t *sse, ctl_sse_pt handler, void *data)
{
    memset(sse, 0, sizeof(ctl_sse_t));

    sse->handler = handler;
    sse->data = data;

    ctl_text_clear(&sse->line);
    ctl_text_clear(&sse->text);
    ctl_text_clear(&sse->id);
}


void
ctl_sse_free(ctl_sse_t *sse)
{
    ctl_text_free(&sse->line);
    ctl_text_free(&sse->text);
    ctl_text_free(&sse->id);
}


/* Lines end with a line feed, a carriage return, or both. */

int
ctl_sse_feed(ctl_sse_t *sse, const char *bytes, size_t len)
{
    int     cr;
    size_t  i;

    for (i = 0; i < len && !sse->too_long; i++) {
        cr = sse->cr;
        sse->cr = (bytes[i] == '\r');

        if (bytes[i] == '\n' && cr) {
            continue;
        }

        if (bytes[i] == '\n' || bytes[i] == '\r') {
            ctl_sse_line(sse);
            ctl_text_clear(&sse->line);

        } else if (sse->line.len == CTL_SSE_MAX) {
            sse->too_long = 1;

        } else {
            ctl_text_add(&sse->line, &bytes[i], 1);
        }
    }

    return !sse->too_long;
}


static void
ctl_sse_line(ctl_sse_t *sse)
{
    size_t       len;
    const char  *line, *value;

    line = sse->line.data;

    if (!sse->begun) {
        sse->begun = 1;

        if (strncmp(line, "\xef\xbb\xbf", 3) == 0) {
            line += 3;
        }
    }

    if (line[0] == '\0') {
        ctl_sse_dispatch(sse);
        return;
    }

    value = strchr(line, ':');

    if (value == NULL) {
        ctl_sse_field(sse, line, strlen(line), "");
        return;
    }

    len = (size_t) (value - line);
    value++;

    ctl_sse_field(sse, line, len, (*value == ' ') ? value + 1 : value);
}


/* a comment is a field without a name; what is not known is nothing */

static void
ctl_sse_field(ctl_sse_t *sse, const char *name, size_t len,
    const char *value)
{
    if (len == 4 && memcmp(name, "data", 4) == 0) {

        if (sse->has_text) {
            ctl_text_adds(&sse->text, "\n");
        }

        ctl_text_adds(&sse->text, value);

        sse->has_text = 1;
        sse->too_long = (sse->text.len > CTL_SSE_MAX);

    } else if (len == 2 && memcmp(name, "id", 2) == 0) {
        ctl_text_clear(&sse->id);
        ctl_text_adds(&sse->id, value);
    }
}


static void
ctl_sse_dispatch(ctl_sse_t *sse)
{
    if (sse->has_text) {
        sse->handler(sse->data, sse->id.data, sse->text.data);
    }

    ctl_text_clear(&sse->text);
    sse->has_text = 0;
}
