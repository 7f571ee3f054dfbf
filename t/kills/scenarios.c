
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "common.h"
#include "scenarios.h"
#include "world.h"

#include "canary_away.h"
#include "canary_event.h"
#include "canary_evidence_count.h"
#include "canary_evidence_layout.h"
#include "canary_judge_layout.h"
#include "canary_kept.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_state_file.h"
#include "canary_state_json.h"

#include "ngx_canary_process.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_routing.h"
#include "ngx_canary_control.h"


#define KILLS_ATTEMPTS  8    /* between two ticks: enough to be judged by */


static void ready(void);
static void begun(void);
static void begun_by_all_rules(void);
static void begun_and_halts(void);
static void pending_start(void);
static void pending_direct(void);
static void pending_advance(void);
static void paused(void);
static void halted(void);
static void about_to_step(void);
static void about_to_promote(void);
static void about_to_fall(void);
static void about_to_halt(void);
static void about_to_hold(void);
static void about_to_hold_and_pending(void);
static void holding(void);
static void failing(void);
static void ended(void);
static void left_in_flight(void);
static void foreign(void);
static void foreign_names(void);
static void without_endpoint(void);
static void without_canary(void);
static void without_stable(void);
static void with_more(void);
static void in_another_zone(void);

static void start(void);
static void start_by_all_rules(void);
static void direct(void);
static void pause_it(void);
static void resume(void);
static void advance(void);
static void promote(void);
static void roll_back(void);
static void patch_weight(void);
static void patch_rules(void);
static void look_on(void);
static void look_on_long(void);
static void all_bad(void);
static void canary_bad(void);
static void calm_down(void);
static void disk_fails(void);
static void enter(void);
static void leave(void);
static void reload(void);
static void reload_and_look_on(void);
static void stable_away(void);
static void canary_away(void);
static void whole_rollout(void);

static void kills_follow_me(const char *last_release);
static void kills_replace_state(const char *dir, const char *text,
    size_t len);
static void kills_hang(void);
static void kills_meet(ngx_uint_t side);


const kills_scenario_t  kills_scenarios[] = {
    { "start", ready, start, 0 },
    { "start by all rules", ready, start_by_all_rules, KILLS_OPEN },
    { "start written", pending_start, look_on, 0 },
    { "start again", ended, start, 0 },
    { "direct", ready, direct, 0 },
    { "direct written", pending_direct, look_on, 0 },
    { "pause", begun, pause_it, 0 },
    { "resume", paused, resume, 0 },
    { "resume after a halt", halted, resume, 0 },
    { "advance", begun, advance, 0 },
    { "advance written", pending_advance, look_on, 0 },
    { "promote", begun, promote, 0 },
    { "rollback", begun, roll_back, 0 },
    { "rollback of a pending advance", pending_advance, roll_back, 0 },
    { "PATCH of the weight", begun, patch_weight, 0 },
    { "PATCH of the rules", begun, patch_rules, KILLS_OPEN },
    { "control loop", begun, look_on_long, KILLS_LOOSE },
    { "control loop, all rules", begun_by_all_rules, look_on_long,
      KILLS_LOOSE|KILLS_OPEN },
    { "step", about_to_step, look_on, KILLS_LOOSE|KILLS_QUIET },
    { "promotion", about_to_promote, look_on, KILLS_LOOSE|KILLS_QUIET },
    { "trip", about_to_fall, canary_bad, KILLS_LOOSE },
    { "trip that halts", about_to_halt, canary_bad, KILLS_LOOSE },
    { "hold", about_to_hold, all_bad, KILLS_LOOSE|KILLS_OPEN },
    { "hold with a pending advance", about_to_hold_and_pending, all_bad,
      KILLS_LOOSE|KILLS_OPEN },
    { "end of a hold", holding, calm_down, KILLS_LOOSE|KILLS_OPEN },
    { "stable away and back", begun, stable_away, KILLS_LOOSE },
    { "stable away with a pending advance", pending_advance, stable_away,
      KILLS_LOOSE },
    { "canary that stays away", begun, canary_away, KILLS_LOOSE },
    { "disk that fails", pending_advance, disk_fails, KILLS_LOOSE },
    { "disk that fails at a start", pending_start, disk_fails, 0 },
    { "rollback of a pending start", pending_start, roll_back, 0 },
    { "disk that works again", failing, look_on, KILLS_LOOSE },
    { "another nginx's file", foreign, look_on, KILLS_LOOSE },
    { "names of another nginx", foreign_names, reload_and_look_on,
      KILLS_RELOAD|KILLS_LOOSE },
    { "process that enters", left_in_flight, enter, 0 },
    { "process that leaves", left_in_flight, leave, 0 },
    { "reload", begun, reload, KILLS_RELOAD },
    { "reload without the endpoint", without_endpoint, reload,
      KILLS_RELOAD },
    { "reload without the canary", without_canary, reload, KILLS_RELOAD },
    { "reload without stable", without_stable, reload, KILLS_RELOAD },
    { "reload with more", with_more, reload, KILLS_RELOAD },
    { "reload in another zone", in_another_zone, reload, KILLS_RELOAD },
    { "whole rollout", begun, whole_rollout, KILLS_LOOSE },
    { NULL, NULL, NULL, 0 }
};


/* What there is when it begins. */


static void
ready(void)
{
    kills_settle();
}


static void
begun(void)
{
    kills_do(kills_endpoint(0), CANARY_START, KILLS_PLAIN);
    kills_pass(4, KILLS_ATTEMPTS, 0, 0);
    kills_settle();
}


static void
begun_by_all_rules(void)
{
    kills_do(kills_endpoint(0), CANARY_START, KILLS_ALL);
    kills_pass(4, KILLS_ATTEMPTS, 0, 0);
    kills_settle();
}


static void
begun_and_halts(void)
{
    kills_do(kills_endpoint(0), CANARY_START, KILLS_HALTS);
    kills_pass(4, KILLS_ATTEMPTS, 0, 0);
    kills_settle();
}


static void
pending_start(void)
{
    kills_settle();
    (void) kills_command(kills_endpoint(0), CANARY_START, KILLS_PLAIN);
}


static void
pending_direct(void)
{
    kills_settle();
    (void) kills_command(kills_endpoint(0), CANARY_DIRECT, KILLS_PLAIN);
}


static void
pending_advance(void)
{
    begun();
    (void) kills_command(kills_endpoint(0), CANARY_ADVANCE, KILLS_PLAIN);
}


static void
paused(void)
{
    begun();
    kills_do(kills_endpoint(0), CANARY_PAUSE, KILLS_PLAIN);
    kills_settle();
}


static void
halted(void)
{
    about_to_halt();
    canary_bad();
    kills_settle();
}


static void
about_to_step(void)
{
    begun();

    while (canary_rollout_remaining(kills_rollout(kills_endpoint(0)),
                                    kills->now / 1000)
           > 2 * KILLS_TICK)
    {
        kills_pass(1, KILLS_ATTEMPTS, 0, 0);
    }
}


static void
about_to_promote(void)
{
    begun();
    kills_do(kills_endpoint(0), CANARY_ADVANCE, KILLS_PLAIN);

    while (canary_rollout_remaining(kills_rollout(kills_endpoint(0)),
                                    kills->now / 1000)
           > 2 * KILLS_TICK)
    {
        kills_pass(1, KILLS_ATTEMPTS, 0, 0);
    }
}


static void
about_to_fall(void)
{
    begun();
    kills_pass(1, KILLS_ATTEMPTS / 2, 0, 1);
}


static void
about_to_halt(void)
{
    begun_and_halts();
    kills_pass(1, KILLS_ATTEMPTS / 2, 0, 1);
}


static void
about_to_hold(void)
{
    kills_do(kills_endpoint(0), CANARY_START, KILLS_WAITS);
    kills_pass(4, KILLS_ATTEMPTS, 0, 0);
    kills_settle();
}


static void
about_to_hold_and_pending(void)
{
    about_to_hold();
    (void) kills_command(kills_endpoint(0), CANARY_ADVANCE, KILLS_PLAIN);
}


static void
holding(void)
{
    about_to_hold();
    all_bad();
}


static void
failing(void)
{
    pending_advance();
    kills->disk = NGX_ENOSPC;
    kills_ticks(4);
    kills->disk = 0;

    if (!kills_conf()->zone->failing) {
        kills_fail("the disk does not fail");
    }
}


/* one rollout after the other: what the first has left is used again */

static void
ended(void)
{
    begun();
    kills_do(kills_endpoint(0), CANARY_ROLLBACK, KILLS_PLAIN);
    kills->now += 2 * NGX_CANARY_QUARANTINE * 1000;
    kills_settle();
}


/* by a worker that was killed */

static void
left_in_flight(void)
{
    int    status;
    pid_t  pid;

    begun();

    pid = fork();

    if (pid == 0) {
        kills_become(NGX_PROCESS_WORKER);
        ngx_canary_begin_process(kills_conf());
        kills_hang();
        _exit(0);
    }

    (void) waitpid(pid, &status, 0);
}


static void
kills_hang(void)
{
    ngx_uint_t       i;
    canary_ticket_t  ticket;

    for (i = 0; i < 6; i++) {
        canary_evidence_start(kills_endpoint(0)->shared->evidence,
                              (uint32_t) ngx_canary_slot, i & 1,
                              &ticket);
    }
}


static void
foreign(void)
{
    begun();
    kills_follow_me(NULL);
}


/* when there is no place for another but that of an old one */

static void
foreign_names(void)
{
    char        conf[512];
    ngx_uint_t  n;

    kills_become(NGX_PROCESS_MASTER);

    for (n = 0; n < CANARY_RELEASES; n++) {
        (void) snprintf(conf, sizeof(conf), "canary_zone zone=canary:1m;"
                        "upstream ep { canary_release v1 m1;"
                        " canary_release v2 m2; canary_release x%lu m3; }"
                        "upstream other { canary_release v1 m1;"
                        " canary_release v2 m2; }", n);
        kills_write_conf(conf);
        kills_reload();
    }

    kills_become(NGX_PROCESS_WORKER);
    begun();
    kills_follow_me("a name that is new");
}


/* as another nginx does, which has no regard for our lock */

static void
kills_replace_state(const char *dir, const char *text, size_t len)
{
    char   new[NGX_MAX_PATH], name[NGX_MAX_PATH];
    FILE  *file;

    (void) snprintf(new, sizeof(new), "%s/state.json.new", dir);
    (void) snprintf(name, sizeof(name), "%s/state.json", dir);

    file = fopen(new, "w");

    if (file == NULL || fwrite(text, 1, len, file) != len
        || fclose(file) != 0 || rename(new, name) != 0)
    {
        kills_fail("the state file cannot be written");
    }
}


/* a file of another nginx, in which each rollout has gone on */

static void
kills_follow_me(const char *last_release)
{
    char                      *text, *dir, why[CANARY_STATE_ERROR];
    size_t                     len;
    unsigned                   i;
    canary_state_t            *state;
    canary_rollout_t          *rollout;
    canary_state_file_id_t     id;
    canary_state_file_error_t  error;

    dir = (char *) kills_conf()->state_path->name.data;

    if (canary_state_file_read(dir, CANARY_STATE_SIZE_MAX, &text, &len, &id,
                               &error)
        != 1)
    {
        kills_fail("there is no state file");
    }

    state = canary_state_json_read(text, len, why);
    state->writer++;

    for (i = 0; i < state->nendpoints; i++) {
        rollout = &state->endpoints[i].rollout;
        rollout->generation++;

        if (rollout->phase != CANARY_IDLE) {
            rollout->phase = CANARY_PAUSED;
        }

        if (last_release && rollout->phase != CANARY_IDLE) {
            rollout->last_number = rollout->number;
            rollout->last_result = CANARY_ROLLED_BACK;
            (void) ngx_cpystrn((u_char *) state->endpoints[i].last_release,
                               (u_char *) last_release, CANARY_NAME_SIZE);
        }
    }

    text = canary_state_json_write(state, &len);

    kills_replace_state(dir, text, len);
}


static void
without_endpoint(void)
{
    begun();
    kills_write_conf("canary_zone zone=canary:1m;"
                     "upstream other { canary_release v1 m1;"
                     " canary_release v2 m2; }");
}


static void
without_canary(void)
{
    begun();
    kills_write_conf("canary_zone zone=canary:1m;"
                     "upstream ep { canary_release v1 m1;"
                     " canary_release v3 m3; }"
                     "upstream other { canary_release v1 m1;"
                     " canary_release v2 m2; }");
}


static void
without_stable(void)
{
    begun();
    kills_write_conf("canary_zone zone=canary:1m;"
                     "upstream ep { canary_release v3 m3;"
                     " canary_release v2 m2; }"
                     "upstream other { canary_release v3 m3;"
                     " canary_release v2 m2; }");
}


static void
with_more(void)
{
    begun();
    kills_write_conf("canary_zone zone=canary:1m;"
                     "upstream ep { canary_release v1 m1;"
                     " canary_release v2 m2; canary_release v4 m3; }"
                     "upstream third { canary_release v1 m1;"
                     " canary_release v2 m2; }");
}


static void
in_another_zone(void)
{
    begun();
    kills_write_conf("canary_zone zone=canary:1200k;"
                     "upstream ep { canary_release v1 m1;"
                     " canary_release v2 m2; }"
                     "upstream other { canary_release v1 m1;"
                     " canary_release v2 m2; }");
}


/* What then happens. */


static void
start(void)
{
    (void) kills_command(kills_endpoint(0), CANARY_START, KILLS_PLAIN);
    kills_ticks(4);
}


static void
start_by_all_rules(void)
{
    (void) kills_command(kills_endpoint(0), CANARY_START, KILLS_ALL);
    kills_ticks(4);
}


static void
direct(void)
{
    (void) kills_command(kills_endpoint(0), CANARY_DIRECT, KILLS_PLAIN);
    kills_ticks(4);
}


static void
pause_it(void)
{
    (void) kills_command(kills_endpoint(0), CANARY_PAUSE, KILLS_PLAIN);
    kills_ticks(2);
}


static void
resume(void)
{
    (void) kills_command(kills_endpoint(0), CANARY_RESUME, KILLS_PLAIN);
    kills_ticks(4);
}


static void
advance(void)
{
    (void) kills_command(kills_endpoint(0), CANARY_ADVANCE, KILLS_PLAIN);
    kills_ticks(4);
}


static void
promote(void)
{
    (void) kills_command(kills_endpoint(0), CANARY_PROMOTE, KILLS_PLAIN);
    kills_ticks(4);
}


static void
roll_back(void)
{
    (void) kills_command(kills_endpoint(0), CANARY_ROLLBACK, KILLS_PLAIN);
    kills_ticks(2);
}


static void
patch_weight(void)
{
    (void) kills_command(kills_endpoint(0), CANARY_PATCH, KILLS_PLAIN);
    kills_ticks(4);
}


static void
patch_rules(void)
{
    (void) kills_command(kills_endpoint(0), CANARY_PATCH, KILLS_ALL);
    kills_ticks(4);
}


static void
look_on(void)
{
    kills_ticks(4);
}


static void
look_on_long(void)
{
    kills_pass(40, KILLS_ATTEMPTS, 0, 0);
}


static void
canary_bad(void)
{
    kills_pass(4, KILLS_ATTEMPTS, 0, 1);
}


static void
all_bad(void)
{
    ngx_uint_t          n;
    canary_evidence_t  *evidence;

    for (n = 0; n < 100; n++) {
        kills_traffic(kills_endpoint(0), KILLS_ATTEMPTS * 4, 1, 1);
        kills_tick();

        evidence = kills_endpoint(0)->shared->evidence;

        if (evidence == NULL || canary_judge(evidence)->holding) {
            break;
        }
    }

    if (n == 100 || evidence == NULL) {
        kills_fail("it does not hold: %s",
                   ngx_canary_record(kills_endpoint(0)->shared)
                       ->last_reason);
    }

    kills_pass(2, KILLS_ATTEMPTS, 1, 1);
}


static void
calm_down(void)
{
    kills->now += 10 * 1000 * 1000;
    kills_pass(4, KILLS_ATTEMPTS, 0, 0);
}


static void
stable_away(void)
{
    kills_meet(CANARY_SIDE_STABLE);
    kills_ticks(2);
    kills_meet(CANARY_SIDE_STABLE);
    kills_ticks(2);

    kills_pass(CANARY_AWAY_QUIET / KILLS_TICK + 4, KILLS_ATTEMPTS, 0, 0);
}


static void
canary_away(void)
{
    kills_meet(CANARY_SIDE_CANARY);
    kills_ticks(2);

    kills->now += 30 * 1000 * 1000;
    kills_ticks(2);
}


/* no live server, as a worker does */

static void
kills_meet(ngx_uint_t side)
{
    ngx_canary_endpoint_t  *endpoint;

    endpoint = kills_endpoint(0);

    canary_away_meet(&endpoint->shared->away[side],
                     ngx_canary_route(endpoint).epoch, kills->now / 1000);
}


static void
disk_fails(void)
{
    kills->disk = NGX_ENOSPC;
    kills_ticks(4);
    kills->disk = 0;
    kills_ticks(4);
}


static void
enter(void)
{
    ngx_canary_begin_process(kills_conf());
}


static void
leave(void)
{
    kills->kind = 0;
    ngx_canary_begin_process(kills_conf());
    kills_hang();
    kills->kind = -1;

    ngx_canary_leave_process(kills_conf());
}


static void
reload(void)
{
    kills_become(NGX_PROCESS_MASTER);
    kills_reload();
}


/* by the helper of the configuration that is the last one */

static void
reload_and_look_on(void)
{
    kills->kind = 0;
    reload();
    kills_become(NGX_PROCESS_WORKER);
    ngx_canary_begin_process(kills_conf());
    kills->kind = -1;

    kills_ticks(6);
}


static void
whole_rollout(void)
{
    kills_pass(60, KILLS_ATTEMPTS, 0, 0);
}
