
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_failures.h"

#include "canary_rollout.h"
#include "canary_route.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_generation.h"
#include "ngx_canary_remember.h"
#include "ngx_canary_shared.h"


/*
 * The last failed attempts on the canary, for people who want to know what it
 * fails on: such as are bad evidence as 5xx.  A worker writes down what it
 * has just seen fail, so that what works costs nothing.
 *
 * A ring belongs to the rollout whose number it has, and is empty for all
 * others: none has to be cleared when a rollout begins.
 */


static void ngx_canary_put_failure(ngx_canary_shared_t *shared,
    const ngx_canary_failure_t *failure);


void
ngx_canary_add_failure(ngx_canary_endpoint_t *endpoint,
    uint32_t epoch, ngx_canary_failure_t *failure)
{
    canary_rollout_t        *rollout;
    ngx_canary_shared_t     *shared;
    ngx_canary_main_conf_t  *cmcf;

    cmcf = endpoint->main;
    shared = endpoint->shared;

    ngx_canary_lock(cmcf->zone);

    rollout = &ngx_canary_record(shared)->rollout;

    /* another process may have ended it meanwhile */

    if (!cmcf->zone->superseded && rollout->phase != CANARY_IDLE
        && (rollout->number & CANARY_EPOCH_MASK) == epoch)
    {
        failure->step = rollout->step;
        failure->weight = rollout->weight;

        ngx_canary_put_failure(shared, failure);
    }

    ngx_canary_unlock(cmcf->zone);
}


/*
 * Under the lock.  There is one place more than is shown: a process that dies
 * here leaves those that were there.
 */

static void
ngx_canary_put_failure(ngx_canary_shared_t *shared,
    const ngx_canary_failure_t *failure)
{
    uint32_t                number;
    ngx_canary_failures_t  *failures;

    failures = shared->failures;

    if (failures == NULL) {
        failures = ngx_canary_alloc_for(shared->zone,
                                      ngx_canary_configured(shared),
                                      sizeof(ngx_canary_failures_t));
        if (failures == NULL) {
            return;
        }

        ngx_memzero(failures, sizeof(ngx_canary_failures_t));

        shared->failures = failures;
    }

    number = ngx_canary_record(shared)->rollout.number;

    if (failures->rollout != number) {
        failures->n = 0;
        __atomic_store_n(&failures->rollout, number, __ATOMIC_RELEASE);
    }

    failures->ring[failures->n % (NGX_CANARY_FAILURES + 1)] = *failure;

    __atomic_store_n(&failures->n, failures->n + 1, __ATOMIC_RELEASE);
}


ngx_int_t
ngx_canary_failure_before(ngx_canary_endpoint_t *endpoint,
    uint32_t *rollout, uint64_t *number, ngx_canary_failure_t *failure)
{
    uint64_t                newest;
    uint32_t                present;
    ngx_int_t               rc;
    ngx_canary_shared_t    *shared;
    ngx_canary_failures_t  *failures;

    shared = endpoint->shared;
    rc = NGX_DECLINED;

    ngx_canary_lock(endpoint->main->zone);

    present = ngx_canary_record(shared)->rollout.number;

    if (*number == NGX_CANARY_NEWEST) {
        *rollout = present;
    }

    failures = shared->failures;

    newest = (failures && failures->rollout == present && present == *rollout)
             ? failures->n : 0;

    *number = ngx_min(*number, newest);

    if (*number && newest - *number < NGX_CANARY_FAILURES) {
        (*number)--;

        *failure = failures->ring[*number % (NGX_CANARY_FAILURES + 1)];
        rc = NGX_OK;
    }

    ngx_canary_unlock(endpoint->main->zone);

    return rc;
}


void
ngx_canary_copy_failures(ngx_canary_shared_t *to, ngx_canary_shared_t *from)
{
    if (from->failures == NULL) {
        return;
    }

    if (to->failures == NULL) {
        to->failures = ngx_slab_alloc_locked(to->zone->pool,
                                          sizeof(ngx_canary_failures_t));
    }

    if (to->failures) {
        *to->failures = *from->failures;
    }
}
