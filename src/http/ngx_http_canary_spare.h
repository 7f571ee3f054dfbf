
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_SPARE_H_INCLUDED_
#define _NGX_HTTP_CANARY_SPARE_H_INCLUDED_


#include "ngx_http_canary_endpoint.h"


/* Evidence that no rollout has, under the lock. */


/* evidence of a rollout that is over, or did not begin, may be used again */
void ngx_http_canary_put_spare(ngx_http_canary_shared_t *shared);

/* takes some that has been released no later than that, ms; NULL: there is
   none */
canary_evidence_t *ngx_http_canary_take_spare(
    ngx_http_canary_zone_shared_t *sh, uint64_t rested);

/* frees a part of it that nobody can be using, or the books of one only; 0:
   there is none */
ngx_uint_t ngx_http_canary_free_spare_evidence(
    ngx_http_canary_zone_shared_t *sh);
ngx_uint_t ngx_http_canary_free_books(ngx_http_canary_zone_shared_t *sh);


#endif /* _NGX_HTTP_CANARY_SPARE_H_INCLUDED_ */
