
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * JSON from outside: what is no JSON or no text, and what numbers are.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_json.h"
#include "canary_text.h"

#include "unit.h"


static canary_json_errors_t  errors;


static void
accepted(void)
{
    if (errors.total) {
        fail_msg("%s: %s", errors.list[0].pointer, errors.list[0].detail);
    }
}


static void
refused(const char *pointer, const char *detail)
{
    assert_int_equal(errors.total, 1);
    assert_string_equal(errors.list[0].pointer, pointer);

    if (strstr(errors.list[0].detail, detail) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", detail, errors.list[0].detail);
    }
}


static void
test_what_is_no_json(void **state)
{
    size_t  i;

    static const struct {
        const char  *text;
        size_t       len;
        const char  *detail;
    } tests[] = {
        { "", 0, "not valid JSON" },
        { " ", 1, "not valid JSON" },
        { "{", 1, "not valid JSON" },
        { "{}x", 3, "not valid JSON" },
        { "{} {}", 5, "not valid JSON from byte 3" },
        { "{\"a\":}", 6, "not valid JSON" },
        { "{\"a\":1,}", 8, "not valid JSON" },
        { "{\"a\":1,", 7, "not valid JSON" },
        { "{'a':1}", 7, "not valid JSON" },
        { "{\"a\":nan}", 9, "not valid JSON" },
        { "{\"a\":NaN}", 9, "not valid JSON" },
        { "{\"a\":Infinity}", 14, "not valid JSON" },
        { "{\"a\":-}", 7, "not valid JSON" },
        { "{\"a\":0x10}", 10, "not valid JSON" },
        { "{\"a\":\"\\ud800\"}", 14, "not valid JSON" },
        { "{\"a\":\"\\x\"}", 10, "not valid JSON" },
        { "{\"a\":\"", 6, "not valid JSON" },
        { "{\"a\":\"\\", 7, "not valid JSON" },
        { "{\"a\":\"\\u00", 10, "not valid JSON" },
        { "{}\0", 3, "control character 0x00 at byte 2" },
        { "{\"a\":\"\0\"}", 9, "control character 0x00 at byte 6" },
        { "{\"a\":\"\x01\"}", 9, "control character 0x01 at byte 6" },
        { "{\"a\\u0000\":1}", 13, "U+0000 at byte 3" },
        { "{\"a\":\"\xff\"}", 9, "not valid UTF-8 at byte 6" },
        { "{\"a\":\"\xc0\x80\"}", 10, "not valid UTF-8 at byte 6" },
        { "{\"a\":\"\xed\xa0\x80\"}", 11, "not valid UTF-8 at byte 6" },
        { "{\"a\":\"\xf4\x90\x80\x80\"}", 12, "not valid UTF-8 at byte 6" },
        { "{\"a\":\"\xe2\x82\"}", 10, "not valid UTF-8 at byte 6" },

        /* what cJSON reads as something else, or as less */

        { "\xef\xbb\xbf{}", 5, "from byte 0 on: a mark of byte order" },
        { "{}\xef\xbb\xbf", 5, "from byte 2 on: a mark of byte order" },
        { "[\xc2\xa0" "1]", 5, "not valid JSON from byte 1" },
        { "[\x0b" "1]", 4, "control character 0x0b at byte 1" },
        { "[\x0c" "1]", 4, "control character 0x0c at byte 1" },
        { "[\"\t\"]", 5, "control character 0x09 at byte 2" },
        { "[\"\n\"]", 5, "control character 0x0a at byte 2" },
        { "{\"a\r\":1}", 8, "control character 0x0d at byte 3" },
        { "[\"\x1f\"]", 5, "control character 0x1f at byte 2" },
        { "[\"\\\n\"]", 6, "from byte 2 on: a backslash" },
        { "[\"\\\0\"]", 6, "from byte 2 on: a backslash" },
        { "[\"\\a\"]", 6, "from byte 2 on: a backslash" },
        { "[\"\\'\"]", 6, "from byte 2 on: a backslash" },
        { "[\"\\U0041\"]", 10, "from byte 2 on: a backslash" },
        { "[\"\\uQQQQ\"]", 10, "from byte 2 on: \\u without four" },
        { "[\"\\u12\"]", 8, "from byte 2 on: \\u without four" },
        { "[\"\\u123\",1]", 11, "from byte 2 on: \\u without four" },
        { "[\"\\u12g4\"]", 10, "from byte 2 on: \\u without four" },
        { "[\"\\u+123\"]", 10, "from byte 2 on: \\u without four" },
        { "[\"\\u 123\"]", 10, "from byte 2 on: \\u without four" },
        { "[\"\\u00\0" "0\"]", 10, "from byte 2 on: \\u without four" },
        { "{\"a\\uXXXX\":1}", 13, "from byte 3 on: \\u without four" },
        { "[\"\\ud800\"]", 10, "from byte 2 on: half of a pair" },
        { "[\"\\udbff-\"]", 11, "from byte 2 on: half of a pair" },
        { "[\"\\udc00\"]", 10, "from byte 2 on: half of a pair" },
        { "[\"\\udfff\\ud800\"]", 16, "from byte 2 on: half of a pair" },
        { "[\"\\ud800\\u0041\"]", 16, "from byte 2 on: half of a pair" },
        { "[\"\\ud800\\ud800\"]", 16, "from byte 2 on: half of a pair" },
        { "[\"\\ud800\\udcQ0\"]", 16, "from byte 2 on: half of a pair" },
        { "[\"x\\u0000y\"]", 12, "U+0000 at byte 3 is not allowed" },
        { "[01]", 4, "not valid JSON from byte 2" },
        { "[00]", 4, "not valid JSON from byte 2" },
        { "[-01]", 5, "not valid JSON from byte 3" },
        { "[+1]", 4, "from byte 1 on: no value" },
        { "[.5]", 4, "from byte 1 on: no value" },
        { "[-.5]", 5, "from byte 2 on: no value" },
        { "[5.]", 4, "from byte 3 on: no digit after a point" },
        { "[5.e1]", 6, "from byte 3 on: no digit after a point" },
        { "[1.2.3]", 7, "not valid JSON from byte 4" },
        { "[1e]", 4, "from byte 3 on: no digit in an exponent" },
        { "[1e+]", 5, "from byte 4 on: no digit in an exponent" },
        { "[1E-+1]", 7, "from byte 4 on: no digit in an exponent" },
        { "[1e1.5]", 7, "not valid JSON from byte 4" },
        { "[1-2]", 5, "not valid JSON from byte 2" },
        { "[--1]", 5, "from byte 2 on: no value" },
        { "[0x1]", 5, "not valid JSON from byte 2" },
        { "[1_000]", 7, "not valid JSON from byte 2" },
        { "[inf]", 5, "from byte 1 on: no value" },
        { "[-inf]", 6, "from byte 2 on: no value" },
        { "[0123456789012345678901234567890123456789012345678901234567890123"
          "]", 66, "not valid JSON from byte 2" },
        { "[1123456789012345678901234567890123456789012345678901234567890123"
          "]", 66, "from byte 1 on: a number of more than 63" },
        { "[True]", 6, "from byte 1 on: no value" },
        { "[truth]", 7, "from byte 1 on: no value" },
        { "[nul]", 5, "from byte 1 on: no value" },
        { "[nullx]", 7, "not valid JSON from byte 5" },
        { "[1 2]", 5, "from byte 3 on: neither a comma" },
        { "[1}", 3, "from byte 2 on: neither a comma" },
        { "{\"a\":1]", 8, "from byte 6 on: neither a comma" },
        { "[1,]", 4, "from byte 3 on: no value" },
        { "[,1]", 4, "from byte 1 on: no value" },
        { "[1,,2]", 6, "from byte 3 on: no value" },
        { "{\"a\":1 \"b\":2}", 13, "from byte 7 on: neither a comma" },
        { "{\"a\" 1}", 8, "from byte 5 on: no colon" },
        { "{\"a\"}", 5, "from byte 4 on: no colon" },
        { "{a:1}", 5, "from byte 1 on: no name" },
        { "{1:1}", 5, "from byte 1 on: no name" },
        { "{,}", 3, "from byte 1 on: no name" },
        { "{\"a\":1,,\"b\":2}", 15, "from byte 7 on: no name" },
        { "[1] // x", 8, "from byte 4 on: something after the end" },
        { "/**/[1]", 7, "from byte 0 on: no value" },
        { "[1][", 4, "from byte 3 on: something after the end" },
        { "]", 1, "from byte 0 on: no value" },
        { "\"a", 2, "from byte 2 on: it ends too early" },
        { "[\"a\"", 4, "from byte 4 on: it ends too early" },
        { "[\"\xc1\xbf\"]", 6, "not valid UTF-8 at byte 2" },
        { "[\"\xe0\x9f\xbf\"]", 7, "not valid UTF-8 at byte 2" },
        { "[\"\xf0\x8f\xbf\xbf\"]", 8, "not valid UTF-8 at byte 2" },
        { "[\"\xed\xbf\xbf\"]", 7, "not valid UTF-8 at byte 2" },
        { "[\"\xf5\x80\x80\x80\"]", 8, "not valid UTF-8 at byte 2" },
        { "[\"a\x80\"]", 6, "not valid UTF-8 at byte 3" },
        { "[\x80]", 3, "not valid UTF-8 at byte 1" }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        char   *copy;
        cJSON  *json;

        /* of exactly that size, for the sanitizer */

        copy = malloc(tests[i].len + 1);
        assert_non_null(copy);
        memcpy(copy, tests[i].text, tests[i].len);
        copy[tests[i].len] = '\0';

        memset(&errors, 0, sizeof(errors));
        json = canary_json_parse(copy, tests[i].len, &errors);

        assert_null(json);
        refused("", tests[i].detail);
        free(copy);
    }

    /* an escaped backslash before u0000 is no escape of U+0000 */

    memset(&errors, 0, sizeof(errors));
    cJSON_Delete(canary_json_parse("{\"a\":\"\\\\u0000\"}", 15, &errors));
    accepted();
}


/* What is accepted is read as it is meant; cJSON writes it again. */

static void
test_what_is_json(void **state)
{
    char    *text;
    cJSON   *json;
    size_t   i;

    static const struct {
        const char  *text;
        const char  *again;               /* NULL: the same */
    } tests[] = {
        { "{}", NULL }, { "[]", NULL }, { "[[],{},[{}]]", NULL },
        { " \t\r\n[ ]\n", "[]" }, { "null", NULL }, { "true", NULL },
        { "false", NULL }, { "\"\"", NULL }, { "7", NULL },
        { "[0,1,-1,10,0.5,-0.5]", NULL },
        { "[1e2,1E+2,1e-2,1.5e1,0e0]", "[100,100,0.01,15,0]" },
        { "[1.75e308,-1E308]", "[1.75e+308,-1e+308]" },
        { "[1e-400]", "[0]" },
        { "{\"a\":1,\"b\":{\"a\":1},\"c\":[{\"a\":1},{\"a\":1}]}", NULL },
        { "{\"\":0,\"A\":1,\"a\":2,\"a \":3}", NULL },
        { "{ \"a\" : 1 , \"b\" : [ 1 , 2 ] }", "{\"a\":1,\"b\":[1,2]}" },
        { "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
          "[\"\\\"\\\\/\\b\\f\\n\\r\\t\"]" },
        { "[\"\\u0041\\u00e9\\u20AC\"]", "[\"A\xc3\xa9\xe2\x82\xac\"]" },
        { "[\"\\ud83d\\ude00\\uDBFF\\uDFFF\"]",
          "[\"\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\"]" },
        { "[\"\\\\u0000\\\\ud800\"]", NULL },
        { "[\"\x7f\xc2\x80\xed\x9f\xbf\xee\x80\x80\xef\xbb\xbf\"]", NULL },
        { "[\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"]", NULL },
        { "[112500000000000000000000000000000000000000000000000000000000000]",
          "[1.125e+62]" }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        memset(&errors, 0, sizeof(errors));
        json = canary_json_parse(tests[i].text, strlen(tests[i].text),
                                 &errors);
        accepted();
        assert_non_null(json);

        text = cJSON_PrintUnformatted(json);
        assert_string_equal(text, tests[i].again ? tests[i].again
                                                 : tests[i].text);
        cJSON_free(text);
        cJSON_Delete(json);
    }
}


static void
test_names_that_come_twice(void **state)
{
    size_t  i;

    static const struct {
        const char  *text;
        const char  *pointer;
    } tests[] = {
        { "{\"a\":1,\"a\":1}", "/a" },
        { "{\"a\":1,\"b\":2,\"a\":3}", "/a" },
        { "{\"a\":1,\"\\u0061\":2}", "/a" },
        { "{\"\xc3\xa9\":1,\"\\u00E9\":2}", "/\xc3\xa9" },
        { "{\"/\":1,\"\\/\":2}", "/~1" },
        { "{\"\":1,\"\":2}", "/" },
        { "[0,{\"x\":[{\"b\":1,\"b\":[]}]}]", "/1/x/0/b" },
        { "{\"x\":{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":1}}",
          "/x/\xf0\x9f\x98\x80" }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        memset(&errors, 0, sizeof(errors));
        assert_null(canary_json_parse(tests[i].text, strlen(tests[i].text),
                                      &errors));
        refused(tests[i].pointer, "\" is here twice");
    }
}


/* One by one with each other, they would not be looked through today. */

static void
test_many_names(void **state)
{
    char    *text, *p;
    cJSON   *json;
    size_t   i;

    enum { MANY = 1000000 };

    (void) state;

    text = malloc(MANY * 16);
    assert_non_null(text);

    p = text;
    *p++ = '{';

    for (i = 0; i < MANY; i++) {
        p += sprintf(p, "\"k%zu\":1,", i);
    }

    memset(&errors, 0, sizeof(errors));

    strcpy(p - 1, "}");
    json = canary_json_parse(text, strlen(text), &errors);
    accepted();
    assert_int_equal(cJSON_GetArraySize(json), MANY);
    cJSON_Delete(json);

    strcpy(p, "\"k7\":1}");
    p[-1] = ',';
    assert_null(canary_json_parse(text, strlen(text), &errors));
    refused("/k7", "twice");

    free(text);
}


static void
test_no_more_values_than_asked_for(void **state)
{
    cJSON   *json;
    size_t   values;

    (void) state;

    memset(&errors, 0, sizeof(errors));

    values = 7;
    json = canary_json_parse_most("[1,{\"a\":[]}]", 12, &values, &errors);
    accepted();
    assert_int_equal(values, 3);
    cJSON_Delete(json);

    assert_null(canary_json_parse_most("[1,{\"a\":[]}]", 12, &values,
                                       &errors));
    refused("", "not valid JSON from byte 8 on: too many values");
}


static void
test_deep_nesting(void **state)
{
    char         *text;
    cJSON        *json;
    const cJSON  *values[1];

    static const char *const  names[] = { "name" };

    (void) state;

    text = malloc(65537);
    assert_non_null(text);
    memset(text, '[', 65536);
    text[65536] = '\0';

    memset(&errors, 0, sizeof(errors));
    assert_null(canary_json_parse(text, 65536, &errors));
    refused("", "not valid JSON from byte 512 on: brackets nested too");

    /* as deep as can be, and no object */

    memset(text + 500, ']', 500);
    text[1000] = '\0';

    memset(&errors, 0, sizeof(errors));
    json = canary_json_parse(text, 1000, &errors);
    assert_non_null(json);
    assert_false(canary_json_members(json, NULL, names, 1, values, &errors));
    refused("", "an object, not an array");
    cJSON_Delete(json);
    free(text);
}


static void
test_lines(void **state)
{
    size_t            i;
    cJSON            *json;
    canary_json_at_t  at = { NULL, "reason", 0 };

    static const char *const  bad[] = {
        "a\nb", "\t", "\x7f", "\xc2\x85", "\x1b[2J", "\xe2\x80\xa8"
    };

    (void) state;

    memset(&errors, 0, sizeof(errors));

    json = cJSON_CreateString("gr\xc3\xbc\xc3\x9f" "e");
    assert_string_equal(canary_json_line(json, &at, 7, &errors),
                        json->valuestring);
    accepted();
    assert_null(canary_json_line(json, &at, 6, &errors));
    refused("/reason", "at most 6 bytes long, not 7");
    cJSON_Delete(json);

    for (i = 0; i < UNIT_LENGTH(bad); i++) {
        memset(&errors, 0, sizeof(errors));
        json = cJSON_CreateString(bad[i]);
        assert_null(canary_json_line(json, &at, 100, &errors));
        refused("/reason", "control");
        cJSON_Delete(json);
    }
}


static void
test_decimals(void **state)
{
    size_t  i;
    double  number;

    static const struct {
        const char  *text;
        double       number;
    } good[] = {
        { "0", 0 }, { "-0", 0 }, { "0.1", 0.1 }, { "0.3", 0.3 },
        { "100.0", 100 }, { "1e-05", 1e-05 }, { "1E+16", 1e16 },
        { "123456789012345678901234567890", 123456789012345678901234567890.0 },
        { "0.00000000000000000000000000000001", 1e-32 },
        { "0.1000000000000000000000000000000000000000009", 0.1 },
        { "1.7976931348623157e308", 1.7976931348623157e308 },
        { "1e-400", 0 }, { "0e999999999999", 0 }
    };

    static const char *const  bad[] = {
        "", "-", "+1", ".5", "5.", "00", "01", "1e", "1e+", "1 ", " 1", "1,5",
        "0x10", "nan", "inf", "infinity", "1e309", "-1e309", "1e99999999999",
        "1.5.5", "1_000", "\xd9\xa1"
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(good); i++) {
        assert_true(canary_text_decimal(good[i].text, &number));

        if (number < good[i].number * (1 - 1e-15)
            || number > good[i].number * (1 + 1e-15))
        {
            fail_msg("\"%s\" is %.17g", good[i].text, number);
        }
    }

    for (i = 0; i < UNIT_LENGTH(bad); i++) {
        if (canary_text_decimal(bad[i], &number)) {
            fail_msg("\"%s\" is a number", bad[i]);
        }
    }
}


static void
test_written_numbers(void **state)
{
    int     failed;
    char   *text;
    cJSON  *list;

    (void) state;

    failed = 0;
    list = cJSON_CreateArray();

    canary_json_add_number(list, NULL, 0, 0, &failed);
    canary_json_add_number(list, NULL, 0, 9, &failed);
    canary_json_add_number(list, NULL, 100, 0, &failed);
    canary_json_add_number(list, NULL, 100000, 3, &failed);
    canary_json_add_number(list, NULL, 400000, 6, &failed);
    canary_json_add_number(list, NULL, 1, 6, &failed);
    canary_json_add_number(list, NULL, 1000001, 6, &failed);
    canary_json_add_number(list, NULL, UINT64_MAX, 0, &failed);

    text = cJSON_PrintUnformatted(list);
    assert_string_equal(text, "[0,0,100,100,0.4,0.000001,1.000001,"
                              "18446744073709551615]");
    cJSON_free(text);
    cJSON_Delete(list);

    assert_false(failed);
    canary_json_add_number(NULL, "name", 1, 0, &failed);
    assert_true(failed);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_what_is_no_json),
        cmocka_unit_test(test_what_is_json),
        cmocka_unit_test(test_names_that_come_twice),
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_no_more_values_than_asked_for),
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_decimals),
        cmocka_unit_test(test_written_numbers)
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
