
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "common.h"
#include "invariants.h"
#include "scenarios.h"
#include "world.h"

#include "canary_judge.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_events_file.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_process.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_judge.h"
#include "ngx_canary_snapshot.h"
#include "ngx_canary_routing.h"
#include "ngx_canary_control.h"


/*
 * Every store can be the last one
 *
 * A process of nginx may be killed at any time, and nginx starts another one.
 * It gives back the lock that the dead one had, and nothing else: the zone
 * stays as it is, with a change half done.  So the rule for all who write to
 * the zone is:
 *
 *     Each order of writes is harmless at any point, or what is missing is
 *     seen and done by who looks next.
 *
 * That is:
 *
 *   - What is new is written where nobody looks yet; then one store makes it
 *     count (the record and "current", an event and the record that has its
 *     number, memory and the pointer to it).  That store is an atomic one that
 *     releases, so that the compiler keeps the others before it.
 *   - Memory is taken out of one list before it is put into another: a
 *     process that dies loses it, which is a leak of that size, and never in
 *     two.
 *   - A fact is in one place.  What follows from it, the routing word from the
 *     record, is computed again by whoever looks.
 *   - Where that cannot be done in one store, a mark says that it is being
 *     done, before and after (busy, basing).  Who finds the mark set
 *     does it anew: see ngx_canary_mend().
 *   - A number that must not be used twice is raised before it is used.
 *
 * This is the test of it, as SQLite tests errors of I/O: something happens,
 * and before each of its stores to the zone it is killed.  The module is
 * instrumented (kills.h), so that no store has to be marked, and none can be
 * forgotten; only those of nginx's own slab allocator are not counted.
 *
 * nginx runs as a single process, whose module this is.  It prepares the zone
 * in a child, keeps a copy of all of it, and has a child do what is to be
 * tested once in full, which is counted.  Then for each number N:  the zone
 * gets what the copy has, a child does it again until it is killed before
 * store N, the lock is given back as nginx does, and a last child is the one
 * who looks next: as the helper, as a worker that sees a failure, as one that
 * answers the API, or as one that is given a command.  It looks, checks what
 * is to be true, and sees the rollout through with a canary that is good, or
 * bad.  For some N it is killed while it mends, and another one looks.
 *
 * Times are simulated, the disk is not: the state file is written and read.
 *
 * From the environment, when the module is loaded:
 *
 *   KILLS_STRIDE  0: a sample, by KILLS_SEED; 1: each store; n: each nth
 *   KILLS_PART    I/N: the scenarios of which I is one of N parts
 *   KILLS_ONLY    the name of a scenario
 *   KILLS_AT      one number N, to see it again
 *
 * It prints a line "ok NAME: ..." or "not ok NAME: ..." for each scenario, and
 * for each failure where the process was killed, who looked next and what was
 * not right.
 */


#define KILLS_BEGIN      (1000ull * 1000 * 1000)    /* us, of the clock */
#define KILLS_SECONDS    30    /* until a process hangs */
#define KILLS_FAILURES   5     /* shown of a scenario */
#define KILLS_SOME       20    /* any more that are tried, in a sample */
#define KILLS_DEATHS     160   /* with room for so many all look, each first */
#define KILLS_MANY       10000 /* the same, when it is not a sample */
#define KILLS_CODE       (4 << 20)    /* bytes of the module, at most */


typedef enum {
    KILLS_BY_HELPER = 0,
    KILLS_BY_API,
    KILLS_BY_FAILURE,
    KILLS_BY_COMMAND,
    KILLS_LOOKS
} kills_look_e;


/* A child that did not end as it should. */

typedef struct {
    int   signal;
    int   failed;
    char  text[512];
} kills_end_t;


typedef struct {
    u_char        *zone;
    size_t         size;
    uint64_t       now;
    off_t          events;    /* bytes of their file */
} kills_copy_t;


static void kills_environment(void) __attribute__((constructor));
static ngx_int_t kills_init_process(ngx_cycle_t *cycle);
static ngx_uint_t kills_run(const kills_scenario_t *scenario);
static ngx_uint_t kills_run_all(const kills_scenario_t *scenario);
static void kills_undisturbed(const kills_scenario_t *scenario,
    kills_end_t *end);
static ngx_uint_t kills_one(const kills_scenario_t *scenario, uint64_t n,
    ngx_uint_t look);
static ngx_uint_t kills_choose(uint32_t total);
static uint64_t kills_hash(uint64_t n);
static void kills_clear(void);
static void kills_keep(kills_copy_t *copy);
static void kills_restore(const kills_copy_t *copy);
static void kills_child(kills_end_t *end, const kills_scenario_t *scenario,
    void (*run)(const kills_scenario_t *scenario));
static void kills_prepare(const kills_scenario_t *scenario);
static void kills_act(const kills_scenario_t *scenario);
static void kills_die_looking(const kills_scenario_t *scenario);
static void kills_look_next(const kills_scenario_t *scenario);
static void kills_look(kills_look_e look);
static ngx_uint_t kills_is_torn(void);
static void kills_check_quiet(void);
static void kills_check_change(const kills_scenario_t *scenario);
static void kills_see_through(const kills_scenario_t *scenario,
    ngx_uint_t good);
static void kills_unlock(pid_t pid);
static void kills_state(char *path, size_t size, const char *name);
static void kills_read_conf(void);
static void kills_report(const kills_scenario_t *scenario, uint64_t n,
    const kills_end_t *end);


static const char *const  kills_look_names[] = {
    "the helper", "the API", "a worker that sees a failure", "a command"
};

static ngx_uint_t                 kills_stride;
static uint64_t                   kills_seed;
static ngx_uint_t                 kills_part, kills_parts;
static const char                *kills_only;
static uint64_t                   kills_at;

static pid_t                      kills_pid;
static kills_copy_t               kills_start, kills_before;
static ngx_canary_record_t       *kills_records;      /* before, and after */
static kills_look_e               kills_who;
static ngx_uint_t                 kills_good;
static uint64_t                   kills_deaths;
static char                       kills_http[4096];   /* as it began */
static uint8_t                    kills_chosen[KILLS_SITES];
static uint8_t                    kills_seen[KILLS_CODE];


static ngx_http_module_t  kills_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  ngx_http_canary_kills_module = {
    NGX_MODULE_V1,
    &kills_module_ctx,
    NULL,
    NGX_HTTP_MODULE,
    NULL,
    NULL,
    kills_init_process,
    NULL,
    NULL,
    NULL,
    NULL,
    NGX_MODULE_V1_PADDING
};


ngx_module_t *ngx_modules[] = { &ngx_http_canary_kills_module, NULL };
char *ngx_module_names[] = { "ngx_http_canary_kills_module", NULL };
char *ngx_module_order[] = { NULL };


static void
kills_environment(void)
{
    const char  *text;

    text = getenv("KILLS_STRIDE");
    kills_stride = text ? strtoul(text, NULL, 10) : 0;

    text = getenv("KILLS_SEED");
    kills_seed = text ? strtoull(text, NULL, 10) : 1;

    text = getenv("KILLS_PART");
    kills_parts = 1;

    if (text) {
        (void) sscanf(text, "%lu/%lu", &kills_part, &kills_parts);
    }

    text = getenv("KILLS_AT");
    kills_at = text ? strtoull(text, NULL, 10) : 0;

    kills_only = getenv("KILLS_ONLY");
    kills_only = kills_only ? strdup(kills_only) : NULL;
}


static ngx_int_t
kills_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t               i, failed;
    const kills_scenario_t  *scenario;

    /* nginx would wait for our children, and survive what ends a hang */

    (void) signal(SIGCHLD, SIG_DFL);
    (void) signal(SIGALRM, SIG_DFL);

    kills->simulated = 1;
    kills->now = KILLS_BEGIN;

    kills_records = mmap(NULL, 4 * sizeof(ngx_canary_record_t),
                         PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1,
                         0);

    kills_read_conf();
    kills_keep(&kills_start);

    failed = 0;

    for (scenario = kills_scenarios, i = 0; scenario->name; scenario++, i++) {
        if (kills_only ? strcmp(kills_only, scenario->name) == 0
                       : i % kills_parts == kills_part)
        {
            failed += kills_run(scenario);
        }
    }

    exit(failed ? 1 : 0);
}


static ngx_uint_t
kills_run(const kills_scenario_t *scenario)
{
    ngx_uint_t   failed;
    kills_end_t  end;

    kills_write_conf(kills_http);
    kills_clear();
    kills_restore(&kills_start);

    kills_child(&end, scenario, kills_prepare);

    if (end.failed) {
        printf("not ok %s: it cannot be prepared: %s%s\n", scenario->name,
               end.text, end.signal ? ", it crashed" : "");
        fflush(stdout);
        return 1;
    }

    kills_keep(&kills_before);

    failed = kills_run_all(scenario);

    free(kills_before.zone);

    return failed;
}


/* once undisturbed, then up to each of the stores that were counted */

static ngx_uint_t
kills_run_all(const kills_scenario_t *scenario)
{
    uint32_t     n, total;
    ngx_uint_t   chosen, looks, look, failed;
    kills_end_t  end;

    kills_undisturbed(scenario, &end);

    total = (uint32_t) kills->count;

    if (end.failed || total > KILLS_SITES) {
        printf("not ok %s: undisturbed: %s\n", scenario->name,
               end.failed ? end.text : "too many stores");
        fflush(stdout);
        return 1;
    }

    chosen = kills_choose(total);
    failed = 0;
    kills_deaths = 0;

    looks = (kills_stride ? KILLS_MANY : KILLS_DEATHS) / (chosen + 1);
    looks = ngx_max(1, ngx_min(looks, KILLS_LOOKS));

    for (n = 0; n < total; n++) {
        for (look = 0; kills_chosen[n] && look < looks; look++) {
            failed += kills_one(scenario, n, look);

            if (failed >= KILLS_FAILURES) {
                n = total;
                break;
            }
        }
    }

    printf("%s %s: %u stores, %lu of them the last one, %lu times killed%s\n",
           failed ? "not ok" : "ok", scenario->name, total, chosen,
           kills_deaths, total ? "" : ", which is no test");
    fflush(stdout);

    return failed || total == 0;
}


/* and all that is asked of it then */

static void
kills_undisturbed(const kills_scenario_t *scenario, kills_end_t *end)
{
    kills->count = 0;
    kills->nsites = 0;
    kills->room = KILLS_SITES;

    for (kills_good = 0; kills_good < 2; kills_good++) {
        kills->left = -1;

        kills_restore(&kills_before);
        kills_child(end, scenario, kills_act);

        kills->room = 0;

        if (!end->failed) {
            kills_who = KILLS_BY_HELPER;
            kills_child(end, scenario, kills_look_next);
        }

        if (end->failed) {
            return;
        }
    }

    kills->count /= 2;
}


/*
 * Which numbers are tried.  In a sample: of each place in the source the first
 * and the last time, and some of the others.
 */

static ngx_uint_t
kills_choose(uint32_t total)
{
    uint32_t    i, n;
    ngx_uint_t  chosen, some;

    some = total / KILLS_SOME + 1;

    for (i = 0; i < total; i++) {
        kills_chosen[i] = kills_at ? (i == kills_at)
                          : kills_stride ? (i % kills_stride == 0)
                          : (kills_hash(kills_seed + i) % some == 0);
    }

    if (!kills_at && !kills_stride) {
        ngx_memzero(kills_seen, KILLS_CODE);

        for (i = 0; i < total; i++) {
            kills_chosen[i] |= !kills_seen[kills->sites[i] % KILLS_CODE];
            kills_seen[kills->sites[i] % KILLS_CODE] = 1;
        }

        for (n = total; n; n--) {
            i = kills->sites[n - 1] % KILLS_CODE;
            kills_chosen[n - 1] |= kills_seen[i];
            kills_seen[i] = 0;
        }
    }

    for (i = 0, chosen = 0; i < total; i++) {
        chosen += kills_chosen[i];
    }

    return chosen;
}


static uint64_t
kills_hash(uint64_t n)
{
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9ull;
    n = (n ^ n >> 27) * 0x94d049bb133111ebull;

    return n ^ n >> 31;
}


static ngx_uint_t
kills_one(const kills_scenario_t *scenario, uint64_t n, ngx_uint_t look)
{
    uint64_t     hash;
    kills_end_t  end;

    hash = kills_hash(kills_seed * 1000003 + n);
    kills_who = (hash + look) % KILLS_LOOKS;
    kills_good = (hash / KILLS_LOOKS + look) % 2;

    kills_restore(&kills_before);

    kills->left = (int64_t) n;
    kills_child(&end, scenario, kills_act);

    if (end.signal != SIGKILL) {
        end.failed = 1;

        if (end.text[0] == '\0') {
            ngx_sprintf((u_char *) end.text,
                        "it was not killed: it is not the same each time%Z");
        }

        kills_report(scenario, n, &end);
        return 1;
    }

    kills_deaths++;

    /* and some of those who mend are killed as well */

    if (hash / 64 % 8 == 0) {
        kills->left = (int64_t) (hash / 1024 % 200);
        kills_child(&end, scenario, kills_die_looking);

        if (end.failed && end.signal != SIGKILL) {
            kills_report(scenario, n, &end);
            return 1;
        }

        kills_deaths += (end.signal == SIGKILL);
    }

    kills->left = -1;
    kills_child(&end, scenario, kills_look_next);

    if (end.failed) {
        kills_report(scenario, n, &end);
    }

    return end.failed != 0;
}


static void
kills_report(const kills_scenario_t *scenario, uint64_t n,
    const kills_end_t *end)
{
    printf("# %s, KILLS_AT=%llu, killed at 0x%lx; looks next: %s, the canary "
           "is %s: %s%s\n", scenario->name, (unsigned long long) n,
           (unsigned long) kills->site, kills_look_names[kills_who],
           kills_good ? "good" : "bad", end->text,
           (end->signal && end->signal != SIGKILL) ? " it crashed" : "");
    fflush(stdout);
}


/* The world as it was: the zone, the state file, the time. */


static void
kills_keep(kills_copy_t *copy)
{
    char         file[NGX_MAX_PATH], kept[NGX_MAX_PATH];
    struct stat  st;

    copy->size = kills_conf()->shm_zone->shm.size;
    copy->zone = malloc(copy->size);
    copy->now = kills->now;

    ngx_memcpy(copy->zone, kills_conf()->shm_zone->shm.addr, copy->size);

    kills_state(file, sizeof(file), "state.json");
    kills_state(kept, sizeof(kept), "kept.json");
    (void) unlink(kept);
    (void) link(file, kept);

    kills_state(file, sizeof(file), CANARY_EVENTS_FILE);
    copy->events = (stat(file, &st) == 0) ? st.st_size : 0;
}


static void
kills_restore(const kills_copy_t *copy)
{
    char  file[NGX_MAX_PATH], kept[NGX_MAX_PATH];

    ngx_memcpy(kills_conf()->shm_zone->shm.addr, copy->zone, copy->size);

    kills->now = copy->now;

    kills_state(file, sizeof(file), "state.json");
    kills_state(kept, sizeof(kept), "kept.json");
    (void) unlink(file);
    (void) link(kept, file);

    /* it is only appended to */

    kills_state(file, sizeof(file), CANARY_EVENTS_FILE);

    if (truncate(file, copy->events) == -1 && errno != ENOENT) {
        kills_fail("truncate() of %s: %s", file, strerror(errno));
    }
}


static void
kills_clear(void)
{
    char  path[NGX_MAX_PATH];

    kills_state(path, sizeof(path), "state.json");
    (void) unlink(path);
    kills_state(path, sizeof(path), "kept.json");
    (void) unlink(path);
    kills_state(path, sizeof(path), CANARY_EVENTS_FILE);
    (void) unlink(path);
}


static void
kills_state(char *path, size_t size, const char *name)
{
    (void) snprintf(path, size, "%s/%s",
                    (char *) kills_conf()->state_path->name.data, name);
}


static void
kills_read_conf(void)
{
    FILE  *file;

    file = kills_open_conf("r");

    if (fread(kills_http, 1, sizeof(kills_http) - 1, file) == 0) {
        kills_fail("http.conf is empty");
    }

    (void) fclose(file);
}


/* Children. */


static void
kills_child(kills_end_t *end, const kills_scenario_t *scenario,
    void (*run)(const kills_scenario_t *scenario))
{
    int      fds[2], status;
    ssize_t  n;

    if (pipe(fds) == -1) {
        abort();
    }

    kills->disk = 0;
    kills_pid = fork();

    if (kills_pid == 0) {
        (void) close(fds[0]);
        kills_pipe = fds[1];
        (void) alarm(KILLS_SECONDS);

        run(scenario);

        _exit(0);
    }

    (void) close(fds[1]);

    n = read(fds[0], end->text, sizeof(end->text) - 1);
    end->text[n > 0 ? n : 0] = '\0';

    (void) close(fds[0]);
    (void) waitpid(kills_pid, &status, 0);

    end->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    end->failed = (status != 0);

    if (end->signal == SIGALRM) {
        ngx_sprintf((u_char *) end->text, "it hangs%Z");
    }

    kills->kind = 0;
    kills_unlock(kills_pid);
}


/* as nginx does when a process has died */

static void
kills_unlock(pid_t pid)
{
    (void) ngx_shmtx_force_unlock(&kills_conf()->zone->pool->mutex, pid);
}


static void
kills_prepare(const kills_scenario_t *scenario)
{
    kills_become(NGX_PROCESS_WORKER);
    ngx_canary_begin_process(kills_conf());
    kills_ticks(2);

    scenario->prepare();

    /* its number will be that of another process before long */

    ngx_canary_leave_process(kills_conf());
}


static void
kills_act(const kills_scenario_t *scenario)
{
    ngx_uint_t  i;

    kills_become(NGX_PROCESS_WORKER);

    for (i = 0; i < 2; i++) {
        kills_records[i] = *ngx_canary_record(kills_endpoint(i)->shared);
    }

    kills->kind = -1;
    scenario->act();
    kills->kind = 0;

    if (kills->left < 0 && kills->room) {
        for (i = 0; i < 2 && i < kills_conf()->endpoints.nelts; i++) {
            kills_records[2 + i]
                = *ngx_canary_record(kills_endpoint(i)->shared);
        }
    }
}


static void
kills_die_looking(const kills_scenario_t *scenario)
{
    (void) scenario;

    kills_become(NGX_PROCESS_WORKER);

    kills->kind = -1;
    kills_look(kills_who);
    ngx_canary_begin_process(kills_conf());
    kills_ticks(2);
    kills->kind = 0;
}


/* Who looks next: what is to be true, from then on and in the end. */


static void
kills_look_next(const kills_scenario_t *scenario)
{
    ngx_uint_t  torn;

    kills_become(NGX_PROCESS_WORKER);

    torn = kills_is_torn();

    kills_look(kills_who);

    /* of a master that died nobody looks next, but in our reload */

    if (!(scenario->parts & KILLS_RELOAD)
        && (kills_who == KILLS_BY_HELPER || kills_who == KILLS_BY_API))
    {
        kills_check_words();
        kills_check_change(scenario);
    }

    ngx_canary_begin_process(kills_conf());

    if (scenario->parts & KILLS_RELOAD) {
        kills_become(NGX_PROCESS_MASTER);
        kills_reload();
        kills_become(NGX_PROCESS_WORKER);
        ngx_canary_begin_process(kills_conf());
    }

    kills_settle();

    kills_check_words();
    kills_check_memory();
    kills_check_events();
    kills_check_file();

    if ((scenario->parts & KILLS_QUIET) && !torn
        && kills_who != KILLS_BY_COMMAND)
    {
        kills_check_quiet();
    }

    kills_see_through(scenario, kills_good);
    kills_settle();

    kills_check_words();
    kills_check_memory();
    kills_check_events();
    kills_check_file();
}


static void
kills_look(kills_look_e look)
{
    ngx_uint_t             i;
    canary_route_t         route;
    ngx_canary_snapshot_t  snapshot;

    switch (look) {

    case KILLS_BY_HELPER:
        kills_tick();
        break;

    case KILLS_BY_API:
        for (i = 0; i < kills_conf()->endpoints.nelts; i++) {
            ngx_canary_snapshot(kills_endpoint(i), &snapshot);
        }

        break;

    case KILLS_BY_FAILURE:
        route = ngx_canary_route(kills_endpoint(0));
        ngx_canary_trip(kills_endpoint(0), route.epoch, ngx_cycle->log);
        break;

    default: /* KILLS_BY_COMMAND */
        (void) kills_command(kills_endpoint(0), CANARY_PAUSE, KILLS_PLAIN);
        break;
    }
}


static ngx_uint_t
kills_is_torn(void)
{
    ngx_canary_shared_t  *shared;

    shared = kills_endpoint(0)->shared;

    return shared->evidence
           && canary_judge_is_behind(shared->evidence,
                                     kills_rollout(kills_endpoint(0)));
}


/* all was known: it has happened by now, though nothing has come since */

static void
kills_check_quiet(void)
{
    canary_rollout_t  *now, *after;

    kills_ticks(6);

    now = kills_rollout(kills_endpoint(0));
    after = &kills_records[2].rollout;

    if (now->phase != after->phase || now->weight != after->weight) {
        kills_fail("nothing has come since, and it is %s %u, not %s %u",
                   canary_phase_name(now->phase), now->weight,
                   canary_phase_name(after->phase), after->weight);
    }
}


/* it has happened or it has not */

static void
kills_check_change(const kills_scenario_t *scenario)
{
    ngx_uint_t         i;
    canary_rollout_t  *now, *before, *after;

    for (i = 0; i < 2; i++) {
        now = kills_rollout(kills_endpoint(i));
        before = &kills_records[i].rollout;
        after = &kills_records[2 + i].rollout;

        if (now->generation < before->generation) {
            kills_fail("generation %llu after %llu",
                       (unsigned long long) now->generation,
                       (unsigned long long) before->generation);
        }

        if ((scenario->parts & KILLS_LOOSE)
            || (now->phase == before->phase && now->weight == before->weight
                && now->stable == before->stable
                && now->number == before->number)
            || (now->phase == after->phase && now->weight == after->weight
                && now->stable == after->stable
                && now->number == after->number))
        {
            continue;
        }

        kills_fail("it is %s %u, and was to be %s %u or %s %u",
                   canary_phase_name(now->phase), now->weight,
                   canary_phase_name(before->phase), before->weight,
                   canary_phase_name(after->phase), after->weight);
    }
}


/* a good canary is promoted, a bad one falls */

static void
kills_see_through(const kills_scenario_t *scenario, ngx_uint_t good)
{
    ngx_uint_t              n;
    canary_rollout_t       *rollout;
    ngx_canary_endpoint_t  *endpoint;

    endpoint = kills_endpoint(0);
    rollout = kills_rollout(endpoint);

    if (rollout->phase == CANARY_IDLE) {
        kills_do(endpoint, CANARY_START, KILLS_PLAIN);

    } else if (rollout->phase == CANARY_PAUSED
               || rollout->phase == CANARY_HALTED)
    {
        kills_do(endpoint, CANARY_RESUME, KILLS_PLAIN);
    }

    /* an outage of stable may have been a while ago */

    for (n = 0; n < (good ? 1000 : 400); n++) {
        rollout = kills_rollout(endpoint);

        if (rollout->phase == CANARY_IDLE || rollout->phase == CANARY_HALTED) {
            break;
        }

        kills_pass(1, 16, 0, !good);

        if (good && n == 100 && (scenario->parts & KILLS_OPEN)) {
            kills_do(endpoint, CANARY_PROMOTE, KILLS_PLAIN);
        }
    }

    rollout = kills_rollout(endpoint);

    if (good && rollout->last_result != CANARY_PROMOTED) {
        kills_fail("it is not promoted, but %s at %u, %s",
                   canary_phase_name(rollout->phase), rollout->weight,
                   canary_result_name(rollout->last_result));
    }

    if (!good && rollout->phase != CANARY_HALTED
        && (rollout->phase != CANARY_IDLE
            || rollout->last_result != CANARY_ROLLED_BACK))
    {
        kills_fail("it does not fall, but is %s at %u, %s",
                   canary_phase_name(rollout->phase), rollout->weight,
                   canary_result_name(rollout->last_result));
    }
}
