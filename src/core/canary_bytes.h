
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_BYTES_H
#define CANARY_BYTES_H


#include <stddef.h>
#include <stdint.h>
#include <string.h>


/*
 * Numbers in bytes, as nodes of a fleet send them: 7 bits a byte, the low ones
 * first, each but the last with 0x80.  Whoever writes or reads looks only in
 * the end whether there was room, and whether all of it was right.
 */


typedef struct {
    uint8_t        *next;
    uint8_t        *end;
    int             full;      /* there was no room: what was written is void */
} canary_writer_t;


typedef struct {
    const uint8_t  *next;
    const uint8_t  *end;
    int             wrong;     /* what is read from then on is 0 */
} canary_reader_t;


static inline void
canary_put(canary_writer_t *writer, uint64_t n)
{
    for ( ;; ) {

        if (writer->next == writer->end) {
            writer->full = 1;
            return;
        }

        if (n < 0x80) {
            *writer->next++ = (uint8_t) n;
            return;
        }

        *writer->next++ = (uint8_t) (n | 0x80);
        n >>= 7;
    }
}


/* whether bytes begin with a higher version than that */

static inline int
canary_bytes_newer(const uint8_t *bytes, size_t len, uint8_t version)
{
    return len > 0 && bytes[0] > version && bytes[0] < 0x80;
}


/* a number that may be below zero: 0, -1, 1, -2 ... as 0, 1, 2, 3 ... */

static inline void
canary_put_signed(canary_writer_t *writer, int64_t n)
{
    canary_put(writer, (uint64_t) n << 1 ^ -(uint64_t) (n < 0));
}


/* its eight bytes, the low ones first */

static inline void
canary_put_double(canary_writer_t *writer, double n)
{
    int       i;
    uint64_t  bits;

    memcpy(&bits, &n, sizeof(bits));

    if (writer->end - writer->next < 8) {
        writer->full = 1;
        return;
    }

    for (i = 0; i < 8; i++) {
        *writer->next++ = (uint8_t) (bits >> 8 * i);
    }
}


static inline uint64_t
canary_take_wrong(canary_reader_t *reader)
{
    reader->wrong = 1;
    reader->next = reader->end;

    return 0;
}


/* 0 to max */

static inline uint64_t
canary_take(canary_reader_t *reader, uint64_t max)
{
    uint64_t  n;
    unsigned  shift;

    n = 0;

    for (shift = 0; shift < 64; shift += 7) {

        if (reader->next == reader->end
            || (shift == 63 && *reader->next > 1))
        {
            break;
        }

        n |= (uint64_t) (*reader->next & 0x7f) << shift;

        if (*reader->next++ < 0x80) {
            return (n <= max) ? n : canary_take_wrong(reader);
        }
    }

    return canary_take_wrong(reader);
}


/* -max to max */

static inline int64_t
canary_take_signed(canary_reader_t *reader, int64_t max)
{
    int64_t   n;
    uint64_t  bits;

    bits = canary_take(reader, UINT64_MAX);
    n = (int64_t) (bits >> 1) ^ -(int64_t) (bits & 1);

    return (n >= -max && n <= max) ? n : (int64_t) canary_take_wrong(reader);
}


/* min to max */

static inline double
canary_take_double(canary_reader_t *reader, double min, double max)
{
    int       i;
    double    n;
    uint64_t  bits;

    if (reader->end - reader->next < 8) {
        return (double) canary_take_wrong(reader);
    }

    for (i = 0, bits = 0; i < 8; i++) {
        bits |= (uint64_t) *reader->next++ << 8 * i;
    }

    memcpy(&n, &bits, sizeof(n));

    return (n >= min && n <= max) ? n : (double) canary_take_wrong(reader);
}


/* what is about the tests of a rollout begins with its version, and whose */

static inline void
canary_put_tests(canary_writer_t *writer, uint32_t version, uint32_t number,
    uint32_t trial)
{
    canary_put(writer, version);
    canary_put(writer, number);
    canary_put(writer, trial);
}


/* 0: of another version */

static inline int
canary_take_tests(canary_reader_t *reader, uint32_t version, uint32_t *number,
    uint32_t *trial)
{
    if (canary_take(reader, UINT32_MAX) != version) {
        return 0;
    }

    *number = (uint32_t) canary_take(reader, UINT32_MAX);
    *trial = (uint32_t) canary_take(reader, UINT32_MAX);

    return 1;
}


#endif /* CANARY_BYTES_H */
