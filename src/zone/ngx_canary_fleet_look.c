
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_fleet_look.h"

#include "canary_fleet.h"

#include "ngx_canary_shared.h"


/* The fleet as the helper has put it into the zone, for other processes. */


#define NGX_CANARY_FLEET_OTHERS  4         /* of the zone, a part in so many */


static void ngx_canary_fleet_copy_self(ngx_canary_fleet_t *fleet,
    ngx_canary_fleet_self_t *self);


const char *
ngx_canary_fleet_seen_name(ngx_uint_t state)
{
    static const char *const  names[] = { "leader", "live", "silent", "gone" };

    return names[state];
}


const char *
ngx_canary_fleet_state_name(ngx_uint_t state)
{
    static const char *const  names[] = {
        "standalone", "joining", "follower", "leader", "isolated", "kept_out"
    };

    return names[state];
}


ngx_uint_t
ngx_canary_fleet_in_touch(ngx_uint_t state)
{
    return state == CANARY_FLEET_FOLLOWER || state == CANARY_FLEET_LEADER;
}


ngx_int_t
ngx_canary_fleet_self(ngx_canary_zone_t *zone, ngx_canary_fleet_self_t *self)
{
    ngx_int_t  rc;

    rc = NGX_DECLINED;

    ngx_canary_lock(zone);

    if (zone->fleet) {
        ngx_canary_fleet_copy_self(zone->fleet, self);
        rc = NGX_OK;
    }

    ngx_canary_unlock(zone);

    return rc;
}


static void
ngx_canary_fleet_copy_self(ngx_canary_fleet_t *fleet,
    ngx_canary_fleet_self_t *self)
{
    ngx_memcpy(self->name, fleet->name, CANARY_NAME_SIZE);
    ngx_memcpy(self->node, fleet->node, CANARY_NAME_SIZE);

    self->state = fleet->state;
    self->contact = fleet->contact;
    self->sums = fleet->view.sums;
}


ngx_int_t
ngx_canary_fleet_copy(ngx_canary_zone_t *zone, ngx_canary_fleet_self_t *self,
    ngx_canary_fleet_view_t *view)
{
    ngx_int_t            rc;
    ngx_canary_fleet_t  *fleet;

    rc = NGX_DECLINED;

    ngx_canary_lock(zone);

    fleet = zone->fleet;

    if (fleet) {
        ngx_canary_fleet_copy_self(fleet, self);

        ngx_memcpy(view->nodes, fleet->view.nodes,
                   fleet->view.sums.nnodes * sizeof(ngx_canary_fleet_seen_t));
        ngx_memcpy(view->lacking, fleet->view.lacking,
                   NGX_CANARY_FLEET_LACKING);
        rc = NGX_OK;
    }

    ngx_canary_unlock(zone);

    return rc;
}


uint64_t
ngx_canary_fleet_to_forget(ngx_canary_zone_t *zone, ngx_str_t *node,
    const canary_actor_t *actor, uint64_t now, uint64_t till)
{
    uint64_t              number;
    ngx_canary_forget_t  *forget;

    number = 0;

    ngx_canary_lock(zone);

    if (zone->fleet) {
        forget = &zone->fleet->view.forget;

        if (forget->number == 0 || now >= forget->till) {
            number = ++zone->fleet->view.forgets;

            ngx_memzero(forget, sizeof(ngx_canary_forget_t));

            forget->number = number;
            forget->till = till;
            forget->actor = *actor;
            ngx_memcpy(forget->node, node->data,
                       ngx_min(node->len, CANARY_NAME_SIZE - 1));
        }
    }

    ngx_canary_unlock(zone);

    return number;
}


ngx_canary_forget_e
ngx_canary_fleet_forget_fate(ngx_canary_zone_t *zone, uint64_t number,
    ngx_uint_t over, uint64_t *value)
{
    ngx_canary_forget_e   state;
    ngx_canary_forget_t  *forget;

    state = NGX_CANARY_FORGET_LOST;

    ngx_canary_lock(zone);

    if (zone->fleet && zone->fleet->view.forget.number == number) {
        forget = &zone->fleet->view.forget;

        state = (ngx_canary_forget_e) forget->state;
        *value = forget->value;

        if (over || state > NGX_CANARY_FORGET_SENT) {
            forget->number = 0;
        }
    }

    ngx_canary_unlock(zone);

    return state;
}


ngx_int_t
ngx_canary_keep_other(ngx_canary_zone_t *zone, ngx_str_t *word,
    ngx_str_t *record)
{
    size_t               size;
    u_char              *p;
    ngx_canary_other_t  *other;

    ngx_canary_forget_other(zone, word);

    size = sizeof(ngx_canary_other_t) + word->len + record->len;

    if (zone->fleet->others_size + size
        > (size_t) (zone->pool->end - zone->pool->start)
          / NGX_CANARY_FLEET_OTHERS)
    {
        return NGX_ERROR;
    }

    other = ngx_slab_alloc_locked(zone->pool, size);
    if (other == NULL) {
        return NGX_ERROR;
    }

    other->word_len = word->len;
    other->len = record->len;
    other->next = zone->fleet->others;

    p = ngx_cpymem(other->text, word->data, word->len);
    ngx_memcpy(p, record->data, record->len);

    zone->fleet->others_size += size;
    __atomic_store_n(&zone->fleet->others, other, __ATOMIC_RELEASE);

    return NGX_OK;
}


void
ngx_canary_forget_other(ngx_canary_zone_t *zone, ngx_str_t *word)
{
    ngx_canary_other_t  *other, **next;

    for (next = &zone->fleet->others; *next; next = &(*next)->next) {
        other = *next;

        if (other->word_len == word->len
            && ngx_memcmp(other->text, word->data, word->len) == 0)
        {
            __atomic_store_n(next, other->next, __ATOMIC_RELEASE);

            zone->fleet->others_size -= sizeof(ngx_canary_other_t)
                                        + other->word_len + other->len;
            ngx_slab_free_locked(zone->pool, other);
            return;
        }
    }
}


void
ngx_canary_forget_others(ngx_canary_zone_t *zone)
{
    ngx_canary_other_t  *other;

    while ((other = zone->fleet->others) != NULL) {
        __atomic_store_n(&zone->fleet->others, other->next, __ATOMIC_RELEASE);
        ngx_slab_free_locked(zone->pool, other);
    }

    zone->fleet->others_size = 0;
}
