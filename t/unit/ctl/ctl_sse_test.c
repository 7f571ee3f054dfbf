
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ctl_sse.h"
#include "unit.h"


#include <string.h>


static ctl_text_t  seen;                  /* "ID=TEXT;" of each event */


static void
take(void *data, const char *id, const char *text)
{
    (void) data;

    ctl_text_addf(&seen, "%s=%s;", id, text);
}


/* The result does not depend on the pieces that the stream comes in. */

static void
expect(const char *stream, const char *events)
{
    size_t     piece, i, len, n;
    ctl_sse_t  sse;

    len = strlen(stream);

    for (piece = 1; piece <= len; piece++) {
        ctl_text_clear(&seen);
        ctl_sse_init(&sse, take, NULL);

        for (i = 0; i < len; i += n) {
            n = (len - i < piece) ? len - i : piece;
            ctl_sse_feed(&sse, stream + i, n);
        }

        assert_string_equal(seen.data, events);

        ctl_sse_free(&sse);
    }

    ctl_text_free(&seen);
}


static void
an_event_has_an_id_and_text(void **state)
{
    (void) state;

    expect("id: 1\ndata: a\n\nid: 2\ndata: b\n\n", "1=a;2=b;");
    expect("data: a\nid: 1\n\n", "1=a;");
    expect("data: a\ndata: b\n\n", "=a\nb;");
    expect("data\n\n", "=;");
    expect("data:a\n\ndata:  b\n\n", "=a;= b;");
    expect("data: a: b\n\n", "=a: b;");
}


static void
an_id_stays_until_there_is_another(void **state)
{
    (void) state;

    expect("id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", "1=a;1=b;=c;");
}


static void
lines_end_in_three_ways(void **state)
{
    (void) state;

    expect("id: 1\r\ndata: a\r\n\r\ndata: b\r\n\r\n", "1=a;1=b;");
    expect("id: 1\rdata: a\r\rdata: b\r\r", "1=a;1=b;");
    expect("data: a\r\n\ndata: b\n\n", "=a;=b;");
}


static void
what_has_no_data_is_no_event(void **state)
{
    (void) state;

    expect(": heartbeat\n\n:\n\n", "");
    expect("id: 1\n\n", "");
    expect("event: x\nretry: 10\nnothing: y\n\n", "");
    expect("data: not ended", "");
    expect("data: not ended\n", "");
    expect("Data: a\n data: b\ndat: c\n\n", "");
    expect("\xef\xbb\xbf" "data: a\n\n", "=a;");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(an_event_has_an_id_and_text),
        cmocka_unit_test(an_id_stays_until_there_is_another),
        cmocka_unit_test(lines_end_in_three_ways),
        cmocka_unit_test(what_has_no_data_is_no_event)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
