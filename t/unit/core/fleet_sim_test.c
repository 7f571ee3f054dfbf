
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * A whole fleet in random schedules of writes, deaths, partitions and losses
 * of data.  FLEET_SCHEDULES=n: so many; FLEET_SEED=n: the first, and only that
 * one unless there is a number of them.
 */


#include "fleet_sim.h"


#define SCHEDULES  2000
#define CHAOS      20000       /* ms of a schedule */
#define PEACE      16000       /* and until all are equal: a node is gone, then
                                  data are young */


static node_t  nodes[NODES];


/* Writes: what people and a leader do. */


static int
serves(const sim_t *sim, int n)
{
    return sim->nodes[n].alive
           && (canary_fleet_reached(&sim->nodes[n].fleet)
               || sim->nodes[n].fleet.state == CANARY_FLEET_ISOLATED);
}


/* a copy of what is in effect, as the next generation */

static content_t
follow(sim_t *sim, int n, unsigned endpoint)
{
    content_t  next;

    next = sim->nodes[n].ours[endpoint];
    next.head.generation++;
    next.head.uid = canary_fleet_uid(&sim->nodes[n].fleet);
    next.writes[sim->nwrites / 64] |= 1ull << sim->nwrites % 64;

    sim->writes[sim->nwrites].node = n;
    sim->writes[sim->nwrites].endpoint = endpoint;

    return next;
}


static void
go_to(content_t *content, unsigned step)
{
    content->step = step;
    content->head.weight = step * STEP;
    content->head.phase = (content->head.weight == CANARY_ONE)
                          ? CANARY_BAKING : CANARY_PROGRESSING;
}


static void
end(content_t *content, canary_rollout_result_t result)
{
    content->step = 0;
    content->head.weight = 0;
    content->head.phase = CANARY_IDLE;
    content->head.result = result;
    content->head.canary[0] = '\0';
}


static void
expose(sim_t *sim, int n, unsigned endpoint, const content_t *content,
    canary_fleet_mode_t mode)
{
    node_t  *node;

    node = &sim->nodes[n];

    if (canary_fleet_propose(&node->fleet, endpoint, &content->head, mode,
                             sim_local(sim, n)))
    {
        node->proposed[endpoint] = *content;
        sim->nwrites++;
    }

    sim_drain(sim, n);
}


static void
stop(sim_t *sim, int n, unsigned endpoint, const content_t *content)
{
    sim->writes[sim->nwrites++].stops = 1;

    sim_effect(sim, n, endpoint, content);
    canary_fleet_stopped(&sim->nodes[n].fleet, endpoint, &content->head);
    sim_file(sim, n, endpoint, content, 0);
    sim_drain(sim, n);
}


static void
verb(sim_t *sim, int n, unsigned endpoint)
{
    content_t  next;

    next = follow(sim, n, endpoint);

    if (next.head.phase == CANARY_IDLE) {
        next.head.number++;
        next.begun = sim->now;
        next.head.result = CANARY_NO_RESULT;
        strcpy(next.head.canary, "v2");
        go_to(&next, 1);
        expose(sim, n, endpoint, &next, CANARY_FLEET_EXPOSE);
        return;
    }

    switch (unit_below(&sim->random, 6)) {

    case 0:
        end(&next, CANARY_PROMOTED);
        expose(sim, n, endpoint, &next, CANARY_FLEET_EXPOSE);
        return;

    case 1:
    case 2:
        end(&next, CANARY_ROLLED_BACK);
        stop(sim, n, endpoint, &next);
        return;

    case 3:
        if (next.head.phase == CANARY_PAUSED) {
            go_to(&next, next.step);
            expose(sim, n, endpoint, &next, CANARY_FLEET_EXPOSE);
            return;
        }

        next.head.phase = CANARY_PAUSED;
        stop(sim, n, endpoint, &next);
        return;

    default:
        if (next.step < CANARY_ONE / STEP) {
            go_to(&next, next.step + 1);
            expose(sim, n, endpoint, &next, CANARY_FLEET_EXPOSE);
        }
    }
}


/* the control loop of a leader */

static void
step(sim_t *sim, int n, unsigned endpoint)
{
    char        text[CANARY_REASON_SIZE];
    content_t   next;

    if (sim->nodes[n].fleet.state != CANARY_FLEET_LEADER
        || sim->nodes[n].ours[endpoint].head.phase != CANARY_PROGRESSING
        || canary_fleet_waits(&sim->nodes[n].fleet, endpoint, "shop",
                              sim_local(sim, n), text, sizeof(text))
           > 0)
    {
        return;
    }

    next = follow(sim, n, endpoint);
    go_to(&next, next.step + 1);
    expose(sim, n, endpoint, &next, CANARY_FLEET_STEP);
}


static void
write_something(sim_t *sim)
{
    int       n;
    unsigned  i, endpoint;

    n = (int) unit_below(&sim->random, sim->n);
    endpoint = unit_below(&sim->random, ENDPOINTS);

    if (sim->nwrites + 2 * sim->n + 1 >= WRITES) {
        return;
    }

    if (serves(sim, n) && unit_one_in(&sim->random, 2)) {
        verb(sim, n, endpoint);
    }

    for (i = 0; i < sim->n; i++) {
        if (sim->nodes[i].alive) {
            step(sim, (int) i, 0);
            step(sim, (int) i, 1);
        }
    }
}


/* Faults. */


static void
break_lines(sim_t *sim)
{
    unsigned  i;
    node_t   *node;

    for (i = 0; i < sim->n; i++) {
        node = &sim->nodes[i];
        node->out.n = 0;

        if (node->line != UP) {
            continue;
        }

        node->in.n = 0;
        node->lines++;

        /* one that is cut off does not even hear of it */

        if (!node->cut) {
            node->line = DOWN;
            canary_fleet_disconnected(&node->fleet, sim_local(sim, (int) i));
            sim_drain(sim, (int) i);
        }
    }
}


static void
kill_redis(sim_t *sim)
{
    sim->up = 0;
    sim->hangs = 0;

    switch (unit_below(&sim->random, 3)) {

    case 0:
        redis_init(&sim->redis);
        break;

    case 1:
        sim->redis.data = sim->older.data;
        break;

    default:
        break;
    }

    redis_forget(&sim->redis);
    sim->redis.shifted = 0;
    sim->redis.shift = 0;
    sim->redis.lease.term = 0;

    break_lines(sim);
}


static void
lose_a_key(sim_t *sim)
{
    data_t  *data;

    data = &sim->redis.data;

    switch (unit_below(&sim->random, 4)) {

    case 0:
        data->exists = 0;
        return;

    case 1:
        memset(data->changes, 0, sizeof(data->changes));
        data->changed_members = 0;
        data->floor = 0;
        return;

    case 2:
        redis_forget(&sim->redis);
        return;

    default:
        redis_init(&sim->redis);
    }
}


static void
fault_at_node(sim_t *sim, int n)
{
    node_t  *node;

    node = &sim->nodes[n];

    switch (unit_below(&sim->random, 6)) {

    case 0:
    case 1:
        node->cut = !node->cut;
        return;

    case 2:
        if (node->alive) {
            sim_die(sim, n);

        } else {
            sim_begin(sim, n, 0);
        }

        return;

    case 3:
        if (node->alive) {
            sim_begin(sim, n, 1);
        }

        return;

    case 4:
        node->refuses = !node->refuses && unit_one_in(&sim->random, 3);
        return;

    default:
        node->cut = 0;

        if (!node->alive) {
            sim_begin(sim, n, 0);
        }
    }
}


static void
fault(sim_t *sim)
{
    switch (unit_below(&sim->random, 16)) {

    case 0:
        if (sim->up) {
            kill_redis(sim);
        }

        return;

    case 1:
        lose_a_key(sim);
        return;

    case 2:
        sim->hangs = !sim->hangs;
        return;

    case 3:
        sim->older = sim->redis;
        return;

    case 4:
        sim->clock += unit_below(&sim->random, 40000);
        sim->clock -= 20000;
        sim->jumped = sim->now;
        return;

    case 5:
        sim->delay = unit_one_in(&sim->random, 4)
                     ? 300 : 1 + unit_below(&sim->random, 5);
        return;

    case 6:
    case 7:
        sim->up = 1;
        sim->hangs = 0;
        return;

    default:
        fault_at_node(sim, (int) unit_below(&sim->random, sim->n));
    }
}


/* Schedules. */


static void
make_peace(sim_t *sim)
{
    unsigned  i;

    sim->up = 1;
    sim->hangs = 0;
    sim->delay = 2;

    for (i = 0; i < sim->n; i++) {
        sim->nodes[i].cut = 0;
        sim->nodes[i].refuses = 0;

        if (!sim->nodes[i].alive) {
            sim_begin(sim, (int) i, 0);
        }
    }

    sim_run(sim, sim->now + PEACE);
}


/* all have what Redis has, in memory and in their files, and one leads */

static void
expect_equal(sim_t *sim)
{
    char              text[CANARY_REASON_SIZE];
    unsigned          i, j, leaders;
    const node_t     *node;
    const content_t  *fleet;

    leaders = 0;

    for (i = 0; i < sim->n; i++) {
        node = &sim->nodes[i];
        leaders += node->fleet.state == CANARY_FLEET_LEADER;

        sim_check(sim, canary_fleet_reached(&node->fleet));

        for (j = 0; j < ENDPOINTS; j++) {
            fleet = &sim->redis.data.records[j];

            sim_check(sim, fleet->head.generation > 0);
            sim_check(sim, memcmp(&node->ours[j], fleet, sizeof(content_t))
                           == 0, "not what the fleet has");
            sim_check(sim, memcmp(&node->file[j], fleet, sizeof(content_t))
                           == 0, "not in the file");
            sim_check(sim, canary_fleet_told(&node->fleet, j)
                           == CANARY_FLEET_DURABLE);

            if (node->fleet.state == CANARY_FLEET_LEADER) {
                sim_check(sim, canary_fleet_waits(&node->fleet, j, "shop",
                                                  sim_local(sim, (int) i),
                                                  text, sizeof(text))
                               == 0 || (sim_fail(sim, text), 0));
            }
        }
    }

    sim_check(sim, leaders == 1);
}


static void
expect_history(sim_t *sim)
{
    unsigned        i;
    const write_t  *write;

    for (i = 0; i < sim->nwrites; i++) {
        write = &sim->writes[i];

        sim_check(sim, !write->acknowledged || write->dropped
                       || sim_has(&sim->redis.data.records[write->endpoint],
                                  i),
                  "an acknowledged write is not in the history");
    }
}


static void
schedule(sim_t *sim, uint64_t seed, unsigned n)
{
    uint64_t  until;

    sim_init(sim, seed, n);

    /* some begin with a fleet that has come together */

    if (!unit_one_in(&sim->random, 4)) {
        sim_run(sim, sim->now + 4500);
    }

    until = sim->now + CHAOS;

    while (sim->now < until) {
        sim_run(sim, sim->now + unit_below(&sim->random, 400));

        if (unit_one_in(&sim->random, 3)) {
            fault(sim);

        } else {
            write_something(sim);
        }
    }

    make_peace(sim);
    expect_equal(sim);
    expect_history(sim);
}


static uint64_t
setting(const char *name, uint64_t otherwise)
{
    const char  *value;

    value = getenv(name);

    return value ? strtoull(value, NULL, 10) : otherwise;
}


static void
any_schedule(sim_t *sums, int keyed)
{
    sim_t     sim;
    uint64_t  seed, first, n;

    first = setting("FLEET_SEED", 1);
    n = setting("FLEET_SCHEDULES", getenv("FLEET_SEED") ? 1 : SCHEDULES);

    memset(sums, 0, sizeof(sim_t));
    sim.nodes = nodes;
    sim.keyed = keyed;

    for (seed = first; seed < first + n; seed++) {
        schedule(&sim, seed, 2 + seed % 5);

        sums->acknowledged += sim.acknowledged;
        sums->dropped += sim.dropped;
        sums->steps += sim.steps;
        sums->raised += sim.raised;
        sums->told += sim.told;
    }

    print_message("%llu schedules: %u writes acknowledged, %u dropped, %u "
                  "steps, %u told, %u times a weight rose\n",
                  (unsigned long long) n, sums->acknowledged, sums->dropped,
                  sums->steps, sums->told, sums->raised);

    /* that has all been tried */

    if (n >= 100) {
        assert_true(sums->acknowledged > n);
        assert_true(sums->dropped > n / 10);
        assert_true(sums->steps > n / 10);
        assert_true(sums->told > n);
    }
}


static void
any_schedule_ends_well(void **state)
{
    any_schedule(*state, 0);
}


/* where nodes believe nothing but what they have signed */

static void
any_schedule_with_a_key_ends_well(void **state)
{
    any_schedule(*state, 1);
}


static void
many_nodes(void **state)
{
    sim_t  sim;

    (void) state;

    if (getenv("FLEET_SEED")) {
        skip();
    }

    sim.nodes = nodes;
    sim.keyed = 0;

    schedule(&sim, 64, 64);
    schedule(&sim, 33, 33);

    sim.keyed = 1;

    schedule(&sim, 33, 33);
}


int
main(void)
{
    unsigned      i;
    static sim_t  sums;

    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_prestate(any_schedule_ends_well, &sums),
        cmocka_unit_test_prestate(any_schedule_with_a_key_ends_well, &sums),
        cmocka_unit_test(many_nodes)
    };

    for (i = 0; i < NODES; i++) {
        nodes[i].replies = calloc(PIPE, sizeof(reply_t));
    }

    return cmocka_run_group_tests(tests, NULL, NULL);
}
