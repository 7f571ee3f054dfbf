
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"


/*
 * Each worker has a slot of its own to count evidence in, also while workers
 * of several configurations live beside each other.  The table of processes
 * tells whose slot is whose, so that what a killed worker had in flight can be
 * taken out, and which configurations are still in use: by generation, since
 * there may be a thousand processes, but only as many generations as there
 * were reloads whose workers have not ended.
 *
 * An entry goes when its process ends, or is found dead.  The control loop
 * looks twice a second, in which time process ids do not come round, so an id
 * that is alive is taken for the process that had it.
 */


static ngx_uint_t ngx_http_canary_has_entered(
    ngx_http_canary_zone_shared_t *sh);
static ngx_uint_t ngx_http_canary_dead(ngx_http_canary_zone_shared_t *sh,
    ngx_pid_t pid);
static ngx_int_t ngx_http_canary_record_process(
    ngx_http_canary_main_conf_t *cmcf);
static ngx_http_canary_generation_t *ngx_http_canary_generation(
    ngx_http_canary_main_conf_t *cmcf);
static void ngx_http_canary_unrecorded(ngx_http_canary_main_conf_t *cmcf);
static void ngx_http_canary_drop_generations(
    ngx_http_canary_zone_shared_t *sh);
static ngx_uint_t ngx_http_canary_free_slot(
    ngx_http_canary_zone_shared_t *sh);
static void ngx_http_canary_use_slot(ngx_http_canary_zone_shared_t *sh,
    ngx_uint_t slot);
static ngx_uint_t ngx_http_canary_slot_owners(
    ngx_http_canary_zone_shared_t *sh, ngx_uint_t slot);
static void ngx_http_canary_clear_slot(ngx_http_canary_zone_shared_t *sh,
    ngx_uint_t slot);
static void ngx_http_canary_forget_process(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_process_t **place);


ngx_uint_t                             ngx_http_canary_slot;
static ngx_pid_t                       ngx_http_canary_entered_by;
static ngx_http_canary_zone_shared_t  *ngx_http_canary_entered;


/*
 * A single process does so again after a reload.  Its requests go on with the
 * configuration that it began with, since it has no connections to give with
 * another; and the newest one is in use anyway.  So its entry stays as it is.
 */

void
ngx_http_canary_enter_process(ngx_http_canary_main_conf_t *cmcf)
{
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;

    if (ngx_http_canary_has_entered(sh)) {
        return;
    }

    ngx_http_canary_lock(sh);

    ngx_http_canary_slot = ngx_http_canary_free_slot(sh);

    if (ngx_http_canary_record_process(cmcf) != NGX_OK) {
        ngx_http_canary_unrecorded(cmcf);
    }

    ngx_http_canary_use_slot(sh, ngx_http_canary_slot);

    ngx_http_canary_entered = sh;
    ngx_http_canary_entered_by = ngx_pid;

    ngx_http_canary_unlock(sh);
}


void
ngx_http_canary_leave_process(ngx_http_canary_main_conf_t *cmcf)
{
    ngx_http_canary_process_t      **place;
    ngx_http_canary_generation_t    *generation;
    ngx_http_canary_zone_shared_t   *sh;

    sh = cmcf->sh;

    ngx_http_canary_lock(sh);

    for (generation = sh->generations;
         generation;
         generation = generation->next)
    {
        for (place = &generation->processes; *place; /* void */ ) {
            if ((*place)->pid == ngx_pid) {
                ngx_http_canary_forget_process(sh, place);

            } else {
                place = &(*place)->next;
            }
        }
    }

    ngx_http_canary_drop_generations(sh);

    ngx_http_canary_unlock(sh);
}


ngx_uint_t
ngx_http_canary_has_dead(ngx_http_canary_zone_shared_t *sh)
{
    ngx_http_canary_process_t     *process;
    ngx_http_canary_generation_t  *generation;

    for (generation = sh->generations;
         generation;
         generation = generation->next)
    {
        for (process = generation->processes;
             process;
             process = process->next)
        {
            if (ngx_http_canary_dead(sh, process->pid)) {
                return 1;
            }
        }
    }

    return 0;
}


void
ngx_http_canary_reap(ngx_http_canary_zone_shared_t *sh)
{
    ngx_http_canary_process_t     **place;
    ngx_http_canary_generation_t   *generation;

    for (generation = sh->generations;
         generation;
         generation = generation->next)
    {
        for (place = &generation->processes; *place; /* void */ ) {
            if (!ngx_http_canary_dead(sh, (*place)->pid)) {
                place = &(*place)->next;
                continue;
            }

            ngx_http_canary_forget_process(sh, place);
        }
    }

    ngx_http_canary_drop_generations(sh);
}


/* a process that was forked has not, whatever the other one has */

static ngx_uint_t
ngx_http_canary_has_entered(ngx_http_canary_zone_shared_t *sh)
{
    return ngx_http_canary_entered == sh
           && ngx_http_canary_entered_by == ngx_pid;
}


/* one that has our id, and is not us, had it before */

static ngx_uint_t
ngx_http_canary_dead(ngx_http_canary_zone_shared_t *sh, ngx_pid_t pid)
{
    if (pid == ngx_pid) {
        return !ngx_http_canary_has_entered(sh);
    }

    return kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH;
}


void
ngx_http_canary_expect_processes(ngx_http_canary_main_conf_t *cmcf,
    ngx_uint_t n, ngx_log_t *log)
{
    ngx_http_canary_generation_t  *generation;

    generation = ngx_http_canary_generation(cmcf);

    if (generation) {
        generation->since = ngx_http_canary_milliseconds();
        generation->expected = n;
    }

    if (n > cmcf->sh->nslots) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "canary: canary_zone \"%V\" was made with %ui slots, "
                      "and %ui worker processes share them: what one has in "
                      "flight, should it be killed, stays so for 10s; a zone "
                      "of another size is made anew, with enough of them",
                      &cmcf->zone_name, cmcf->sh->nslots, n);
    }
}


static ngx_int_t
ngx_http_canary_record_process(ngx_http_canary_main_conf_t *cmcf)
{
    ngx_http_canary_process_t     *process;
    ngx_http_canary_generation_t  *generation;

    generation = ngx_http_canary_generation(cmcf);
    if (generation == NULL) {
        return NGX_ERROR;
    }

    process = ngx_http_canary_alloc(cmcf->sh,
                                    sizeof(ngx_http_canary_process_t));
    if (process == NULL) {
        return NGX_ERROR;
    }

    process->pid = ngx_pid;
    process->slot = ngx_http_canary_slot;
    process->next = generation->processes;

    __atomic_store_n(&generation->processes, process, __ATOMIC_RELEASE);

    if (generation->expected) {
        generation->expected--;
    }

    return NGX_OK;
}


static ngx_http_canary_generation_t *
ngx_http_canary_generation(ngx_http_canary_main_conf_t *cmcf)
{
    ngx_http_canary_generation_t   *generation;
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;

    for (generation = sh->generations;
         generation;
         generation = generation->next)
    {
        if (generation->serial == cmcf->serial) {
            return generation;
        }
    }

    generation = ngx_http_canary_alloc(sh,
                                       sizeof(ngx_http_canary_generation_t));
    if (generation == NULL) {
        return NULL;
    }

    ngx_memzero(generation, sizeof(ngx_http_canary_generation_t));

    generation->serial = cmcf->serial;
    generation->next = sh->generations;

    __atomic_store_n(&sh->generations, generation, __ATOMIC_RELEASE);

    return generation;
}


/*
 * Nobody can tell when such a process ends, so from now on nothing that its
 * configuration names is taken for unused.
 */

static void
ngx_http_canary_unrecorded(ngx_http_canary_main_conf_t *cmcf)
{
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;

    if (sh->unrecorded == 0) {
        sh->unrecorded_first = cmcf->serial;
    }

    sh->unrecorded = cmcf->serial;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "canary: no memory in canary_zone \"%V\" to tell this "
                  "process from others: what it has in flight, should it be "
                  "killed, stays so for 10s, and what its configuration names "
                  "is kept until the zone is made anew", &cmcf->zone_name);
}


static void
ngx_http_canary_drop_generations(ngx_http_canary_zone_shared_t *sh)
{
    ngx_http_canary_generation_t  *generation, **place;

    for (place = &sh->generations; *place; /* void */ ) {
        generation = *place;

        if (ngx_http_canary_generation_alive(generation)) {
            place = &generation->next;
            continue;
        }

        __atomic_store_n(place, generation->next, __ATOMIC_RELEASE);

        ngx_slab_free_locked(sh->pool, generation);
    }
}


/* a slot that no live process has, or else the one that the fewest have */

static ngx_uint_t
ngx_http_canary_free_slot(ngx_http_canary_zone_shared_t *sh)
{
    ngx_uint_t                     slot, best, *owners;
    ngx_http_canary_process_t     *process;
    ngx_http_canary_generation_t  *generation;

    owners = ngx_calloc(sh->nslots * sizeof(ngx_uint_t), ngx_cycle->log);
    if (owners == NULL) {
        return 0;
    }

    for (generation = sh->generations;
         generation;
         generation = generation->next)
    {
        for (process = generation->processes;
             process;
             process = process->next)
        {
            owners[process->slot]++;
        }
    }

    best = 0;

    for (slot = 1; slot < sh->nslots; slot++) {
        if (owners[slot] < owners[best]) {
            best = slot;
        }
    }

    ngx_free(owners);

    return best;
}


/* there is no memory for a slot before somebody has it */

static void
ngx_http_canary_use_slot(ngx_http_canary_zone_shared_t *sh, ngx_uint_t slot)
{
    ngx_http_canary_shared_t  *shared;

    if (slot < sh->nused) {
        return;
    }

    for (shared = sh->endpoints; shared; shared = shared->next) {
        if (shared->evidence) {
            ngx_http_canary_add_slots(sh, 1, shared->evidence, slot + 1);
        }
    }

    /* last: who dies before leaves it to the next process with this slot */

    sh->nused = slot + 1;
}


static ngx_uint_t
ngx_http_canary_slot_owners(ngx_http_canary_zone_shared_t *sh,
    ngx_uint_t slot)
{
    ngx_uint_t                     n;
    ngx_http_canary_process_t     *process;
    ngx_http_canary_generation_t  *generation;

    n = 0;

    for (generation = sh->generations;
         generation;
         generation = generation->next)
    {
        for (process = generation->processes;
             process;
             process = process->next)
        {
            n += (process->slot == slot);
        }
    }

    return n;
}


/*
 * In a slot that others share nobody can tell whose attempts are whose.  Who
 * dies here leaves the process to be found dead once more.
 */

static void
ngx_http_canary_clear_slot(ngx_http_canary_zone_shared_t *sh, ngx_uint_t slot)
{
    ngx_http_canary_shared_t  *shared;

    if (ngx_http_canary_slot_owners(sh, slot) > 1) {
        return;
    }

    for (shared = sh->endpoints; shared; shared = shared->next) {
        if (shared->evidence) {
            canary_evidence_reap(shared->evidence, slot);
        }
    }
}


/*
 * The slot first: should this process be killed here, the next one that looks
 * finds the entry, and does the same once more.
 */

static void
ngx_http_canary_forget_process(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_process_t **place)
{
    ngx_http_canary_process_t  *process;

    process = *place;

    ngx_http_canary_clear_slot(sh, process->slot);

    __atomic_store_n(place, process->next, __ATOMIC_RELEASE);

    ngx_slab_free_locked(sh->pool, process);
}
