
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_FIGURES_H_INCLUDED_
#define _NGX_CANARY_FIGURES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_view.h"

#include "ngx_canary_shared.h"


/* What the leader of a fleet shows of a rollout, for all processes. */


/* bytes of canary_view_encode(), under the lock; without memory nothing is
   kept */
void ngx_canary_keep_figures(ngx_canary_shared_t *shared, const u_char *bytes,
    size_t len);

/*
 * Under the lock: those of the rollout as it is now, while this node reaches
 * its fleet; "nodes" may be NULL.  NGX_DECLINED: there are none, or they are
 * old.
 */

ngx_int_t ngx_canary_figures(ngx_canary_shared_t *shared, uint64_t now,
    canary_view_t *view, canary_view_node_t *nodes);


#endif /* _NGX_CANARY_FIGURES_H_INCLUDED_ */
