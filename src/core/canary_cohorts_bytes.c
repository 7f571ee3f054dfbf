
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stddef.h>
#include <string.h>

#include "canary_bytes.h"
#include "canary_cohorts.h"


/* What a node tells of its evidence, to bytes and back. */


#define CANARY_COHORTS_VERSION   1

#define CANARY_COHORT_MAX        (1u << 26)      /* attempts */
#define CANARY_STEP_MAX          (1ull << 60)
#define CANARY_SLOT_MAX          (1ull << 40)
#define CANARY_COHORT_SLOTS_MAX  100000

/* what a cohort's first byte says of it, beside what follows */

#define CANARY_COHORT_SETTLED    1
#define CANARY_COHORT_CURRENT    2
#define CANARY_COHORT_AWAY       4       /* not in the slot after the last */
#define CANARY_COHORT_LONG       8       /* than a slot */
#define CANARY_COHORT_STEP       16      /* of another than the last one */
#define CANARY_COHORT_SET        32      /* of others than the present ones */
#define CANARY_COHORT_SIDE       64      /* has attempts of stable; of canary:
                                            the double */

#define CANARY_SUM_TIME          13
#define CANARY_SUM_TIME_ONLY     14
#define CANARY_SUM_SLOW          15
#define CANARY_REST_TIME_ONLY    13
#define CANARY_REST_SLOW         14


static void canary_put_sums(canary_writer_t *writer,
    const canary_sums_t *sums, uint32_t nlimits);
static uint32_t canary_sums_mask(const canary_sums_t *sums, uint32_t nlimits);
static void canary_take_sums(canary_reader_t *reader, uint32_t nlimits,
    canary_sums_t *sums);
static void canary_put_rest(canary_writer_t *writer,
    const canary_rest_t *rest, uint32_t nlimits);
static void canary_take_rest(canary_reader_t *reader, uint32_t nlimits,
    canary_rest_t *rest);
static void canary_put_cohort(canary_writer_t *writer,
    const canary_cohorts_t *cohorts, uint32_t number);
static void canary_take_cohort(canary_reader_t *reader,
    canary_cohorts_t *cohorts, uint32_t number);
static void canary_take_slots(canary_reader_t *reader, uint32_t bits,
    const canary_cohorts_t *cohorts, canary_cohort_view_t *cohort,
    const canary_cohort_view_t *last);
static void canary_put_times(canary_writer_t *writer,
    const canary_times_mark_t *times);
static void canary_take_times(canary_reader_t *reader,
    canary_times_mark_t *times);


/* by their bits in a mask, those first that are seldom zero */

static const size_t  canary_sum_fields[] = {
    offsetof(canary_sums_t, started),
    offsetof(canary_sums_t, untimed),
    offsetof(canary_sums_t, in_flight),
    offsetof(canary_sums_t, bad_5xx),
    offsetof(canary_sums_t, bad_4xx),
    offsetof(canary_sums_t, timed),
    offsetof(canary_sums_t, unended),
    offsetof(canary_sums_t, left),
    offsetof(canary_sums_t, left_only),
    offsetof(canary_sums_t, timeless),
    offsetof(canary_sums_t, late.bad_5xx),
    offsetof(canary_sums_t, late.bad_4xx),
    offsetof(canary_sums_t, late.bad_both)
};

static const size_t  canary_rest_fields[] = {
    offsetof(canary_rest_t, counts.started),
    offsetof(canary_rest_t, counts.bad_4xx),
    offsetof(canary_rest_t, counts.bad_5xx),
    offsetof(canary_rest_t, counts.bad),
    offsetof(canary_rest_t, spent),
    offsetof(canary_rest_t, counts.timed),
    offsetof(canary_rest_t, counts.time),
    offsetof(canary_rest_t, counts.left),
    offsetof(canary_rest_t, counts.left_only),
    offsetof(canary_rest_t, voided),
    offsetof(canary_rest_t, overdue),
    offsetof(canary_rest_t, pending),
    offsetof(canary_rest_t, unended)
};


static inline size_t
canary_sum_field(unsigned bit, uint32_t nlimits)
{
    if (bit < CANARY_SUM_TIME) {
        return canary_sum_fields[bit];
    }

    bit -= CANARY_SUM_SLOW;

    return (bit < nlimits)
           ? offsetof(canary_sums_t, slow) + bit * sizeof(uint32_t)
           : offsetof(canary_sums_t, late_slow)
             + (bit - nlimits) * sizeof(uint32_t);
}


static inline uint32_t *
canary_sum_of(const canary_sums_t *sums, unsigned bit, uint32_t nlimits)
{
    return (uint32_t *) ((char *) sums + canary_sum_field(bit, nlimits));
}


static inline uint64_t *
canary_rest_of(const canary_rest_t *rest, unsigned bit)
{
    return (uint64_t *) ((char *) rest
                         + ((bit < CANARY_REST_TIME_ONLY)
                            ? canary_rest_fields[bit]
                            : offsetof(canary_rest_t, counts.slow)
                              + (bit - CANARY_REST_SLOW) * sizeof(uint64_t)));
}


size_t
canary_cohorts_encode(const canary_cohorts_t *cohorts, uint8_t *bytes,
    size_t size)
{
    unsigned         side;
    uint32_t         i;
    canary_writer_t  writer = { bytes, bytes + size, 0 };

    canary_put_tests(&writer, CANARY_COHORTS_VERSION, cohorts->number,
                     cohorts->trial);
    canary_put(&writer, cohorts->step);
    canary_put(&writer, cohorts->verdict);
    canary_put(&writer, cohorts->set + 1);
    canary_put(&writer, cohorts->nlimits);
    canary_put(&writer, cohorts->longest);
    canary_put(&writer, cohorts->slot);
    canary_put(&writer, cohorts->answered);
    canary_put(&writer, cohorts->timed);

    for (side = 0; side < CANARY_SIDES; side++) {
        canary_put_rest(&writer, &cohorts->rest[side], cohorts->nlimits);
        canary_put(&writer, cohorts->away[side]);

        if (cohorts->timed & 1u << side) {
            canary_put_times(&writer, &cohorts->times[side]);
        }
    }

    canary_put(&writer, cohorts->n);

    for (i = 0; i < cohorts->n; i++) {
        canary_put_cohort(&writer, cohorts, i);
    }

    return writer.full ? 0 : (size_t) (writer.next - bytes);
}


int
canary_cohorts_newer(const uint8_t *bytes, size_t len)
{
    return canary_bytes_newer(bytes, len, CANARY_COHORTS_VERSION);
}


int
canary_cohorts_decode(const uint8_t *bytes, size_t len,
    canary_cohorts_t *cohorts)
{
    unsigned         side;
    uint32_t         i;
    canary_reader_t  reader = { bytes, bytes + len, 0 };

    if (!canary_take_tests(&reader, CANARY_COHORTS_VERSION, &cohorts->number,
                           &cohorts->trial))
    {
        return 0;
    }

    cohorts->step = (uint32_t) canary_take(&reader, UINT32_MAX);
    cohorts->verdict = (uint32_t) canary_take(&reader, CANARY_FAILING);
    cohorts->set = (uint32_t) canary_take(&reader, UINT32_MAX) - 1;
    cohorts->nlimits = (uint32_t) canary_take(&reader, CANARY_LIMITS_MAX);
    cohorts->longest = (uint32_t) canary_take(&reader, CANARY_HISTOGRAM_NONE);
    cohorts->slot = canary_take(&reader, CANARY_SLOT_MAX);
    cohorts->answered = canary_take(&reader, UINT64_MAX);
    cohorts->timed = (uint32_t) canary_take(&reader, (1u << CANARY_SIDES) - 1);

    for (side = 0; side < CANARY_SIDES; side++) {
        canary_take_rest(&reader, cohorts->nlimits, &cohorts->rest[side]);
        cohorts->away[side] = canary_take(&reader, CANARY_STEP_MAX);

        if (cohorts->timed & 1u << side) {
            canary_take_times(&reader, &cohorts->times[side]);
        }
    }

    cohorts->n = (uint32_t) canary_take(&reader, CANARY_COHORTS);

    for (i = 0; i < cohorts->n && !reader.wrong; i++) {
        canary_take_cohort(&reader, cohorts, i);
    }

    return !reader.wrong && reader.next == reader.end;
}


static void
canary_put_cohort(canary_writer_t *writer, const canary_cohorts_t *cohorts,
    uint32_t number)
{
    unsigned                     side;
    uint32_t                     bits, step;
    uint64_t                     slot;
    const canary_cohort_view_t  *cohort;

    cohort = &cohorts->cohorts[number];
    slot = number ? cohort[-1].slot_end : cohorts->slot;
    step = number ? cohort[-1].step : cohorts->step;

    bits = (cohort->settled ? CANARY_COHORT_SETTLED : 0)
           | (cohort->ended ? 0 : CANARY_COHORT_CURRENT)
           | ((cohort->slot != slot) ? CANARY_COHORT_AWAY : 0)
           | ((cohort->slot_end != cohort->slot + 1) ? CANARY_COHORT_LONG : 0)
           | ((cohort->step != step) ? CANARY_COHORT_STEP : 0)
           | ((cohort->limit_set != cohorts->set) ? CANARY_COHORT_SET : 0);

    for (side = 0; side < CANARY_SIDES; side++) {
        if (canary_sums_mask(&cohort->sides[side], cohorts->nlimits)) {
            bits |= CANARY_COHORT_SIDE << side;
        }
    }

    canary_put(writer, bits);

    if (bits & CANARY_COHORT_AWAY) {
        canary_put_signed(writer, (int64_t) (cohort->slot - slot));
    }

    if (bits & CANARY_COHORT_LONG) {
        canary_put(writer, cohort->slot_end - cohort->slot);
    }

    if (bits & CANARY_COHORT_STEP) {
        canary_put_signed(writer, (int32_t) (cohort->step - step));
    }

    if (bits & CANARY_COHORT_SET) {
        canary_put(writer, cohort->limit_set + 1);
    }

    for (side = 0; side < CANARY_SIDES; side++) {
        if (bits & CANARY_COHORT_SIDE << side) {
            canary_put_sums(writer, &cohort->sides[side], cohorts->nlimits);
        }
    }
}


static void
canary_take_cohort(canary_reader_t *reader, canary_cohorts_t *cohorts,
    uint32_t number)
{
    unsigned               side;
    uint32_t               bits;
    canary_cohort_view_t  *cohort;

    cohort = &cohorts->cohorts[number];
    memset(cohort, 0, sizeof(canary_cohort_view_t));

    bits = (uint32_t) canary_take(reader, (CANARY_COHORT_SIDE
                                           << CANARY_SIDES) - 1);

    canary_take_slots(reader, bits, cohorts, cohort,
                      number ? cohort - 1 : NULL);

    cohort->number = (uint32_t) cohort->slot;
    cohort->settled = (bits & CANARY_COHORT_SETTLED) != 0;
    cohort->began = cohort->slot * CANARY_SLOT_MS;
    cohort->limit_set = cohorts->set;

    if (!(bits & CANARY_COHORT_CURRENT)) {
        cohort->ended = cohort->slot_end * CANARY_SLOT_MS;
    }

    if (bits & CANARY_COHORT_SET) {
        cohort->limit_set = (uint32_t) canary_take(reader, UINT32_MAX) - 1;
    }

    for (side = 0; side < CANARY_SIDES; side++) {
        if (bits & CANARY_COHORT_SIDE << side) {
            canary_take_sums(reader, cohorts->nlimits, &cohort->sides[side]);
        }
    }
}


/* steps do not fall, nor in a step slots; only the last may be current */

static void
canary_take_slots(canary_reader_t *reader, uint32_t bits,
    const canary_cohorts_t *cohorts, canary_cohort_view_t *cohort,
    const canary_cohort_view_t *last)
{
    uint64_t  length;

    cohort->slot = last ? last->slot_end : cohorts->slot;
    cohort->step = last ? last->step : cohorts->step;
    length = 1;

    if (bits & CANARY_COHORT_AWAY) {
        cohort->slot += (uint64_t) canary_take_signed(reader, CANARY_SLOT_MAX);
    }

    if (bits & CANARY_COHORT_LONG) {
        length = canary_take(reader, CANARY_COHORT_SLOTS_MAX);
    }

    if (bits & CANARY_COHORT_STEP) {
        cohort->step += (uint32_t) canary_take_signed(reader, INT32_MAX);
    }

    cohort->slot_end = cohort->slot + length;

    if (cohort->slot == 0 || cohort->slot > CANARY_SLOT_MAX || length == 0
        || (int32_t) (cohorts->step - cohort->step) < 0
        || (last && (last->ended == 0
                     || (int32_t) (cohort->step - last->step) < 0
                     || (cohort->step == last->step
                         && cohort->slot < last->slot_end))))
    {
        (void) canary_take_wrong(reader);
    }
}


static uint32_t
canary_sums_mask(const canary_sums_t *sums, uint32_t nlimits)
{
    unsigned  bit;
    uint32_t  mask;

    mask = (sums->time ? 1u << CANARY_SUM_TIME : 0)
           | (sums->time_only ? 1u << CANARY_SUM_TIME_ONLY : 0);

    for (bit = 0; bit < CANARY_SUM_SLOW + 2 * nlimits; bit++) {
        if (bit != CANARY_SUM_TIME && bit != CANARY_SUM_TIME_ONLY
            && *canary_sum_of(sums, bit, nlimits))
        {
            mask |= 1u << bit;
        }
    }

    return mask;
}


static void
canary_put_sums(canary_writer_t *writer, const canary_sums_t *sums,
    uint32_t nlimits)
{
    unsigned  bit;
    uint32_t  mask;

    mask = canary_sums_mask(sums, nlimits);
    canary_put(writer, mask);

    for ( /* void */ ; mask; mask &= mask - 1) {
        bit = (unsigned) __builtin_ctz(mask);

        if (bit == CANARY_SUM_TIME) {
            canary_put(writer, sums->time);

        } else if (bit == CANARY_SUM_TIME_ONLY) {
            canary_put_signed(writer, (int32_t) sums->time_only);

        } else {
            canary_put(writer, *canary_sum_of(sums, bit, nlimits));
        }
    }
}


/* into what is all zero */

static void
canary_take_sums(canary_reader_t *reader, uint32_t nlimits,
    canary_sums_t *sums)
{
    unsigned  bit;
    uint32_t  mask;

    mask = (uint32_t) canary_take(reader,
                                  (1ull << (CANARY_SUM_SLOW + 2 * nlimits))
                                  - 1);

    for ( /* void */ ; mask; mask &= mask - 1) {
        bit = (unsigned) __builtin_ctz(mask);

        if (bit == CANARY_SUM_TIME) {
            sums->time = canary_take(reader, CANARY_STEP_MAX);

        } else if (bit == CANARY_SUM_TIME_ONLY) {
            sums->time_only = (uint32_t) canary_take_signed(reader,
                                                        CANARY_COHORT_MAX);
        } else {
            *canary_sum_of(sums, bit, nlimits)
                = (uint32_t) canary_take(reader, CANARY_COHORT_MAX);
        }
    }
}


static void
canary_put_rest(canary_writer_t *writer, const canary_rest_t *rest,
    uint32_t nlimits)
{
    unsigned  bit;
    uint32_t  mask;

    mask = rest->counts.time_only ? 1u << CANARY_REST_TIME_ONLY : 0;

    for (bit = 0; bit < CANARY_REST_SLOW + nlimits; bit++) {
        if (bit != CANARY_REST_TIME_ONLY && *canary_rest_of(rest, bit)) {
            mask |= 1u << bit;
        }
    }

    canary_put(writer, mask);

    for ( /* void */ ; mask; mask &= mask - 1) {
        bit = (unsigned) __builtin_ctz(mask);

        if (bit == CANARY_REST_TIME_ONLY) {
            canary_put_signed(writer, (int64_t) rest->counts.time_only);

        } else {
            canary_put(writer, *canary_rest_of(rest, bit));
        }
    }
}


static void
canary_take_rest(canary_reader_t *reader, uint32_t nlimits,
    canary_rest_t *rest)
{
    unsigned  bit;
    uint32_t  mask;

    memset(rest, 0, sizeof(canary_rest_t));

    mask = (uint32_t) canary_take(reader,
                                  (1u << (CANARY_REST_SLOW + nlimits)) - 1);

    for ( /* void */ ; mask; mask &= mask - 1) {
        bit = (unsigned) __builtin_ctz(mask);

        if (bit == CANARY_REST_TIME_ONLY) {
            rest->counts.time_only
                = (uint64_t) canary_take_signed(reader, CANARY_STEP_MAX);

        } else {
            *canary_rest_of(rest, bit) = canary_take(reader, CANARY_STEP_MAX);
        }
    }
}


/* of those that are not zero, how many buckets after the last, and how many */

static void
canary_put_times(canary_writer_t *writer, const canary_times_mark_t *times)
{
    uint32_t  i, n, last;

    for (i = 0, n = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        n += (times->counts[i] != 0);
    }

    canary_put(writer, n);

    for (i = 0, last = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        if (times->counts[i]) {
            canary_put(writer, i - last);
            canary_put(writer, times->counts[i]);
            last = i;
        }
    }
}


static void
canary_take_times(canary_reader_t *reader, canary_times_mark_t *times)
{
    uint32_t  i, n;

    memset(times, 0, sizeof(canary_times_mark_t));

    n = (uint32_t) canary_take(reader, CANARY_HISTOGRAM_BUCKETS);

    for (i = 0; n; n--) {
        i += (uint32_t) canary_take(reader, CANARY_HISTOGRAM_BUCKETS - 1 - i);
        times->counts[i] = (uint32_t) canary_take(reader, UINT32_MAX);
    }
}
