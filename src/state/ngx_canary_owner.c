
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_owner.h"

#include "canary_state_file.h"

#include "ngx_canary_endpoint.h"


void
ngx_canary_owner(ngx_canary_main_conf_t *cmcf, char owner[CANARY_STATE_OWNER])
{
    ngx_cycle_t  *cycle;

    cycle = cmcf->cycle;

    (void) ngx_snprintf((u_char *) owner, CANARY_STATE_OWNER - 1,
                        "prefix \"%V\" and configuration file \"%V\"%Z",
                        &cycle->prefix, &cycle->conf_file);

    owner[CANARY_STATE_OWNER - 1] = '\0';
}


ngx_uint_t
ngx_canary_owned_by_other(ngx_canary_main_conf_t *cmcf,
    char owner[CANARY_STATE_OWNER])
{
    char  own[CANARY_STATE_OWNER];

    ngx_canary_owner(cmcf, own);
    canary_state_file_owner((char *) cmcf->state_path->name.data, owner);

    return owner[0] && ngx_strcmp(owner, own) != 0;
}
