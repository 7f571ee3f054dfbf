
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_zone.h"

#include "canary_event.h"
#include "canary_evidence_layout.h"
#include "canary_route.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_registry.h"
#include "ngx_canary_shared.h"


/* changes with the layout of what is shared */

#define NGX_CANARY_MAGIC                                                      \
    (0x63616e6172790000ull ^ (uint64_t) 12 << 48                               \
     ^ (uint64_t) sizeof(ngx_canary_shared_t) << 20                      \
     ^ (uint64_t) sizeof(canary_event_t) << 8                        \
     ^ sizeof(canary_evidence_t))

#define NGX_CANARY_ZONE_SIZE       (16 * 1024 * 1024)


static ngx_uint_t ngx_canary_at_rest(ngx_canary_main_conf_t *cmcf);
static ngx_int_t ngx_canary_init_zone(ngx_shm_zone_t *shm_zone, void *data);
static size_t ngx_canary_zone_for_all(ngx_canary_main_conf_t *cmcf);
static ngx_int_t ngx_canary_create_zone(ngx_shm_zone_t *shm_zone,
    ngx_canary_main_conf_t *cmcf);
static ngx_canary_main_conf_t *ngx_canary_old_conf(void);
static void ngx_canary_zone_failed(void *data);
static void ngx_canary_zone_too_small(ngx_shm_zone_t *shm_zone,
    ngx_canary_main_conf_t *cmcf);
static uint64_t ngx_canary_new_writer(void);
static ngx_uint_t ngx_canary_slots(ngx_canary_main_conf_t *cmcf);


char *
ngx_canary_zone_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_canary_main_conf_t  *cmcf = conf;

    u_char     *p;
    ssize_t     size;
    ngx_str_t  *value, s;

    if (cmcf->zone_name.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strncmp(value[1].data, "zone=", 5) != 0) {
        goto invalid;
    }

    s.data = value[1].data + 5;
    s.len = value[1].len - 5;

    p = ngx_strlchr(s.data, s.data + s.len, ':');

    if (p == NULL || p == s.data) {
        goto invalid;
    }

    cmcf->zone_name.data = s.data;
    cmcf->zone_name.len = p - s.data;

    s.len -= p + 1 - s.data;
    s.data = p + 1;

    size = ngx_parse_size(&s);

    if (size == NGX_ERROR) {
        goto invalid;
    }

    if (size < (ssize_t) (8 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "canary_zone \"%V\" is too small, it must have at "
                           "least %uzk", &cmcf->zone_name,
                           8 * ngx_pagesize / 1024);
        return NGX_CONF_ERROR;
    }

    cmcf->zone_size = size;
    cmcf->zone_file = cf->conf_file->file.name.data;
    cmcf->zone_line = cf->conf_file->line;

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid canary_zone \"%V\", it must be "
                       "\"zone=name:size\", such as \"zone=canary:16m\"",
                       &value[1]);

    return NGX_CONF_ERROR;
}


ngx_int_t
ngx_canary_add_zone(ngx_conf_t *cf, ngx_canary_main_conf_t *cmcf)
{
    ngx_pool_cleanup_t  *cln;

    if (cmcf->zone_name.len == 0) {
        ngx_str_set(&cmcf->zone_name, "canary");
        cmcf->zone_size = NGX_CANARY_ZONE_SIZE;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_canary_zone_failed;
    cln->data = cmcf;

    cmcf->shm_zone = ngx_shared_memory_add(cf, &cmcf->zone_name,
                                           cmcf->zone_size,
                                           &ngx_canary_module);
    if (cmcf->shm_zone == NULL) {
        return NGX_ERROR;
    }

    cmcf->shm_zone->init = ngx_canary_init_zone;
    cmcf->shm_zone->data = cmcf;

    return NGX_OK;
}


/* with a configuration that is not used goes what it has registered */

static void
ngx_canary_zone_failed(void *data)
{
    ngx_canary_main_conf_t  *cmcf = data;

    if (cmcf->reused && !cmcf->committed) {
        ngx_canary_unregister(cmcf);
    }
}


ngx_int_t
ngx_canary_outlived(ngx_conf_t *cf, ngx_canary_main_conf_t *cmcf)
{
    ngx_str_t               *path;
    ngx_canary_main_conf_t  *ocmcf;

    ocmcf = ngx_canary_old_conf();

    if (ocmcf == NULL || ngx_canary_at_rest(ocmcf)) {
        return NGX_DECLINED;
    }

    if (cmcf->zone_name.len == 0) {
        cmcf->zone_name.data = ngx_pstrdup(cf->pool, &ocmcf->zone_name);
        cmcf->zone_name.len = ocmcf->zone_name.len;
        cmcf->zone_size = ocmcf->zone_size;
    }

    if (cmcf->state_path == NULL) {
        cmcf->state_path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
        if (cmcf->state_path == NULL) {
            return NGX_ERROR;
        }

        path = &cmcf->state_path->name;
        path->len = ocmcf->state_path->name.len;
        path->data = ngx_pnalloc(cf->pool, path->len + 1);
        if (path->data == NULL) {
            return NGX_ERROR;
        }

        ngx_cpystrn(path->data, ocmcf->state_path->name.data, path->len + 1);
    }

    return cmcf->zone_name.data ? NGX_OK : NGX_ERROR;
}


void
ngx_canary_close_zone(void)
{
    ngx_canary_main_conf_t  *ocmcf;

    ocmcf = ngx_canary_old_conf();

    if (ocmcf) {
        __atomic_store_n(&ocmcf->zone->closed, 1, __ATOMIC_RELEASE);
    }
}


/* nothing of it is to end, and what has ended is in the state file */

static ngx_uint_t
ngx_canary_at_rest(ngx_canary_main_conf_t *cmcf)
{
    ngx_uint_t            rests;
    ngx_canary_zone_t    *zone;
    ngx_canary_shared_t  *shared;

    zone = cmcf->zone;

    ngx_canary_lock(zone);

    /* that of endpoints is written by their helper when it ends */

    rests = (cmcf->endpoints.nelts || zone->durable >= zone->sequence);

    for (shared = zone->endpoints; shared; shared = shared->next) {
        if (ngx_canary_record(shared)->rollout.phase != CANARY_IDLE
            || shared->pending.sequence)
        {
            rests = 0;
        }
    }

    ngx_canary_unlock(zone);

    return rests;
}


/*
 * Not so if that one had another copy of the module, as from another file: its
 * zone cannot be told from any other, but it has been there.
 */

ngx_uint_t
ngx_canary_came_back(ngx_canary_main_conf_t *cmcf)
{
    ngx_uint_t    i;
    ngx_cycle_t  *old;

    old = cmcf->cycle->old_cycle;

    if (old == NULL || ngx_is_init_cycle(old)) {
        return 0;
    }

    for (i = 0; old->modules[i]; i++) {
        if (old->modules[i] == &ngx_canary_module) {
            return 1;
        }
    }

    /* versions before had no core module, but all have had this one */

    for (i = 0; old->modules[i]; i++) {
        if (ngx_strcmp(old->modules[i]->name, "ngx_http_canary_module") == 0) {
            return 0;
        }
    }

    return 1;
}


ngx_canary_main_conf_t *
ngx_canary_running(void)
{
    ngx_canary_main_conf_t  *cmcf;

    cmcf = ngx_canary_conf((ngx_cycle_t *) ngx_cycle);

    return (cmcf && cmcf->zone) ? cmcf : NULL;
}


/*
 * Runs in the master while the workers of the old configuration serve from
 * the same memory, and before it is known whether the new one will be used.
 */

static ngx_int_t
ngx_canary_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_canary_main_conf_t  *ocmcf = data;

    ngx_int_t                rc;
    ngx_slab_pool_t         *shpool;
    ngx_canary_main_conf_t  *cmcf;

    cmcf = shm_zone->data;
    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (shm_zone->shm.size < ngx_canary_zone_needed(cmcf,
                                               ngx_canary_slots(cmcf)))
    {
        goto too_small;
    }

    if (ocmcf) {
        cmcf->zone = ocmcf->zone;

    } else if (shm_zone->shm.exists) {
        cmcf->zone = shpool->data;

    } else if (ngx_canary_create_zone(shm_zone, cmcf) != NGX_OK) {
        goto too_small;
    }

    if (cmcf->zone->magic != NGX_CANARY_MAGIC) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "canary_zone \"%V\" was made by another version of the "
                      "module: restart nginx, or give the zone another name",
                      &shm_zone->shm.name);
        return NGX_ERROR;
    }

    cmcf->reused = (ocmcf != NULL);

    rc = ngx_canary_register(cmcf, shm_zone->shm.log);

    if (rc == NGX_ERROR
        || (cmcf->old && shm_zone->shm.size < ngx_canary_zone_kept(cmcf)))
    {
        goto too_small;
    }

    return (rc == NGX_OK) ? NGX_OK : NGX_ERROR;

too_small:

    ngx_canary_zone_too_small(shm_zone, cmcf);

    return NGX_ERROR;
}


/* found out too late for nginx to add where the directive stands */

static void
ngx_canary_zone_too_small(ngx_shm_zone_t *shm_zone,
    ngx_canary_main_conf_t *cmcf)
{
    size_t      needed, all;
    u_char      place[NGX_MAX_CONF_ERRSTR];
    ngx_uint_t  n;

    n = cmcf->endpoints.nelts;
    needed = ngx_canary_zone_needed(cmcf, ngx_canary_slots(cmcf));
    all = ngx_canary_zone_for_all(cmcf);
    place[0] = '\0';

    if (cmcf->zone_file) {
        ngx_snprintf(place, sizeof(place), " in %s:%ui%Z",
                     cmcf->zone_file, cmcf->zone_line);
    }

    if (shm_zone->shm.size < needed) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "canary_zone \"%V\" of %uzk is too small for %ui "
                      "endpoint%s, it needs about %uzk, and %uzk for rollouts "
                      "of all of them at once%s",
                      &shm_zone->shm.name, shm_zone->shm.size / 1024,
                      n, (n == 1) ? "" : "s", needed / 1024, all / 1024,
                      place);
        return;
    }

    ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                  "canary_zone \"%V\" of %uzk is too small for %ui endpoint%s "
                  "beside what is in use: rollouts, and endpoints of which "
                  "earlier configurations still have processes; it needs "
                  "%uzk for rollouts of all of them at once%s",
                  &shm_zone->shm.name, shm_zone->shm.size / 1024,
                  n, (n == 1) ? "" : "s", all / 1024, place);
}


void
ngx_canary_zone_full(ngx_canary_main_conf_t *cmcf, u_char *text, size_t size)
{
    ngx_snprintf(text, size - 1,
                 "canary_zone \"%V\" of %uzk is full: no more rollouts fit "
                 "until others end; for rollouts of all %ui endpoints at "
                 "once it needs about %uzk%Z",
                 &cmcf->zone_name, cmcf->zone_size / 1024,
                 cmcf->endpoints.nelts, ngx_canary_zone_for_all(cmcf) / 1024);

    text[size - 1] = '\0';
}


static size_t
ngx_canary_zone_for_all(ngx_canary_main_conf_t *cmcf)
{
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cmcf->cycle->conf_ctx,
                                           ngx_core_module);

    return ngx_canary_zone_wanted(cmcf, ngx_canary_slots(cmcf),
                                  ccf->worker_processes);
}


static ngx_int_t
ngx_canary_create_zone(ngx_shm_zone_t *shm_zone, ngx_canary_main_conf_t *cmcf)
{
    ngx_slab_pool_t         *shpool;
    ngx_canary_zone_t       *zone;
    ngx_canary_main_conf_t  *ocmcf;

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    /* that the zone is full is told where it matters, in words of its own */

    shpool->log_nomem = 0;

    zone = ngx_slab_calloc(shpool, sizeof(ngx_canary_zone_t));
    if (zone == NULL) {
        return NGX_ERROR;
    }

    shpool->log_ctx = ngx_slab_alloc(shpool, shm_zone->shm.name.len
                                             + sizeof(" in canary_zone \"\""));
    if (shpool->log_ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(shpool->log_ctx, " in canary_zone \"%V\"%Z",
                &shm_zone->shm.name);

    zone->magic = NGX_CANARY_MAGIC;
    zone->pool = shpool;
    zone->nslots = ngx_canary_slots(cmcf);

    zone->serial = NGX_CANARY_UNSEEN + 1;
    zone->configurations = -(uint64_t) zone->serial;
    zone->writer = ngx_canary_new_writer();

    ocmcf = ngx_canary_old_conf();

    /* what comes from there, and nobody configures, keeps its age */

    if (ocmcf) {
        cmcf->old = ocmcf->zone;
        zone->serial = ocmcf->zone->serial + 1;
    }

    shpool->data = zone;
    cmcf->zone = zone;

    cmcf->fresh = (ocmcf == NULL && !ngx_test_config);

    return NGX_OK;
}


/* a number that no other zone has */

static uint64_t
ngx_canary_new_writer(void)
{
    uint64_t        number;
    struct timeval  tv;

    ngx_gettimeofday(&tv);

    number = (uint64_t) tv.tv_sec * 1000000 + (uint64_t) tv.tv_usec;

    return number << 12 ^ (uint64_t) ngx_pid << 44 ^ (uint64_t) ngx_random();
}


/* the running configuration, by its zone; NULL: it has none */

static ngx_canary_main_conf_t *
ngx_canary_old_conf(void)
{
    ngx_uint_t               i;
    ngx_shm_zone_t          *zone;
    ngx_list_part_t         *part;
    ngx_canary_main_conf_t  *ocmcf;

    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
    zone = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            zone = part->elts;
            i = 0;
        }

        if (zone[i].tag != &ngx_canary_module || zone[i].data == NULL) {
            continue;
        }

        ocmcf = zone[i].data;

        if (ocmcf->zone && ocmcf->zone->magic == NGX_CANARY_MAGIC) {
            return ocmcf;
        }
    }
}


/*
 * A slot for each worker of the configuration and of the one before, which
 * finishes its requests beside it.  The number is that of the zone, so it
 * allows for as many workers as there are processors.
 */

static ngx_uint_t
ngx_canary_slots(ngx_canary_main_conf_t *cmcf)
{
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cmcf->cycle->conf_ctx,
                                           ngx_core_module);

    return 2 * ngx_max(ccf->worker_processes, ngx_ncpu) + 2;
}
