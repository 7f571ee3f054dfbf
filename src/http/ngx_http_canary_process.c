
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"


/*
 * Each worker has a slot of its own to count evidence in, also while workers
 * of two configurations live beside each other.  The table of processes tells
 * whose slot is whose, so that what a killed worker had in flight can be taken
 * out, and which configurations are still in use.
 */


static ngx_http_canary_process_t *ngx_http_canary_own_process(
    ngx_http_canary_zone_shared_t *sh);
static ngx_http_canary_process_t *ngx_http_canary_free_process(
    ngx_http_canary_zone_shared_t *sh);
static ngx_uint_t ngx_http_canary_free_slot(
    ngx_http_canary_zone_shared_t *sh);
static void ngx_http_canary_use_slot(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_uint_t slot);
static ngx_uint_t ngx_http_canary_slot_owners(
    ngx_http_canary_zone_shared_t *sh, ngx_uint_t slot);
static void ngx_http_canary_clear_slot(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_process_t *process);


ngx_uint_t  ngx_http_canary_slot;


void
ngx_http_canary_enter_process(ngx_http_canary_main_conf_t *cmcf)
{
    ngx_http_canary_process_t      *process;
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;

    ngx_shmtx_lock(&cmcf->shpool->mutex);

    ngx_http_canary_reap(sh, cmcf->shpool, ngx_http_canary_milliseconds());

    process = ngx_http_canary_own_process(sh);

    if (process == NULL) {
        ngx_http_canary_slot = ngx_http_canary_free_slot(sh);
        process = ngx_http_canary_free_process(sh);
    }

    if (process) {
        process->serial = cmcf->serial;
        process->slot = ngx_http_canary_slot;

        __atomic_store_n(&process->pid, ngx_pid, __ATOMIC_RELEASE);
    }

    ngx_http_canary_use_slot(sh, cmcf->shpool, ngx_http_canary_slot);

    ngx_shmtx_unlock(&cmcf->shpool->mutex);
}


void
ngx_http_canary_leave_process(ngx_http_canary_main_conf_t *cmcf)
{
    ngx_http_canary_process_t      *process;
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;

    ngx_shmtx_lock(&cmcf->shpool->mutex);

    process = ngx_http_canary_own_process(sh);

    if (process) {
        ngx_http_canary_clear_slot(sh, process);
    }

    ngx_shmtx_unlock(&cmcf->shpool->mutex);
}


void
ngx_http_canary_reap(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, uint64_t now)
{
    ngx_uint_t                  i, found;
    ngx_http_canary_process_t  *process;

    found = 0;

    for (i = 0; i < NGX_HTTP_CANARY_PROCESSES; i++) {
        process = &sh->processes[i];

        if (process->pid
            && kill(process->pid, 0) == -1 && ngx_errno == NGX_ESRCH)
        {
            if (!found++) {
                ngx_http_canary_mend_all(sh, shpool, now);
            }

            ngx_http_canary_clear_slot(sh, process);
        }
    }
}


ngx_uint_t
ngx_http_canary_serial_alive(ngx_http_canary_zone_shared_t *sh,
    ngx_uint_t first, ngx_uint_t last)
{
    ngx_uint_t                  i;
    ngx_http_canary_process_t  *process;

    for (i = 0; i < NGX_HTTP_CANARY_PROCESSES; i++) {
        process = &sh->processes[i];

        if (process->pid
            && process->serial >= first && process->serial <= last)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_http_canary_process_t *
ngx_http_canary_own_process(ngx_http_canary_zone_shared_t *sh)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_CANARY_PROCESSES; i++) {
        if (sh->processes[i].pid == ngx_pid) {
            return &sh->processes[i];
        }
    }

    return NULL;
}


static ngx_http_canary_process_t *
ngx_http_canary_free_process(ngx_http_canary_zone_shared_t *sh)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_CANARY_PROCESSES; i++) {
        if (sh->processes[i].pid == 0) {
            return &sh->processes[i];
        }
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "canary: more than %d worker processes: attempts of the "
                  "others, should they be killed, stay in flight for 10s",
                  NGX_HTTP_CANARY_PROCESSES);

    return NULL;
}


/* a slot that no live process has, or else the one that the fewest have */

static ngx_uint_t
ngx_http_canary_free_slot(ngx_http_canary_zone_shared_t *sh)
{
    ngx_uint_t  slot, best, owners, fewest;

    best = 0;
    fewest = (ngx_uint_t) -1;

    for (slot = 0; slot < sh->nslots; slot++) {
        owners = ngx_http_canary_slot_owners(sh, slot);

        if (owners < fewest) {
            best = slot;
            fewest = owners;
        }
    }

    return best;
}


/* there is no memory for a slot before somebody has it */

static void
ngx_http_canary_use_slot(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_uint_t slot)
{
    ngx_http_canary_shared_t  *shared;

    if (slot < sh->nused) {
        return;
    }

    for (shared = sh->endpoints; shared; shared = shared->next) {
        if (shared->evidence) {
            ngx_http_canary_add_slots(sh, shpool, shared->evidence, slot + 1);
        }
    }

    /* last: who dies before leaves it to the next process with this slot */

    sh->nused = slot + 1;
}


static ngx_uint_t
ngx_http_canary_slot_owners(ngx_http_canary_zone_shared_t *sh,
    ngx_uint_t slot)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < NGX_HTTP_CANARY_PROCESSES; i++) {
        if (sh->processes[i].pid && sh->processes[i].slot == slot) {
            n++;
        }
    }

    return n;
}


/*
 * In a slot that others share nobody can tell whose attempts are whose.  Who
 * dies here leaves the process to be found dead once more.
 */

static void
ngx_http_canary_clear_slot(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_process_t *process)
{
    ngx_http_canary_shared_t  *shared;

    for (shared = sh->endpoints; shared; shared = shared->next) {
        if (shared->evidence
            && ngx_http_canary_slot_owners(sh, process->slot) == 1)
        {
            canary_evidence_reap(shared->evidence, process->slot);
        }
    }

    process->pid = 0;
}
