
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_module.h"

#include "canary_events_file.h"
#include "canary_state_file.h"

#include "ngx_canary_control.h"
#include "ngx_canary_endpoint.h"
#include "ngx_canary_process.h"
#include "ngx_canary_reconcile.h"
#include "ngx_canary_state_path.h"
#include "ngx_canary_zone.h"


/*
 * The core module: what a cycle has of canaries, whatever the protocol.  Its
 * configuration is there before http{} is read, and the shells put their
 * endpoints into it.
 */


static void *ngx_canary_create_conf(ngx_cycle_t *cycle);
static ngx_int_t ngx_canary_init_module(ngx_cycle_t *cycle);
static void ngx_canary_hand_over_files(ngx_cycle_t *cycle, ngx_path_t *path);
static ngx_int_t ngx_canary_init_process(ngx_cycle_t *cycle);
static void ngx_canary_exit_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_canary_commands[] = {
      ngx_null_command
};


static ngx_core_module_t  ngx_canary_module_ctx = {
    ngx_string("canary"),
    ngx_canary_create_conf,
    NULL
};


ngx_module_t  ngx_canary_module = {
    NGX_MODULE_V1,
    &ngx_canary_module_ctx,                /* module context */
    ngx_canary_commands,                   /* module directives */
    NGX_CORE_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_canary_init_module,                /* init module */
    ngx_canary_init_process,               /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_canary_exit_process,               /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_canary_create_conf(ngx_cycle_t *cycle)
{
    ngx_canary_main_conf_t  *cmcf;

    cmcf = ngx_pcalloc(cycle->pool, sizeof(ngx_canary_main_conf_t));
    if (cmcf == NULL) {
        return NULL;
    }

    cmcf->cycle = cycle;

    if (ngx_array_init(&cmcf->endpoints, cycle->pool, 4,
                       sizeof(ngx_canary_endpoint_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return cmcf;
}


ngx_int_t
ngx_canary_configure(ngx_conf_t *cf)
{
    ngx_int_t                rc;
    ngx_canary_main_conf_t  *cmcf;

    cmcf = ngx_canary_conf(cf->cycle);

    /* without an endpoint the module costs nothing, once it is done with those
       that there were */

    if (cmcf->endpoints.nelts == 0) {
        rc = ngx_canary_outlived(cf, cmcf);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ngx_canary_add_zone(cf, cmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_canary_add_state_path(cf, cmcf);
}


/*
 * Called when nothing of the new configuration can fail any more, and before
 * anything of the old one is freed.
 */

static ngx_int_t
ngx_canary_init_module(ngx_cycle_t *cycle)
{
    ngx_canary_main_conf_t  *cmcf;

    cmcf = ngx_canary_conf(cycle);

    if (cmcf->zone == NULL) {
        ngx_canary_close_zone();
        return NGX_OK;
    }

    ngx_canary_reconcile(cmcf, cycle->log);

    ngx_canary_hand_over_files(cycle, cmcf->state_path);

    /* a reload of a single process makes no new one that would start it */

    if (ngx_process == NGX_PROCESS_SINGLE
        && !ngx_is_init_cycle(cycle->old_cycle))
    {
        ngx_canary_start_timer();
    }

    return NGX_OK;
}


/* nginx gives the directory to the worker user, but not what is in it */

static void
ngx_canary_hand_over_files(ngx_cycle_t *cycle, ngx_path_t *path)
{
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (geteuid() == 0 && ccf->master && !ngx_test_config) {
        canary_state_file_hand_over((char *) path->name.data, ccf->user);
        canary_events_hand_over((char *) path->name.data, ccf->user);
    }
}


static ngx_int_t
ngx_canary_init_process(ngx_cycle_t *cycle)
{
    ngx_canary_main_conf_t  *cmcf;

    cmcf = ngx_canary_conf(cycle);

    if ((ngx_process != NGX_PROCESS_WORKER
         && ngx_process != NGX_PROCESS_SINGLE)
        || cmcf->zone == NULL)
    {
        return NGX_OK;
    }

    ngx_canary_begin_process(cmcf);

    if (ngx_process == NGX_PROCESS_SINGLE) {
        ngx_canary_start_timer();
    }

    return NGX_OK;
}


static void
ngx_canary_exit_process(ngx_cycle_t *cycle)
{
    ngx_canary_main_conf_t  *cmcf;

    cmcf = ngx_canary_conf(cycle);

    if ((ngx_process != NGX_PROCESS_WORKER
         && ngx_process != NGX_PROCESS_SINGLE)
        || cmcf->zone == NULL)
    {
        return;
    }

    ngx_canary_leave_process(cmcf);

    if (ngx_process == NGX_PROCESS_SINGLE) {
        ngx_canary_finish(cmcf);
    }
}
