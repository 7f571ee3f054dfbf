
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_bytes.h"
#include "canary_parcel.h"


size_t
canary_parcel_put(const canary_parcel_part_t *part, uint8_t *to)
{
    canary_writer_t  writer = { to, to + CANARY_PARCEL_HEAD, 0 };

    canary_put(&writer, part->name_len);
    memcpy(writer.next, part->name, part->name_len);

    writer.next += part->name_len;
    writer.end += part->name_len;

    canary_put(&writer, part->len);
    memcpy(writer.next, part->bytes, part->len);

    return (size_t) (writer.next - to) + part->len;
}


int
canary_parcel_next(const uint8_t **at, const uint8_t *end,
    canary_parcel_part_t *part)
{
    canary_reader_t  reader = { *at, end, 0 };

    if (*at == end) {
        return 0;
    }

    part->name_len = canary_take(&reader, (uint64_t) (end - *at));

    if (part->name_len > (size_t) (reader.end - reader.next)) {
        return -1;
    }

    part->name = reader.next;
    reader.next += part->name_len;

    part->len = canary_take(&reader, (uint64_t) (end - *at));

    if (reader.wrong || part->len > (size_t) (reader.end - reader.next)) {
        return -1;
    }

    part->bytes = reader.next;
    *at = reader.next + part->len;

    return 1;
}
