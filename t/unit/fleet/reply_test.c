
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * Answers of Redis: whole, in pieces, and such as nobody may have memory for.
 */


#include <stdlib.h>
#include <string.h>

#include "canary_reply.h"

#include "unit.h"


static canary_reply_t  reply;


static int
begin(void **state)
{
    (void) state;

    return canary_reply_init(&reply) ? 0 : -1;
}


static int
end(void **state)
{
    (void) state;

    canary_reply_free(&reply);

    return 0;
}


static void
refused(const char *text, const char *error)
{
    assert_int_equal(canary_reply_feed(&reply, text, strlen(text)), 1);
    assert_null(canary_reply_next(&reply));
    assert_non_null(reply.error);

    if (strstr(reply.error, error) == NULL) {
        fail_msg("\"%s\" has no \"%s\"", reply.error, error);
    }

    /* and so it stays */

    assert_int_equal(canary_reply_feed(&reply, "+OK\r\n", 5), 0);
    assert_null(canary_reply_next(&reply));
}


static void
test_in_pieces(void **state)
{
    size_t       i;
    redisReply  *got;

    static const char  text[] = "*2\r\n$3\r\na\r\n\r\n*1\r\n:7\r\n";

    (void) state;

    for (i = 0; i < sizeof(text) - 1; i++) {
        assert_null(canary_reply_next(&reply));
        assert_null(reply.error);
        assert_int_equal(canary_reply_feed(&reply, &text[i], 1), 1);
    }

    got = canary_reply_next(&reply);

    assert_non_null(got);
    assert_int_equal(got->type, REDIS_REPLY_ARRAY);
    assert_int_equal(got->elements, 2);
    assert_memory_equal(got->element[0]->str, "a\r\n", 3);
    assert_int_equal(got->element[1]->element[0]->integer, 7);

    freeReplyObject(got);

    assert_null(canary_reply_next(&reply));
    assert_null(reply.error);
}


/* limits are those of one answer */

static void
test_many_answers(void **state)
{
    char         *text;
    unsigned      i;
    size_t        len;
    redisReply   *got;

    (void) state;

    len = 9 * 1024 * 1024;
    text = malloc(len);

    memset(text, 'x', len);
    memcpy(text, "$9437170\r\n", 10);
    memcpy(text + len - 4, "\r\n+\r", 4);

    /* 10 + 9437170 + 2 = len - 2: the rest begins the next one */

    for (i = 0; i < 3; i++) {
        assert_int_equal(canary_reply_feed(&reply, text, len), 1);

        got = canary_reply_next(&reply);
        assert_non_null(got);
        assert_int_equal(got->len, 9437170);
        freeReplyObject(got);

        assert_int_equal(canary_reply_feed(&reply, "\n", 1), 1);

        got = canary_reply_next(&reply);
        assert_non_null(got);
        freeReplyObject(got);
    }

    free(text);
}


static void
test_too_long(void **state)
{
    char    *text;
    size_t   len;

    (void) state;

    len = CANARY_REPLY_BYTES;
    text = calloc(1, len + 1);

    memcpy(text, "$99999999\r\n", 11);

    assert_int_equal(canary_reply_feed(&reply, text, len), 1);
    assert_null(canary_reply_next(&reply));
    assert_null(reply.error);

    assert_int_equal(canary_reply_feed(&reply, text, 1), 0);
    assert_string_equal(reply.error, "an answer of more than 16 MiB");

    free(text);
}


static void
test_endless_array(void **state)
{
    (void) state;

    refused("*2000000000\r\n", "more than 65536 elements");
}


static void
test_arrays_that_are_long_together(void **state)
{
    (void) state;

    refused("*65530\r\n*7\r\n", "more than 65536 elements");
}


static void
test_the_longest_array(void **state)
{
    (void) state;

    assert_int_equal(canary_reply_feed(&reply, "*65536\r\n", 8), 1);
    assert_null(canary_reply_next(&reply));
    assert_null(reply.error);
}


static void
test_levels(void **state)
{
    redisReply  *got;

    static const char  seven[] = "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n";

    (void) state;

    assert_int_equal(canary_reply_feed(&reply, seven, sizeof(seven) - 1), 1);

    got = canary_reply_next(&reply);
    assert_non_null(got);
    freeReplyObject(got);

    refused("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "");
}


static void
test_no_redis(void **state)
{
    (void) state;

    refused("HTTP/1.1 400 Bad Request\r\n", "Protocol error");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(test_in_pieces, begin, end),
        cmocka_unit_test_setup_teardown(test_many_answers, begin, end),
        cmocka_unit_test_setup_teardown(test_too_long, begin, end),
        cmocka_unit_test_setup_teardown(test_endless_array, begin, end),
        cmocka_unit_test_setup_teardown(test_arrays_that_are_long_together,
                                        begin, end),
        cmocka_unit_test_setup_teardown(test_the_longest_array, begin, end),
        cmocka_unit_test_setup_teardown(test_levels, begin, end),
        cmocka_unit_test_setup_teardown(test_no_redis, begin, end)
    };

    return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
