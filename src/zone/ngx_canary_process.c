
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_process.h"

#include "canary_evidence_settle.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_generation.h"
#include "ngx_canary_memory.h"
#include "ngx_canary_remember.h"
#include "ngx_canary_shared.h"


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


static ngx_uint_t ngx_canary_has_entered(ngx_canary_zone_t *zone);
static void ngx_canary_forget_processes(ngx_canary_zone_t *zone,
    ngx_pid_t pid);
static ngx_uint_t ngx_canary_dead(ngx_canary_zone_t *zone, ngx_pid_t pid);
static ngx_int_t ngx_canary_record_process(ngx_canary_main_conf_t *cmcf);
static ngx_canary_generation_t *ngx_canary_generation(
    ngx_canary_main_conf_t *cmcf);
static void ngx_canary_unrecorded(ngx_canary_main_conf_t *cmcf);
static void ngx_canary_drop_generations(ngx_canary_zone_t *zone);
static ngx_uint_t ngx_canary_free_slot(ngx_canary_zone_t *zone);
static void ngx_canary_use_slot(ngx_canary_zone_t *zone, ngx_uint_t slot);
static ngx_uint_t ngx_canary_slot_owners(
    ngx_canary_zone_t *zone, ngx_uint_t slot);
static void ngx_canary_clear_slot(ngx_canary_zone_t *zone, ngx_uint_t slot);
static void ngx_canary_forget_process(ngx_canary_zone_t *zone,
    ngx_canary_process_t **place);


ngx_uint_t                             ngx_canary_slot;
static ngx_pid_t                       ngx_canary_entered_by;
static ngx_canary_zone_t              *ngx_canary_entered;


/*
 * A single process does so again after a reload.  Its requests go on with the
 * configuration that it began with, since it has no connections to give with
 * another; and the newest one is in use anyway.  So its entry stays as it is.
 */

void
ngx_canary_enter_process(ngx_canary_main_conf_t *cmcf)
{
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    if (ngx_canary_has_entered(zone)) {
        return;
    }

    ngx_canary_lock(zone);

    ngx_canary_slot = ngx_canary_free_slot(zone);

    if (ngx_canary_record_process(cmcf) != NGX_OK) {
        ngx_canary_unrecorded(cmcf);
    }

    ngx_canary_use_slot(zone, ngx_canary_slot);

    ngx_canary_entered = zone;
    ngx_canary_entered_by = ngx_pid;

    ngx_canary_unlock(zone);
}


void
ngx_canary_leave_process(ngx_canary_main_conf_t *cmcf)
{
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    ngx_canary_lock(zone);

    ngx_canary_forget_processes(zone, ngx_pid);

    ngx_canary_unlock(zone);
}


ngx_uint_t
ngx_canary_has_dead(ngx_canary_zone_t *zone)
{
    ngx_canary_process_t     *process;
    ngx_canary_generation_t  *generation;

    for (generation = zone->generations;
         generation;
         generation = generation->next)
    {
        for (process = generation->processes;
             process;
             process = process->next)
        {
            if (ngx_canary_dead(zone, process->pid)) {
                return 1;
            }
        }
    }

    return 0;
}


void
ngx_canary_reap(ngx_canary_zone_t *zone)
{
    ngx_canary_forget_processes(zone, 0);
}


/* that one, or 0: those that are dead */

static void
ngx_canary_forget_processes(ngx_canary_zone_t *zone, ngx_pid_t pid)
{
    ngx_canary_process_t    **place;
    ngx_canary_generation_t  *generation;

    for (generation = zone->generations;
         generation;
         generation = generation->next)
    {
        for (place = &generation->processes; *place; /* void */ ) {
            if (pid ? (*place)->pid == pid
                    : ngx_canary_dead(zone, (*place)->pid))
            {
                ngx_canary_forget_process(zone, place);

            } else {
                place = &(*place)->next;
            }
        }
    }

    ngx_canary_drop_generations(zone);
}


/* a process that was forked has not, whatever the other one has */

static ngx_uint_t
ngx_canary_has_entered(ngx_canary_zone_t *zone)
{
    return ngx_canary_entered == zone
           && ngx_canary_entered_by == ngx_pid;
}


/* one that has our id, and is not us, had it before */

static ngx_uint_t
ngx_canary_dead(ngx_canary_zone_t *zone, ngx_pid_t pid)
{
    if (pid == ngx_pid) {
        return !ngx_canary_has_entered(zone);
    }

    return kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH;
}


void
ngx_canary_expect_processes(ngx_canary_main_conf_t *cmcf,
    ngx_uint_t n, ngx_log_t *log)
{
    ngx_canary_generation_t  *generation;

    generation = ngx_canary_generation(cmcf);

    if (generation) {
        generation->since = ngx_canary_milliseconds();
        generation->expected = n;
    }

    if (n > cmcf->zone->nslots) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "canary: canary_zone \"%V\" was made with %ui slots, "
                      "and %ui worker processes share them: what one has in "
                      "flight, should it be killed, stays so for 10s; a zone "
                      "of another size is made anew, with enough of them",
                      &cmcf->zone_name, cmcf->zone->nslots, n);
    }
}


static ngx_int_t
ngx_canary_record_process(ngx_canary_main_conf_t *cmcf)
{
    ngx_canary_process_t     *process;
    ngx_canary_generation_t  *generation;

    generation = ngx_canary_generation(cmcf);
    if (generation == NULL) {
        return NGX_ERROR;
    }

    process = ngx_canary_alloc(cmcf->zone, sizeof(ngx_canary_process_t));
    if (process == NULL) {
        return NGX_ERROR;
    }

    process->pid = ngx_pid;
    process->slot = ngx_canary_slot;
    process->next = generation->processes;

    __atomic_store_n(&generation->processes, process, __ATOMIC_RELEASE);

    if (generation->expected) {
        generation->expected--;
    }

    return NGX_OK;
}


static ngx_canary_generation_t *
ngx_canary_generation(ngx_canary_main_conf_t *cmcf)
{
    ngx_canary_zone_t        *zone;
    ngx_canary_generation_t  *generation;

    zone = cmcf->zone;

    for (generation = zone->generations;
         generation;
         generation = generation->next)
    {
        if (generation->serial == cmcf->serial) {
            return generation;
        }
    }

    generation = ngx_canary_alloc(zone, sizeof(ngx_canary_generation_t));
    if (generation == NULL) {
        return NULL;
    }

    ngx_memzero(generation, sizeof(ngx_canary_generation_t));

    generation->serial = cmcf->serial;
    generation->next = zone->generations;

    __atomic_store_n(&zone->generations, generation, __ATOMIC_RELEASE);

    return generation;
}


/*
 * Nobody can tell when such a process ends, so from now on nothing that its
 * configuration names is taken for unused.
 */

static void
ngx_canary_unrecorded(ngx_canary_main_conf_t *cmcf)
{
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    if (zone->unrecorded == 0) {
        zone->unrecorded_first = cmcf->serial;
    }

    zone->unrecorded = cmcf->serial;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "canary: no memory in canary_zone \"%V\" to tell this "
                  "process from others: what it has in flight, should it be "
                  "killed, stays so for 10s, and what its configuration names "
                  "is kept until the zone is made anew", &cmcf->zone_name);
}


static void
ngx_canary_drop_generations(ngx_canary_zone_t *zone)
{
    ngx_canary_generation_t  *generation, **place;

    for (place = &zone->generations; *place; /* void */ ) {
        generation = *place;

        if (ngx_canary_generation_alive(generation)) {
            place = &generation->next;
            continue;
        }

        __atomic_store_n(place, generation->next, __ATOMIC_RELEASE);

        ngx_slab_free_locked(zone->pool, generation);
    }
}


/* a slot that no live process has, or else the one that the fewest have */

static ngx_uint_t
ngx_canary_free_slot(ngx_canary_zone_t *zone)
{
    ngx_uint_t                slot, best, *owners;
    ngx_canary_process_t     *process;
    ngx_canary_generation_t  *generation;

    owners = ngx_calloc(zone->nslots * sizeof(ngx_uint_t), ngx_cycle->log);
    if (owners == NULL) {
        return 0;
    }

    for (generation = zone->generations;
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

    for (slot = 1; slot < zone->nslots; slot++) {
        if (owners[slot] < owners[best]) {
            best = slot;
        }
    }

    ngx_free(owners);

    return best;
}


/* there is no memory for a slot before somebody has it */

static void
ngx_canary_use_slot(ngx_canary_zone_t *zone, ngx_uint_t slot)
{
    ngx_canary_shared_t  *shared;

    if (slot < zone->nused) {
        return;
    }

    for (shared = zone->endpoints; shared; shared = shared->next) {
        if (shared->evidence) {
            ngx_canary_add_slots(zone, 1, shared->evidence, slot + 1);
        }
    }

    /* last: who dies before leaves it to the next process with this slot */

    zone->nused = slot + 1;
}


static ngx_uint_t
ngx_canary_slot_owners(ngx_canary_zone_t *zone, ngx_uint_t slot)
{
    ngx_uint_t                n;
    ngx_canary_process_t     *process;
    ngx_canary_generation_t  *generation;

    n = 0;

    for (generation = zone->generations;
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
ngx_canary_clear_slot(ngx_canary_zone_t *zone, ngx_uint_t slot)
{
    ngx_canary_shared_t  *shared;

    if (ngx_canary_slot_owners(zone, slot) > 1) {
        return;
    }

    for (shared = zone->endpoints; shared; shared = shared->next) {
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
ngx_canary_forget_process(ngx_canary_zone_t *zone,
    ngx_canary_process_t **place)
{
    ngx_canary_process_t  *process;

    process = *place;

    ngx_canary_clear_slot(zone, process->slot);

    __atomic_store_n(place, process->next, __ATOMIC_RELEASE);

    ngx_slab_free_locked(zone->pool, process);
}
