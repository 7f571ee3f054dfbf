
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_key.h"
#include "canary_once.h"


#define ONCE          600000u    /* ms */
#define NOW           987654321u
#define KEYS_MAX      40000u
#define WINDOWS       20u
#define PER_WINDOW    5u         /* attempts of a key */
#define THREADS       4u
#define SHARED_KEYS   1500u
#define ROUNDS        20u


/* What is expected: when keys have counted, exactly. */

typedef struct {
    uint64_t  counted[KEYS_MAX];     /* ms; 0: never */
    unsigned  attempts;
    unsigned  repeats;
    unsigned  mistaken;              /* for repeats */
    unsigned  forgotten;             /* counted again too soon */
} model_t;


typedef struct {
    canary_once_t  *keys;
    uint32_t       *ready;
    uint64_t        now;
    const uint32_t *hashes;          /* [SHARED_KEYS] */
    unsigned        gives;           /* back those that it took */
    uint8_t         first[SHARED_KEYS];
} worker_t;


static uint32_t
hash_of(uint32_t rollout, uint32_t n)
{
    char  key[32];

    (void) snprintf(key, sizeof(key), "session-%u", n);

    return (uint32_t) canary_key_hash(canary_key_salt("some-path", 9), rollout,
                                      key, strlen(key));
}


static canary_once_t *
table(void)
{
    canary_once_t  *keys;

    keys = calloc(1, sizeof(canary_once_t));
    assert_non_null(keys);

    return keys;
}


static uint32_t
places_used(canary_once_t *keys)
{
    uint32_t  n, used;

    used = 0;

    for (n = 0; n < CANARY_ONCE_PLACES; n++) {
        used += (keys->places[n] >> 16 != 0);
    }

    return used;
}


static void
a_key_counts_once_in_the_time(void **state)
{
    uint32_t        hash;
    uint64_t        now, once;
    canary_once_t  *keys;
    unsigned        i, n;

    static const uint64_t  onces[] = {
        1, 50, 255, 256, 1000, 60000, ONCE, 86400000, 365ull * 86400000
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(onces); i++) {
        once = onces[i];
        keys = table();
        now = 1;

        for (n = 0; n < 1000; n++) {
            hash = hash_of(1, 7);

            assert_true(canary_once_take(keys, hash, now, once));
            assert_false(canary_once_take(keys, hash, now, once));
            assert_false(canary_once_take(keys, hash, now + once / 2, once));
            assert_false(canary_once_take(keys, hash, now + once * 254 / 256,
                                          once));
            now += once + once / 256 + 1;
        }

        free(keys);
    }
}


static void
rollouts_have_keys_of_their_own(void **state)
{
    uint32_t        n, again;
    canary_once_t  *keys;

    (void) state;

    keys = table();
    again = 0;

    for (n = 0; n < 1000; n++) {
        assert_true(canary_once_take(keys, hash_of(1, n), NOW, ONCE));
    }

    for (n = 0; n < 1000; n++) {
        again += (canary_once_take(keys, hash_of(2, n), NOW, ONCE) != 0);
    }

    assert_in_range(again, 999, 1000);

    free(keys);
}


/* nor does what is in the table make them wait */

static void
another_time_begins_anew(void **state)
{
    uint32_t        n, again;
    canary_once_t  *keys;

    (void) state;

    keys = table();
    again = 0;

    for (n = 0; n < 1000; n++) {
        assert_true(canary_once_take(keys, hash_of(1, n), NOW, ONCE));
    }

    for (n = 0; n < 1000; n++) {
        again += (canary_once_take(keys, hash_of(1, n), NOW, 1000) != 0);
    }

    assert_in_range(again, 999, 1000);

    for (n = 0; n < 1000; n++) {
        assert_false(canary_once_take(keys, hash_of(1, n), NOW, 1000));
    }

    free(keys);
}


static void
a_clock_that_was_read_a_little_before_does_not_count_again(void **state)
{
    uint32_t        n, late;
    canary_once_t  *keys;

    (void) state;

    for (late = 0; late < ONCE; late += ONCE / 50) {
        keys = table();

        for (n = 0; n < 100; n++) {
            assert_true(canary_once_take(keys, hash_of(1, n), NOW, ONCE));
            assert_false(canary_once_take(keys, hash_of(1, n), NOW - late,
                                          ONCE));
        }

        free(keys);
    }
}


static void
what_is_given_back_counts_again(void **state)
{
    uint32_t        n, hash, taken, later;
    canary_once_t  *keys;

    (void) state;

    keys = table();

    for (n = 0; n < 1000; n++) {
        hash = hash_of(1, n);

        taken = canary_once_take(keys, hash, NOW, ONCE);
        assert_true(taken);
        assert_false(canary_once_take(keys, hash, NOW, ONCE));

        canary_once_give_back(keys, hash, ONCE, taken);

        later = canary_once_take(keys, hash, NOW + ONCE / 4, ONCE);
        assert_true(later);

        /* what has been given back is no more, and not that of others */

        canary_once_give_back(keys, hash, ONCE, taken);
        assert_false(canary_once_take(keys, hash, NOW + ONCE / 2, ONCE));

        canary_once_give_back(keys, hash, ONCE, later);
    }

    assert_int_equal(places_used(keys), 0);

    free(keys);
}


/* the first that counted, but for those whose time is over */

static void
a_set_that_is_full_forgets_its_oldest(void **state)
{
    uint32_t        n;
    canary_once_t  *keys;

    (void) state;

    keys = table();

    for (n = 1; n <= 4; n++) {
        assert_true(canary_once_take(keys, n, NOW + n * ONCE / 8, ONCE));
    }

    for (n = 1; n <= 4; n++) {
        assert_false(canary_once_take(keys, n, NOW + ONCE * 5 / 8, ONCE));
    }

    assert_true(canary_once_take(keys, 5, NOW + ONCE * 5 / 8, ONCE));

    for (n = 2; n <= 5; n++) {
        assert_false(canary_once_take(keys, n, NOW + ONCE * 6 / 8, ONCE));
    }

    assert_true(canary_once_take(keys, 1, NOW + ONCE * 6 / 8, ONCE));
    assert_true(canary_once_take(keys, 2, NOW + ONCE * 7 / 8, ONCE));

    free(keys);
}


/* as the time goes round, in 256 times the time */

static void
what_is_old_is_taken_for_young_as_seldom_as_said(void **state)
{
    uint32_t        n, mistaken;
    uint64_t        seed, idle;
    canary_once_t  *keys;

    (void) state;

    keys = table();
    seed = 1;
    mistaken = 0;

    for (n = 0; n < 20000; n++) {
        (void) memset(keys, 0, sizeof(canary_once_t));

        idle = 2 * (uint64_t) ONCE
               + ((uint64_t) unit_random(&seed) << 8) % (1024ull * ONCE);

        (void) canary_once_take(keys, hash_of(1, n), NOW, ONCE);
        mistaken += !canary_once_take(keys, hash_of(1, n), NOW + idle, ONCE);
    }

    /* 2 of 256 */

    assert_in_range(mistaken, 100, 220);

    free(keys);
}


static void
model_try(model_t *model, canary_once_t *keys, uint32_t n, uint64_t now)
{
    int       fits;
    uint64_t  since;

    model->attempts++;

    since = model->counted[n] ? now - model->counted[n] : 2 * ONCE;
    fits = (since > ONCE - ONCE / 256 && since < ONCE + ONCE / 256);

    if (canary_once_take(keys, hash_of(1, n), now, ONCE)) {
        model->forgotten += (since < ONCE && !fits);
        model->counted[n] = now;

    } else {
        model->repeats++;
        model->mistaken += (since >= ONCE && !fits);
    }
}


/* attempts of so many keys at random, for so many times "once" */

static model_t *
model_run(uint32_t nkeys)
{
    model_t        *model;
    uint64_t        seed, n, all;
    canary_once_t  *keys;

    model = calloc(1, sizeof(model_t));
    assert_non_null(model);

    keys = table();
    seed = 4711;
    all = (uint64_t) nkeys * PER_WINDOW * WINDOWS;

    for (n = 0; n < all; n++) {
        model_try(model, keys, unit_below(&seed, nkeys),
                  NOW + n * ONCE / (nkeys * PER_WINDOW));
    }

    free(keys);

    return model;
}


static void
collisions_do_little(void **state)
{
    unsigned   i;
    model_t   *model;

    /* of 10,000 attempts of keys that have counted, those that count again;
       measured: 0, 25, 355, 1841 */

    static const struct {
        unsigned  keys;
        unsigned  forgotten;
    } rows[] = {
        { 1000, 3 }, { 2000, 40 }, { 4000, 500 }, { 8000, 2500 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(rows); i++) {
        model = model_run(rows[i].keys);

        assert_true(model->forgotten * 10000ull
                    <= (model->repeats + model->forgotten)
                       * (uint64_t) rows[i].forgotten);

        assert_true(model->mistaken * 1000
                    <= model->attempts - model->repeats);

        free(model);
    }
}


/* one that asks all the time counts as one of 8,000 does; measured: 146 times,
   beside 1,199,929 others, of whom 71 are taken for such as have counted */

static void
one_key_among_many_is_forgotten_seldom(void **state)
{
    unsigned        one, others;
    uint32_t        n;
    uint64_t        now;
    canary_once_t  *keys;

    (void) state;

    keys = table();
    one = 0;
    others = 0;

    /* 5 a second beside 2,000 new ones a second, for 10 minutes */

    for (n = 1; n < 1200000; n++) {
        now = NOW + n / 2;
        others += (canary_once_take(keys, hash_of(1, n), now, ONCE) != 0);

        if (n % 400 == 0) {
            one += (canary_once_take(keys, hash_of(1, 0), now, ONCE) != 0);
        }
    }

    assert_in_range(others, 1199800, 1200000);
    assert_true((uint64_t) one * 7000 < others);

    free(keys);
}


static void *
worker_main(void *data)
{
    uint32_t   n, taken;
    worker_t  *worker = data;

    (void) __atomic_fetch_add(worker->ready, 1, __ATOMIC_RELEASE);

    while (__atomic_load_n(worker->ready, __ATOMIC_ACQUIRE) < THREADS) {
        sched_yield();
    }

    for (n = 0; n < SHARED_KEYS; n++) {
        taken = canary_once_take(worker->keys, worker->hashes[n], worker->now,
                                 ONCE);

        worker->first[n] = (taken != 0);

        if (taken && worker->gives) {
            canary_once_give_back(worker->keys, worker->hashes[n], ONCE,
                                  taken);
        }
    }

    return NULL;
}


/* keys of which none is taken for another, and none has to be forgotten */

static void
make_hashes(uint32_t *hashes, unsigned rollout)
{
    uint32_t        n, found;
    canary_once_t  *keys;

    keys = table();

    for (n = 0, found = 0; found < SHARED_KEYS; n++) {
        hashes[found] = hash_of(rollout, n);

        (void) canary_once_take(keys, hashes[found], NOW, ONCE);

        found += (places_used(keys) > found);
    }

    free(keys);
}


static void
run_workers(worker_t *workers, canary_once_t *keys, const uint32_t *hashes,
    unsigned gives)
{
    uint32_t   i, ready;
    pthread_t  threads[THREADS];

    ready = 0;

    for (i = 0; i < THREADS; i++) {
        workers[i].keys = keys;
        workers[i].ready = &ready;
        workers[i].now = NOW - i;
        workers[i].hashes = hashes;
        workers[i].gives = gives;

        assert_int_equal(pthread_create(&threads[i], NULL, worker_main,
                                        &workers[i]), 0);
    }

    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}


static void
of_many_threads_one_is_the_first(void **state)
{
    unsigned        round, n, i, firsts;
    uint32_t        hashes[SHARED_KEYS];
    worker_t       *workers;
    canary_once_t  *keys;

    (void) state;

    workers = calloc(THREADS, sizeof(worker_t));
    assert_non_null(workers);

    for (round = 0; round < ROUNDS; round++) {
        keys = table();

        make_hashes(hashes, round);
        run_workers(workers, keys, hashes, 0);

        for (n = 0; n < SHARED_KEYS; n++) {
            firsts = 0;

            for (i = 0; i < THREADS; i++) {
                firsts += workers[i].first[n];
            }

            assert_int_equal(firsts, 1);
        }

        free(keys);
    }

    free(workers);
}


static void
threads_that_give_back_leave_nothing(void **state)
{
    uint32_t        hashes[SHARED_KEYS];
    worker_t       *workers;
    canary_once_t  *keys;

    (void) state;

    workers = calloc(THREADS, sizeof(worker_t));
    assert_non_null(workers);

    keys = table();

    make_hashes(hashes, 1);
    run_workers(workers, keys, hashes, 1);

    assert_int_equal(places_used(keys), 0);

    free(keys);
    free(workers);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_counts_once_in_the_time),
        cmocka_unit_test(rollouts_have_keys_of_their_own),
        cmocka_unit_test(another_time_begins_anew),
        cmocka_unit_test(
            a_clock_that_was_read_a_little_before_does_not_count_again),
        cmocka_unit_test(what_is_given_back_counts_again),
        cmocka_unit_test(a_set_that_is_full_forgets_its_oldest),
        cmocka_unit_test(what_is_old_is_taken_for_young_as_seldom_as_said),
        cmocka_unit_test(collisions_do_little),
        cmocka_unit_test(one_key_among_many_is_forgotten_seldom),
        cmocka_unit_test(of_many_threads_one_is_the_first),
        cmocka_unit_test(threads_that_give_back_leave_nothing)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
