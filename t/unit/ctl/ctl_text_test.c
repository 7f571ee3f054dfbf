
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ctl_format.h"
#include "ctl_http.h"
#include "ctl_table.h"
#include "unit.h"


#include <locale.h>
#include <stdlib.h>
#include <string.h>


static void
what_a_terminal_obeys_is_made_safe(void **state)
{
    size_t      i;
    ctl_text_t  text = { NULL, 0, 0 };

    static const struct {
        const char  *from;
        const char  *to;
    } cases[] = {
        { "", "" },
        { "plain text", "plain text" },
        { "\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x90\xa4",
          "\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x90\xa4" },
        { "a\033[2Jb\r\n\tc\x7f", "a?[2Jb???c?" },
        { "C1 \xc2\x9b" "31m", "C1 ?31m" },
        { "\xe2\x80\xae" "override", "?override" },
        { "\xe2\x81\xa6" "isolate\xe2\x81\xa9", "?isolate?" },
        { "\xe2\x80\xa8", "?" },
        { "\xff\xc3", "??" },
        { "\xed\xa0\x80", "???" },
        { "\xc0\xaf", "??" }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(cases); i++) {
        ctl_text_clear(&text);
        ctl_text_add_safe(&text, cases[i].from);
        assert_string_equal(text.data, cases[i].to);
    }

    ctl_text_free(&text);
}


static void
a_width_is_in_columns(void **state)
{
    (void) state;

    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));

    assert_int_equal(ctl_width("abc", 3), 3);
    assert_int_equal(ctl_width("\xc3\xa9", 2), 1);
    assert_int_equal(ctl_width("\xe6\x97\xa5", 3), 2);
    assert_int_equal(ctl_width("e\xcc\x81", 3), 1);

    assert_int_equal(ctl_fit("abc", 3, 2), 2);
    assert_int_equal(ctl_fit("abc", 3, 9), 3);
    assert_int_equal(ctl_fit("\xe6\x97\xa5\xe6\x97\xa5", 6, 3), 3);
    assert_int_equal(ctl_fit("\xe6\x97\xa5", 3, 1), 0);
}


static void
expect_table(size_t columns, const char *expected)
{
    ctl_term_t   term = { 1, 0, columns, 0 };
    ctl_text_t   out = { NULL, 0, 0 };
    ctl_table_t  table;

    ctl_table_init(&table, "lrx");

    ctl_table_add(&table, CTL_BOLD, "NAME");
    ctl_table_add(&table, CTL_BOLD, "N");
    ctl_table_add(&table, CTL_BOLD, "NOTE");

    ctl_table_add(&table, CTL_PLAIN, "\xe6\x97\xa5");
    ctl_table_addf(&table, CTL_PLAIN, "%d", 100);
    ctl_table_add(&table, CTL_PLAIN, "a note that is long");

    ctl_table_add(&table, CTL_PLAIN, "b");
    ctl_table_add(&table, CTL_PLAIN, "");
    ctl_table_add(&table, CTL_PLAIN, "");

    ctl_table_write(&table, &term, &out);
    assert_string_equal(out.data, expected);

    ctl_table_free(&table);
    ctl_text_free(&out);
}


static void
a_table_fits_the_terminal(void **state)
{
    (void) state;

    expect_table(0, "NAME    N  NOTE\n"
                    "\xe6\x97\xa5    100  a note that is long\n"
                    "b\n");
    expect_table(30, "NAME    N  NOTE\n"
                     "\xe6\x97\xa5    100  a note that is long\n"
                     "b\n");
    expect_table(21, "NAME    N  NOTE\n"
                     "\xe6\x97\xa5    100  a note ...\n"
                     "b\n");
    expect_table(8, "NAME\n"
                    "\xe6\x97\xa5    10\n"
                    "b\n");
}


static void
a_field_is_broken_at_blanks(void **state)
{
    ctl_term_t  term = { 1, 0, 24, 0 };
    ctl_text_t  out = { NULL, 0, 0 };

    (void) state;

    ctl_term_field(&term, &out, "Next", CTL_PLAIN,
                   "one two three fourfourfourfour");
    assert_string_equal(out.data, "Next       one two three\n"
                                  "           fourfourfourf\n"
                                  "           our\n");

    ctl_text_clear(&out);
    term.columns = 0;
    ctl_term_field(&term, &out, "Next", CTL_PLAIN, "one two three four");
    assert_string_equal(out.data, "Next       one two three four\n");

    ctl_text_free(&out);
}


static void
numbers_as_people_read_them(void **state)
{
    size_t      i;
    ctl_text_t  text = { NULL, 0, 0 };

    static const struct {
        void        (*add)(ctl_text_t *text, double number);
        double        number;
        const char   *expected;
    } cases[] = {
        { ctl_add_ratio, 0, "0%" },
        { ctl_add_ratio, 0.001, "0.1%" },
        { ctl_add_ratio, 0.39984, "39.98%" },
        { ctl_add_ratio, 1, "100%" },
        { ctl_add_ratio, 1e-8, "1.0e-06%" },
        { ctl_add_seconds, 0, "0.0 s" },
        { ctl_add_seconds, 6.25, "6.2 s" },
        { ctl_add_seconds, 9.97, "10 s" },
        { ctl_add_seconds, 59.7, "1 min 00 s" },
        { ctl_add_seconds, 3599, "59 min 59 s" },
        { ctl_add_seconds, 3660, "1 h 01 min" },
        { ctl_add_seconds, 172800, "2 days" },
        { ctl_add_seconds, 1e300, "11574074 days" },
        { ctl_add_ms, 0.142, "0.142" },
        { ctl_add_ms, 2.848, "2.85" },
        { ctl_add_ms, 999.6, "1000" },
        { ctl_add_ms, 12345.6, "12346" }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(cases); i++) {
        ctl_text_clear(&text);
        cases[i].add(&text, cases[i].number);
        assert_string_equal(text.data, cases[i].expected);
    }

    ctl_text_free(&text);
}


static void
a_value_has_the_unit_of_its_rule(void **state)
{
    size_t      i;
    cJSON      *rule;
    ctl_text_t  text = { NULL, 0, 0 };

    static const struct {
        const char  *rule;
        const char  *expected;
    } cases[] = {
        { "{\"rule\":\"error_4xx_rate\",\"value\":0.033}", "3.3%" },
        { "{\"rule\":\"error_4xx_rate\",\"value\":null}", "-" },
        { "{\"rule\":\"error_rate\",\"baseline\":\"stable\",\"value\":0.01}",
          "+1%" },
        { "{\"rule\":\"error_rate\",\"baseline\":\"stable\",\"value\":-0.01}",
          "-1%" },
        { "{\"rule\":\"latency_p90_max\",\"value\":250}", "250 ms" },
        { "{\"rule\":\"latency_avg_max\",\"baseline\":\"stable\","
          "\"value\":1.3}", "x 1.3" },
        { "{\"rule\":\"failed_requests_max\",\"value\":7}", "7" },
        { "{\"rule\":\"of another version\",\"value\":0.5}", "50%" }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(cases); i++) {
        rule = cJSON_Parse(cases[i].rule);
        ctl_text_clear(&text);
        ctl_add_value(&text, rule, cJSON_GetObjectItem(rule, "value"));
        assert_string_equal(text.data, cases[i].expected);
        cJSON_Delete(rule);
    }

    ctl_text_free(&text);
}


static void
a_name_is_made_a_path(void **state)
{
    char    *path;
    size_t   i;

    static const struct {
        const char  *name;
        const char  *expected;
    } cases[] = {
        { "some-path", "endpoints/some-path/events" },
        { "/some-path", "endpoints/some-path/events" },
        { "//x", "endpoints//x/events" },
        { "a/b", "endpoints/a/b/events" },
        { "a b?c#d%e", "endpoints/a%20b%3Fc%23d%25e/events" },
        { "\xc3\xa9\n", "endpoints/%C3%A9%0A/events" }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(cases); i++) {
        path = ctl_endpoint_path(cases[i].name, "/events");
        assert_string_equal(path, cases[i].expected);
        free(path);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(what_a_terminal_obeys_is_made_safe),
        cmocka_unit_test(a_width_is_in_columns),
        cmocka_unit_test(a_table_fits_the_terminal),
        cmocka_unit_test(a_field_is_broken_at_blanks),
        cmocka_unit_test(numbers_as_people_read_them),
        cmocka_unit_test(a_value_has_the_unit_of_its_rule),
        cmocka_unit_test(a_name_is_made_a_path)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
