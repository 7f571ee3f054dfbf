
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_COURSE_H_INCLUDED_
#define _NGX_CANARY_COURSE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_course.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/* What became of the traffic in the last minutes of a rollout. */


/* when a rollout begins, and by the control loop, under the lock; without
   memory it does nothing */
void ngx_canary_follow_course(ngx_canary_shared_t *shared, uint64_t now);

/* oldest first, as canary_course_next(), of the present or last rollout;
   NGX_DECLINED: there are no more */
ngx_int_t ngx_canary_next_point(ngx_canary_endpoint_t *endpoint,
    uint64_t *number, canary_course_point_t *point);

/* under the lock: copies what there is in another zone, if there is memory */
void ngx_canary_copy_course(ngx_canary_shared_t *to,
    ngx_canary_shared_t *from);


#endif /* _NGX_CANARY_COURSE_H_INCLUDED_ */
