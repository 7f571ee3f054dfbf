
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "canary_fleet_nodes.h"
#include "canary_fleet_record.h"
#include "canary_parcel.h"

#include "fuzz.h"


/*
 * Texts that lie in a fleet's Redis, by the first byte: the first line of a
 * record, members, what a node says of itself, names as words, and parcels.
 * What is taken is written the same.
 */


static void fuzz_record(const char *text, size_t len);
static void fuzz_members(const char *text, size_t len);
static void fuzz_presence(const char *text, size_t len);
static void fuzz_name(const char *text, size_t len);
static void fuzz_parcel(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char  *text;

    if (size == 0) {
        return 0;
    }

    /* of that length, and with no zero behind it */

    size--;
    text = malloc(size + (size == 0));
    fuzz_assert(text != NULL);
    memcpy(text, data + 1, size);

    switch (data[0] % 5) {

    case 0:
        fuzz_record(text, size);
        break;

    case 1:
        fuzz_members(text, size);
        break;

    case 2:
        fuzz_presence(text, size);
        break;

    case 3:
        fuzz_name(text, size);
        break;

    default:
        fuzz_parcel((uint8_t *) text, size);
        break;
    }

    free(text);

    return 0;
}


static void
fuzz_record(const char *text, size_t len)
{
    char                   line[CANARY_FLEET_LINE_SIZE], base[32];
    size_t                 end, printed;
    canary_fleet_record_t  record, again, told;

    end = canary_fleet_record_parse(text, len, &record);

    if (end == 0) {
        return;
    }

    fuzz_assert(end <= len && text[end - 1] == '\n');

    /* a name may have been escaped without need */

    printed = canary_fleet_record_print(&record, line);
    fuzz_assert(printed < sizeof(line) && printed <= end);
    fuzz_assert(canary_fleet_record_parse(line, printed, &again) == printed);
    fuzz_assert(memcmp(&record, &again, sizeof(record)) == 0);
    fuzz_assert(canary_fleet_record_order(&record, &again) == 0);
    fuzz_assert(!canary_fleet_record_raises(&record, &again));
    fuzz_assert(canary_fleet_record_base(&record, base) < sizeof(base));

    again.generation++;
    canary_fleet_record_tell(&record, &again, 1, &told);
    fuzz_assert(told.generation > again.generation);
}


static void
fuzz_members(const char *text, size_t len)
{
    int                            i, n;
    static canary_fleet_member_t   members[CANARY_FLEET_NODES];

    n = canary_fleet_members_parse(text, len, members);
    fuzz_assert(n >= -1 && n <= CANARY_FLEET_NODES);

    for (i = 0; i < n; i++) {
        fuzz_assert(canary_fleet_name_valid(members[i].name,
                                            strlen(members[i].name)));
    }
}


/* the first line is the name */

static void
fuzz_presence(const char *text, size_t len)
{
    size_t                size, lines;
    const char           *end, *at, *line;
    canary_fleet_node_t   node;

    end = memchr(text, '\n', len);

    if (end == NULL
        || !canary_fleet_node_parse(text, (size_t) (end - text), end + 1,
                                    len - (size_t) (end + 1 - text), &node))
    {
        return;
    }

    fuzz_assert(strlen(node.address) < CANARY_NAME_SIZE);

    at = node.lacks;
    lines = 0;

    while ((line = canary_fleet_next_lack(&node, &at, &size)) != NULL) {
        fuzz_assert(line >= text && line + size < text + len);
        fuzz_assert(memchr(line, '\n', size) == NULL);
        lines += size + 1;
    }

    fuzz_assert(lines <= node.lacks_len);
    (void) canary_fleet_nobody_has(&node, 1, node.last, 500, "shop endpoint");
}


static void
fuzz_name(const char *text, size_t len)
{
    char    name[256], word[CANARY_FLEET_WORD(256)], again[256];
    size_t  size, length;

    size = canary_fleet_unescape(text, len, name, sizeof(name));

    if (size == 0) {
        return;
    }

    length = canary_fleet_escape(name, size, word);
    fuzz_assert(length < sizeof(word) && strlen(word) == length);
    fuzz_assert(canary_fleet_unescape(word, length, again, sizeof(again))
                == size);
    fuzz_assert(strcmp(name, again) == 0);
}


static void
fuzz_parcel(const uint8_t *data, size_t size)
{
    int                    more;
    uint8_t               *copy, *to;
    const uint8_t         *at, *of;
    canary_parcel_part_t   part, same;

    at = data;

    while ((more = canary_parcel_next(&at, data + size, &part)) == 1) {
        fuzz_assert(at <= data + size);
        fuzz_assert(part.name_len + part.len <= size);

        copy = malloc(CANARY_PARCEL_HEAD + part.name_len + part.len);
        fuzz_assert(copy != NULL);

        to = copy + canary_parcel_put(&part, copy);
        of = copy;
        fuzz_assert(canary_parcel_next(&of, to, &same) == 1 && of == to);
        fuzz_assert(same.name_len == part.name_len && same.len == part.len);
        fuzz_assert(memcmp(same.name, part.name, part.name_len) == 0);
        fuzz_assert(memcmp(same.bytes, part.bytes, part.len) == 0);

        free(copy);
    }

    fuzz_assert(more <= 0);
}
