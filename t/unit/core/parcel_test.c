
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "unit.h"
#include "canary_parcel.h"


static size_t
put(const char *name, const char *bytes, size_t len, uint8_t *to)
{
    canary_parcel_part_t  part;

    part.name = (const uint8_t *) name;
    part.name_len = strlen(name);
    part.bytes = (const uint8_t *) bytes;
    part.len = len;

    return canary_parcel_put(&part, to);
}


static void
parts_come_back_as_they_were(void **state)
{
    size_t          len;
    uint8_t         parcel[1000];
    char            large[300];
    canary_parcel_part_t   part;
    const uint8_t  *at, *end;

    (void) state;

    memset(large, 'x', sizeof(large));

    len = put("shop", "a\0b", 3, parcel);
    len += put("", "", 0, parcel + len);
    len += put("large", large, sizeof(large), parcel + len);

    at = parcel;
    end = parcel + len;

    assert_int_equal(canary_parcel_next(&at, end, &part), 1);
    assert_int_equal(part.name_len, 4);
    assert_memory_equal(part.name, "shop", 4);
    assert_int_equal(part.len, 3);
    assert_memory_equal(part.bytes, "a\0b", 3);

    assert_int_equal(canary_parcel_next(&at, end, &part), 1);
    assert_int_equal(part.name_len, 0);
    assert_int_equal(part.len, 0);

    assert_int_equal(canary_parcel_next(&at, end, &part), 1);
    assert_int_equal(part.len, sizeof(large));
    assert_memory_equal(part.bytes, large, sizeof(large));

    assert_int_equal(canary_parcel_next(&at, end, &part), 0);
}


/* wherever it ends, no part reaches beyond, and no byte is read there */

static void
what_is_cut_off_is_no_part(void **state)
{
    size_t          len, cut;
    uint8_t         parcel[100], *copy;
    canary_parcel_part_t   part;
    const uint8_t  *at;

    (void) state;

    len = put("shop", "some bytes", 10, parcel);

    for (cut = 1; cut < len; cut++) {
        copy = malloc(cut);
        assert_non_null(copy);
        memcpy(copy, parcel, cut);

        at = copy;
        assert_int_equal(canary_parcel_next(&at, copy + cut, &part), -1);

        free(copy);
    }
}


static void
lengths_that_are_too_large_are_refused(void **state)
{
    canary_parcel_part_t   part;
    const uint8_t  *at;

    static const uint8_t  name[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    static const uint8_t  bytes[] = "\x01x\xff\xff\xff\xff\x0f....";

    (void) state;

    at = name;
    assert_int_equal(canary_parcel_next(&at, name + sizeof(name) - 1, &part),
                     -1);

    at = bytes;
    assert_int_equal(canary_parcel_next(&at, bytes + sizeof(bytes) - 1, &part),
                     -1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(parts_come_back_as_they_were),
        cmocka_unit_test(what_is_cut_off_is_no_part),
        cmocka_unit_test(lengths_that_are_too_large_are_refused)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
