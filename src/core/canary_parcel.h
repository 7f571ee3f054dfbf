
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_PARCEL_H
#define CANARY_PARCEL_H


#include <stddef.h>
#include <stdint.h>


/*
 * Bytes of many endpoints in one text, as nodes of a fleet send their
 * cohorts, and a leader its orders and the state of its tests:
 *
 *     length, name, length, bytes, length, name ...
 *
 * with lengths as in canary_bytes.h.
 */


#define CANARY_PARCEL_HEAD   20        /* of both lengths, at most */


typedef struct {
    const uint8_t  *name;
    const uint8_t  *bytes;
    size_t          name_len;
    size_t          len;
} canary_parcel_part_t;


/*
 * Writes a part, for which there has to be room: CANARY_PARCEL_HEAD and both
 * lengths.  Returns how many bytes it has become.
 */

size_t canary_parcel_put(const canary_parcel_part_t *part, uint8_t *to);

/*
 * The part at *at, which becomes where the next one is.  Returns 1; 0: there
 * are no more; -1: what is there is not a part, whoever has written it.
 */

int canary_parcel_next(const uint8_t **at, const uint8_t *end,
    canary_parcel_part_t *part);


#endif /* CANARY_PARCEL_H */
