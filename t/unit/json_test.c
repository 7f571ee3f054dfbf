
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * JSON from outside: what is no JSON or no text, and what numbers are.
 */


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
        { "{\"a\":\"\xe2\x82\"}", 10, "not valid UTF-8 at byte 6" }
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
    refused("", "not valid JSON");

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
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_decimals),
        cmocka_unit_test(test_written_numbers)
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
