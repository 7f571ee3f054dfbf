
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef KILLS_DRIVER_H
#define KILLS_DRIVER_H


#include "ngx_http_canary_module.h"

#include "kills.h"


/* What happens, from when and until when a process may die of it. */

typedef struct {
    const char   *name;
    void        (*prepare)(void);    /* undisturbed */
    void        (*act)(void);        /* dies before each of its stores */
    ngx_uint_t    parts;             /* of these: */
} kills_scenario_t;

#define KILLS_LOOSE   1    /* it makes several changes: what they come to is
                              between before and after */
#define KILLS_RELOAD  2    /* a reload follows, as the one that died */
#define KILLS_QUIET   8    /* without another attempt it comes to what it comes
                              to undisturbed, unless evidence is torn */
#define KILLS_OPEN    4    /* its rules take long to pass: a person promotes */


/* Rules of a rollout. */

typedef enum {
    KILLS_PLAIN = 0,       /* one, with a small number of attempts */
    KILLS_ALL,             /* of each kind */
    KILLS_WAITS,           /* of each kind, and its step lasts */
    KILLS_HALTS
} kills_rules_e;


/* driver.c */

void kills_fail(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));
ngx_http_canary_main_conf_t *kills_conf(void);
ngx_http_canary_endpoint_t *kills_endpoint(ngx_uint_t n);
canary_rollout_t *kills_rollout(ngx_http_canary_endpoint_t *endpoint);
void kills_write_conf(const char *http);


/* world.c: what workers, the helper and people do */

#define KILLS_TICK  50    /* ms */

/* this process is one that nginx has just started, or of another kind */
void kills_become(ngx_uint_t process);

/* the control loop and the writer, after 50 ms; traffic before each */
void kills_tick(void);
void kills_ticks(ngx_uint_t n);
void kills_traffic(ngx_http_canary_endpoint_t *endpoint, ngx_uint_t attempts,
    ngx_uint_t bad_stable, ngx_uint_t bad_canary);
void kills_pass(ngx_uint_t n, ngx_uint_t attempts, ngx_uint_t bad_stable,
    ngx_uint_t bad_canary);

/* until nothing is pending, and the file has everything */
void kills_settle(void);

ngx_http_canary_section_e kills_command(
    ngx_http_canary_endpoint_t *endpoint, canary_verb_t verb,
    kills_rules_e rules);

/* the same, until it has taken effect */
void kills_do(ngx_http_canary_endpoint_t *endpoint, canary_verb_t verb,
    kills_rules_e rules);

void kills_reload(void);


/* invariants.c */

void kills_check_words(void);
void kills_check_memory(void);
void kills_check_events(void);
void kills_check_file(void);


/* scenarios.c */

extern const kills_scenario_t  kills_scenarios[];


#endif /* KILLS_DRIVER_H */
