
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * Verta's API without nginx: paths, updates as JSON, what an update does to
 * a rollout, however often it is sent, and what the client is shown of it.
 */


#include <stdio.h>
#include <string.h>

#include "canary_verta.h"
#include "canary_verta_json.h"
#include "canary_verta_path.h"

#include "unit.h"


enum {
    V1 = 0,
    V2,
    V3
};


static canary_verta_path_t    path;
static canary_json_errors_t   errors;
static canary_verta_update_t  update;
static canary_rollout_t       rollout;


/* Paths. */

static canary_verta_resource_t
find(const char *text)
{
    return canary_verta_path(text, strlen(text), &path);
}


static void
paths_are_found(void **state)
{
    (void) state;

    assert_int_equal(find("deployment/workspace/personal/endpoints"),
                     CANARY_VERTA_ENDPOINTS);
    assert_int_equal(path.workspace_len, 8);
    assert_memory_equal(path.workspace, "personal", 8);
    assert_int_equal(path.endpoint, 0);

    assert_int_equal(find("deployment/workspace/w/endpoints/7"),
                     CANARY_VERTA_ENDPOINT);
    assert_int_equal(path.endpoint, 7);
    assert_int_equal(path.stage, 0);

    assert_int_equal(find("deployment/workspace/w/endpoints/7/stages"),
                     CANARY_VERTA_STAGES);
    assert_int_equal(find("deployment/workspace/w/endpoints/7/stages/8"),
                     CANARY_VERTA_STAGE);
    assert_int_equal(path.endpoint, 7);
    assert_int_equal(path.stage, 8);

    assert_int_equal(find("deployment/workspace/w/endpoints/7/stages/8/"
                          "update"),
                     CANARY_VERTA_UPDATE);
    assert_int_equal(find("deployment/workspace/w/endpoints/7/stages/8/"
                          "status"),
                     CANARY_VERTA_UPDATE_STATUS);
    assert_int_equal(find("deployment/workspace/w/endpoints/7/stages/8/"
                          "rules"),
                     CANARY_VERTA_RULES);
    assert_int_equal(find("deployment/workspace/w/endpoints/7/stages/8/"
                          "accesstokens"),
                     CANARY_VERTA_ACCESS_TOKENS);

    assert_int_equal(find("deployment/stages/2147483647/kafka"),
                     CANARY_VERTA_KAFKA);
    assert_null(path.workspace);
    assert_int_equal(path.endpoint, 0);
    assert_int_equal(path.stage, 2147483647);

    assert_int_equal(find("deployment/workspace/w/builds"),
                     CANARY_VERTA_BUILDS);
    assert_int_equal(find("deployment/workspace/w/builds/007"),
                     CANARY_VERTA_BUILD);
    assert_int_equal(path.build, 7);
    assert_int_equal(find("registry/registered_models/7"),
                     CANARY_VERTA_MODEL);
    assert_int_equal(path.endpoint, 7);
    assert_int_equal(find("registry/model_versions/3"),
                     CANARY_VERTA_MODEL_VERSION);
    assert_int_equal(path.build, 3);
    assert_int_equal(find("modeldb/project/verifyConnection"),
                     CANARY_VERTA_CONNECTION);
}


static void
other_paths_are_not(void **state)
{
    unsigned  i;

    static const char *const  others[] = {
        "", "/", "deployment", "deployment/", "deployment/workspace",
        "/deployment/workspace/w/endpoints",
        "deployment/workspace/w/endpoints/",
        "deployment/workspace//endpoints",
        "deployment/workspace/w/w/endpoints",
        "deployment/workspace/w/Endpoints",
        "deployment/workspace/w/endpoint",
        "deployment/workspace/w/endpointss",
        "deployment/workspace/w/endpoints//stages",
        "deployment/workspace/w/endpoints/0",
        "deployment/workspace/w/endpoints/-1",
        "deployment/workspace/w/endpoints/+1",
        "deployment/workspace/w/endpoints/1x",
        "deployment/workspace/w/endpoints/1.0",
        "deployment/workspace/w/endpoints/ 1",
        "deployment/workspace/w/endpoints/99999999999",
        "deployment/workspace/w/endpoints/18446744073709551617",
        "deployment/workspace/w/endpoints/1/stages/2/logs",
        "deployment/workspace/w/endpoints/1/stages/2/update/",
        "deployment/workspace/{w}/endpoints/{e}",
        "registry/model_versions", "registry/model_versions/",
        "modeldb/project", "modeldb/project/verifyconnection"
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(others); i++) {
        if (find(others[i]) != CANARY_VERTA_RESOURCES) {
            fail_msg("\"%s\" is %d", others[i], (int) find(others[i]));
        }
    }
}


static void
a_path_ends_where_its_length_says(void **state)
{
    static const char  text[] = "deployment/workspace/w/endpoints/12";

    (void) state;

    assert_int_equal(canary_verta_path(text, sizeof(text) - 2, &path),
                     CANARY_VERTA_ENDPOINT);
    assert_int_equal(path.endpoint, 1);
    assert_int_equal(canary_verta_path(text, sizeof(text) - 3, &path),
                     CANARY_VERTA_RESOURCES);
    assert_int_equal(canary_verta_path(text, 0, &path),
                     CANARY_VERTA_RESOURCES);
}


/* Updates. */

static void
read_update(const char *text)
{
    cJSON  *body;

    memset(&errors, 0, sizeof(errors));
    memset(&update, 0, sizeof(update));
    canary_strategy_init(&update.strategy);

    body = canary_json_parse(text, strlen(text), &errors);
    assert_non_null(body);

    canary_verta_json_read_update(body, &update, &errors);

    cJSON_Delete(body);
}


static void
accepted(void)
{
    if (errors.total) {
        fail_msg("%s: %s", errors.list[0].pointer, errors.list[0].detail);
    }
}


static void
refused(const char *pointer)
{
    assert_int_equal(errors.total, 1);
    assert_string_equal(errors.list[0].pointer, pointer);
}


static void
read_canary(const char *interval, const char *step, const char *rules)
{
    char  text[8192];

    (void) snprintf(text, sizeof(text),
                    "{\"build_id\": 2, \"strategy\": \"canary\", "
                    "\"canary_strategy\": {"
                    "\"progress_interval_seconds\": %s, "
                    "\"progress_step\": %s, \"rules\": [%s]}}",
                    interval, step, rules);
    read_update(text);
}


static void
read_rule(const char *id, const char *threshold)
{
    char  text[512];

    (void) snprintf(text, sizeof(text),
                    "{\"rule_id\": %s, \"rule_parameters\": "
                    "[{\"name\": \"threshold\", \"value\": %s}]}",
                    id, threshold);
    read_canary("10", "0.2", text);
}


static void
an_update_in_full(void **state)
{
    canary_rule_t  *rule;

    (void) state;

    read_update("{\"build_id\": 2, \"strategy\": \"rollout\"}");
    accepted();
    assert_int_equal(update.build, 2);
    assert_true(update.direct);

    read_rule("1007", "\"0.1\"");
    accepted();

    rule = update.strategy.rules;

    assert_int_equal(update.build, 2);
    assert_false(update.direct);
    assert_int_equal(update.strategy.interval, 10000);
    assert_int_equal(update.strategy.linear, 200000);
    assert_int_equal(update.strategy.nrules, 1);
    assert_int_equal(rule->kind, CANARY_RULE_ERROR_4XX_RATE);
    assert_int_equal(rule->threshold, 100000000);
    assert_int_equal(rule->confidence, CANARY_CONFIDENCE_DEFAULT);
    assert_int_equal(rule->burst, CANARY_BURST_DEFAULT);
    assert_int_equal(rule->min_requests, 1);
}


static void
what_else_the_client_sends_is_not_looked_at(void **state)
{
    (void) state;

    read_update("{\"build_id\": 3, \"strategy\": \"rollout\", "
                "\"canary_strategy\": null, \"env\": [{\"name\": \"A\"}], "
                "\"resources\": {\"cpu_millis\": 250}, \"autoscaling\": 7}");
    accepted();
    assert_int_equal(update.build, 3);

    read_canary("10", "0.2", "{\"rule_id\": 1008, \"name\": 1, "
                "\"rule_parameters\": [{\"name\": \"threshold\", "
                "\"type\": \"percentage\", \"value\": \"0.1\"}]}");
    accepted();
}


static void
thresholds_as_python_writes_them(void **state)
{
    (void) state;

    read_rule("1005", "\"100\"");
    accepted();
    assert_int_equal(update.strategy.rules[0].kind,
                     CANARY_RULE_LATENCY_AVG_MAX);
    assert_int_equal(update.strategy.rules[0].threshold, 100000);

    read_rule("1006", "\"0.8\"");
    accepted();
    assert_int_equal(update.strategy.rules[0].kind,
                     CANARY_RULE_LATENCY_P90_MAX);
    assert_int_equal(update.strategy.rules[0].threshold, 800);

    read_rule("1006", "\"1e+05\"");
    accepted();
    assert_int_equal(update.strategy.rules[0].threshold, 100000000);

    read_rule("1008", "\"1e-05\"");
    accepted();
    assert_int_equal(update.strategy.rules[0].kind,
                     CANARY_RULE_ERROR_5XX_RATE);
    assert_int_equal(update.strategy.rules[0].threshold, 10000);

    read_rule("1008", "\"0.0\"");
    accepted();
    assert_int_equal(update.strategy.rules[0].threshold, 0);
}


static void
thresholds_that_are_none(void **state)
{
    unsigned  i;

    static const char *const  bad[] = {
        "\"nan\"", "\"inf\"", "\"-inf\"", "\"-1.0\"", "\"True\"", "\"abc\"",
        "\"\"", "\"0x1\"", "\"1e999\"", "\" 0.1\"", "\"0.1 \"", "\"0,1\"",
        "\"1.1\"", "\"100\"", "null", "true", "[]"
    };

    static const char *const  latencies[] = {
        "\"0\"", "\"-1\"", "\"-1e+16\"", "\"1e999\"", "1e999", "\"inf\"",
        "\"nan\"", "\"1e+16 \"", "null", "[1e16]"
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(bad); i++) {
        read_rule("1007", bad[i]);
        refused("/canary_strategy/rules/0/rule_parameters/0/value");
    }

    for (i = 0; i < UNIT_LENGTH(latencies); i++) {
        read_rule("1005", latencies[i]);
        refused("/canary_strategy/rules/0/rule_parameters/0/value");
    }
}


static void
latencies_above_a_day(void **state)
{
    unsigned  i;

    static const char *const  endless[] = {
        "\"86400000\"", "\"86400000.0001\"", "\"86400001\"", "\"1e+16\"",
        "\"1e300\"", "86400001", "1e+16"
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(endless); i++) {
        read_rule(i % 2 ? "1005" : "1006", endless[i]);
        accepted();
        assert_int_equal(update.strategy.rules[0].threshold, 86400000000);
    }

    read_rule("1006", "\"86399999\"");
    accepted();
    assert_int_equal(update.strategy.rules[0].threshold, 86399999000);
}


static void
rules_that_are_none(void **state)
{
    unsigned  i;

    static const char *const  ids[] = {
        "0", "1004", "1009", "-1007", "1007.5", "\"1007\"", "null"
    };

    static const char *const  parameters[] = {
        "[]", "{}", "null", "[1]", "[{\"name\": \"threshold\"}]",
        "[{\"value\": \"0.1\"}]", "[{\"name\": 1, \"value\": \"0.1\"}]",
        "[{\"name\": \"Threshold\", \"value\": \"0.1\"}]",
        "[{\"name\": \"threshold\", \"value\": \"0.1\"}, {}]"
    };

    char  text[512];

    (void) state;

    for (i = 0; i < UNIT_LENGTH(ids); i++) {
        read_rule(ids[i], "\"0.1\"");
        refused("/canary_strategy/rules/0/rule_id");
    }

    for (i = 0; i < UNIT_LENGTH(parameters); i++) {
        (void) snprintf(text, sizeof(text),
                        "{\"rule_id\": 1007, \"rule_parameters\": %s}",
                        parameters[i]);
        read_canary("10", "0.2", text);
        refused("/canary_strategy/rules/0/rule_parameters");
    }

    read_canary("10", "0.2", "{\"rule_id\": 1007}");
    refused("/canary_strategy/rules/0/rule_parameters");
    read_canary("10", "0.2", "{}");
    refused("/canary_strategy/rules/0/rule_id");
    read_canary("10", "0.2", "7");
    refused("/canary_strategy/rules/0");
    read_canary("10", "0.2", "");
    refused("/canary_strategy/rules");
}


/* n times the same rule */

static void
read_rules(const char *rule, unsigned n)
{
    char      text[4096];
    size_t    len;
    unsigned  i;

    for (i = 0, len = 0; i < n; i++) {
        len += (size_t) snprintf(text + len, sizeof(text) - len, "%s%s",
                                 i ? ", " : "", rule);
    }

    read_canary("10", "0.2", text);
}


static void
as_many_rules_as_there_may_be(void **state)
{
    static const char  rate[] = "{\"rule_id\": 1007, \"rule_parameters\": "
                                "[{\"name\": \"threshold\", "
                                "\"value\": \"0.1\"}]}";
    static const char  p90[] = "{\"rule_id\": 1006, \"rule_parameters\": "
                               "[{\"name\": \"threshold\", "
                               "\"value\": \"10\"}]}";

    (void) state;

    read_rules(rate, CANARY_RULES_MAX);
    accepted();
    assert_int_equal(update.strategy.nrules, CANARY_RULES_MAX);
    read_rules(rate, CANARY_RULES_MAX + 1);
    refused("/canary_strategy/rules");

    read_rules(p90, CANARY_LIMITS_MAX);
    accepted();
    read_rules(p90, CANARY_LIMITS_MAX + 1);
    refused("/canary_strategy/rules");
}


static void
interval_and_step(void **state)
{
    unsigned  i;

    static const char  rule[] = "{\"rule_id\": 1007, \"rule_parameters\": "
                                "[{\"name\": \"threshold\", "
                                "\"value\": \"0.1\"}]}";

    static const char *const  intervals[] = {
        "0", "-1", "1.5", "\"10\"", "1e18", "1e999", "31536001", "null"
    };

    static const char *const  steps[] = {
        "0", "-0.2", "1.1", "20", "\"0.2\"", "1e-05", "null", "[0.2]"
    };

    (void) state;

    read_canary("1", "1.0", rule);
    accepted();
    assert_int_equal(update.strategy.interval, 1000);
    assert_int_equal(update.strategy.linear, CANARY_ONE);

    read_canary("31536000", "0.001", rule);
    accepted();
    assert_int_equal(update.strategy.interval, CANARY_TIME_MAX);
    assert_int_equal(update.strategy.linear, 1000);

    for (i = 0; i < UNIT_LENGTH(intervals); i++) {
        read_canary(intervals[i], "0.2", rule);
        refused("/canary_strategy/progress_interval_seconds");
    }

    for (i = 0; i < UNIT_LENGTH(steps); i++) {
        read_canary("10", steps[i], rule);
        refused("/canary_strategy/progress_step");
    }
}


static void
all_that_is_missing_is_named(void **state)
{
    (void) state;

    read_update("{}");
    assert_int_equal(errors.total, 2);
    assert_string_equal(errors.list[0].pointer, "/build_id");
    assert_string_equal(errors.list[1].pointer, "/strategy");

    read_update("{\"build_id\": 1, \"strategy\": \"canary\"}");
    refused("/canary_strategy");

    read_update("{\"build_id\": 1, \"strategy\": \"canary\", "
                "\"canary_strategy\": {}}");
    assert_int_equal(errors.total, 3);

    read_update("[]");
    refused("");
}


static void
ids_of_builds(void **state)
{
    unsigned  i;
    char      text[128];

    static const char *const  bad[] = {
        "0", "-1", "1.5", "\"1\"", "null", "true", "[]", "1e999"
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(bad); i++) {
        (void) snprintf(text, sizeof(text),
                        "{\"build_id\": %s, \"strategy\": \"rollout\"}",
                        bad[i]);
        read_update(text);
        assert_true(errors.total || update.build == 0);
    }

    read_update("{\"build_id\": 4294967295, \"strategy\": \"rollout\"}");
    accepted();
    assert_int_equal(update.build, 4294967295u);

    read_update("{\"build_id\": 4294967298, \"strategy\": \"rollout\"}");
    accepted();
    assert_int_equal(update.build, 0);
}


static void
a_build_is_wanted(void **state)
{
    cJSON     *body;
    uint64_t   build;

    (void) state;

    memset(&errors, 0, sizeof(errors));

    body = cJSON_Parse("{\"model_version_id\": 2, "
                       "\"hardware_compatibility\": {}}");
    canary_verta_json_read_build(body, &build, &errors);
    accepted();
    assert_int_equal(build, 2);
    cJSON_Delete(body);

    body = cJSON_Parse("{\"run_id\": \"abc\"}");
    canary_verta_json_read_build(body, &build, &errors);
    refused("/model_version_id");
    cJSON_Delete(body);
}


/* What an update does. */

static canary_verta_step_t
step(uint32_t release, uint64_t ago, int other)
{
    return canary_verta_step(&rollout, &update, release, ago, other);
}


/* Carries an update out as a server does; returns the number of changes. */

static unsigned
carry_out(uint32_t release, uint64_t ago)
{
    int                  replacing;
    unsigned             changes;
    canary_command_t     command;
    canary_verta_step_t  next;

    replacing = 0;

    for (changes = 0; changes < 10; changes++) {
        next = step(release, ago, replacing);

        if (!next.change) {
            break;
        }

        memset(&command, 0, sizeof(command));
        command.verb = next.verb;
        command.release = release;
        command.strategy = &update.strategy;

        assert_int_equal(canary_rollout_apply(&rollout, &command),
                         CANARY_CHANGED);

        if (!next.more) {
            return changes + 1;
        }

        replacing = 1;
        ago = 0;
    }

    return changes;
}


static void
apply(canary_verb_t verb)
{
    canary_command_t  command;

    memset(&command, 0, sizeof(command));
    command.verb = verb;

    assert_int_equal(canary_rollout_apply(&rollout, &command),
                     CANARY_CHANGED);
}


static int
an_endpoint(void **state)
{
    (void) state;

    canary_rollout_init(&rollout, V1);
    read_rule("1007", "\"0.1\"");

    return 0;
}


static void
direct_is_at_once(void **state)
{
    (void) state;

    update.direct = 1;

    assert_int_equal(carry_out(V2, 0), 1);
    assert_int_equal(rollout.stable, V2);
    assert_int_equal(rollout.phase, CANARY_IDLE);
    assert_int_equal(carry_out(V2, 0), 0);
}


static void
a_canary_begins_once(void **state)
{
    (void) state;

    assert_int_equal(carry_out(V2, 0), 1);
    assert_int_equal(rollout.phase, CANARY_PROGRESSING);
    assert_int_equal(rollout.canary, V2);
    assert_int_equal(rollout.weight, 200000);

    assert_int_equal(carry_out(V2, 0), 0);
    apply(CANARY_PAUSE);
    assert_int_equal(carry_out(V2, CANARY_VERTA_RESEND), 0);
    apply(CANARY_PROMOTE);
    assert_int_equal(carry_out(V2, 0), 0);
}


static void
the_stable_release_is_where_it_is(void **state)
{
    canary_verta_step_t  next;

    (void) state;

    next = step(V1, 0, 0);
    assert_false(next.change);
    assert_true(next.settled);

    assert_int_equal(carry_out(V2, 0), 1);

    next = step(V1, 0, 0);
    assert_int_equal(next.verb, CANARY_ROLLBACK);
    assert_false(next.more);
    assert_true(next.settled);
}


static void
a_condemned_canary_gets_no_other_chance_by_a_resend(void **state)
{
    canary_verta_step_t  next;

    (void) state;

    assert_int_equal(carry_out(V2, 0), 1);
    apply(CANARY_VIOLATION);
    assert_int_equal(rollout.phase, CANARY_IDLE);

    next = step(V2, CANARY_VERTA_RESEND - 1, 0);
    assert_false(next.change);
    assert_false(next.settled);

    assert_int_equal(step(V2, CANARY_VERTA_RESEND, 0).verb, CANARY_START);
    assert_int_equal(step(V2, 0, 1).verb, CANARY_START);
    assert_int_equal(step(V3, 0, 0).verb, CANARY_START);

    update.strategy.interval = 20000;
    assert_int_equal(step(V2, 0, 0).verb, CANARY_START);

    update.direct = 1;
    assert_int_equal(step(V2, 0, 0).verb, CANARY_DIRECT);
}


static void
a_halted_one_neither(void **state)
{
    (void) state;

    update.strategy.on_violation = CANARY_HALT;

    assert_int_equal(carry_out(V2, 0), 1);
    apply(CANARY_VIOLATION);
    assert_int_equal(rollout.phase, CANARY_HALTED);

    assert_int_equal(carry_out(V2, CANARY_VERTA_RESEND - 1), 0);
    assert_int_equal(carry_out(V2, CANARY_VERTA_RESEND), 2);
    assert_int_equal(rollout.phase, CANARY_PROGRESSING);
    assert_int_equal(rollout.number, 2);
}


static void
another_update_replaces(void **state)
{
    (void) state;

    assert_int_equal(carry_out(V2, 0), 1);
    assert_int_equal(carry_out(V3, 0), 2);
    assert_int_equal(rollout.canary, V3);

    update.strategy.linear = 100000;
    assert_int_equal(carry_out(V3, 0), 2);
    assert_int_equal(rollout.weight, 100000);

    read_rule("1007", "\"0.2\"");
    assert_int_equal(carry_out(V3, 0), 2);

    update.direct = 1;
    assert_int_equal(step(V3, 0, 0).verb, CANARY_PROMOTE);
    assert_int_equal(carry_out(V2, 0), 2);
    assert_int_equal(rollout.stable, V2);
}


static void
what_nginx_conf_says_makes_no_other_update(void **state)
{
    (void) state;

    assert_int_equal(carry_out(V2, 0), 1);

    update.strategy.bake = 1000;
    update.strategy.on_violation = CANARY_HALT;
    assert_int_equal(carry_out(V2, 0), 0);
}


/* What is shown. */

static void
shows(canary_verta_status_t status, unsigned n, uint32_t release,
    uint32_t ratio)
{
    canary_verta_stage_t       stage;
    canary_verta_component_t  *last;

    canary_verta_stage(&rollout, 0, &stage);

    last = &stage.components[n - 1];

    assert_int_equal(stage.status, status);
    assert_int_equal(stage.n, n);
    assert_int_equal(stage.components[0].release, rollout.stable);
    assert_int_equal(last->release, release);
    assert_int_equal(last->ratio, ratio);
    assert_int_equal(last->failed, status == CANARY_VERTA_ERROR);

    if (n == 2) {
        assert_int_equal(stage.components[0].ratio + ratio, CANARY_ONE);
        assert_false(stage.components[0].failed);
    }
}


static void
a_stage_in_each_phase(void **state)
{
    canary_verta_stage_t  stage;

    (void) state;

    shows(CANARY_VERTA_ACTIVE, 1, V1, CANARY_ONE);

    assert_int_equal(carry_out(V2, 0), 1);
    shows(CANARY_VERTA_UPDATING, 2, V2, 200000);
    apply(CANARY_PAUSE);
    shows(CANARY_VERTA_UPDATING, 2, V2, 200000);
    apply(CANARY_RESUME);

    apply(CANARY_VIOLATION);
    shows(CANARY_VERTA_ERROR, 2, V2, 0);

    canary_verta_stage(&rollout, 1, &stage);
    assert_int_equal(stage.status, CANARY_VERTA_ACTIVE);
    assert_int_equal(stage.n, 1);

    update.strategy.linear = CANARY_ONE;
    assert_int_equal(carry_out(V2, CANARY_VERTA_RESEND), 1);
    assert_int_equal(rollout.phase, CANARY_BAKING);
    shows(CANARY_VERTA_UPDATING, 2, V2, CANARY_ONE);
    apply(CANARY_PROMOTE);
    shows(CANARY_VERTA_ACTIVE, 1, V2, CANARY_ONE);
}


static void
a_halted_stage(void **state)
{
    (void) state;

    update.strategy.on_violation = CANARY_HALT;

    assert_int_equal(carry_out(V2, 0), 1);
    apply(CANARY_VIOLATION);
    shows(CANARY_VERTA_ERROR, 2, V2, 200000);

    assert_string_equal(canary_verta_status_name(CANARY_VERTA_ERROR),
                        "error");
}


static void
the_rules_there_are(void **state)
{
    int     failed;
    cJSON  *json, *list, *rule;

    (void) state;

    failed = 0;
    json = cJSON_CreateObject();

    canary_verta_json_write_rules(json, &failed);
    assert_false(failed);

    list = cJSON_GetObjectItem(json, "canary");
    assert_int_equal(cJSON_GetArraySize(list), 4);

    rule = cJSON_GetArrayItem(list, 3);
    assert_string_equal(cJSON_GetObjectItem(rule, "name")->valuestring,
                        "error_5xx_rate");
    assert_string_equal(cJSON_GetObjectItem(rule, "category")->valuestring,
                        "Error");

    cJSON_Delete(json);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(paths_are_found),
        cmocka_unit_test(other_paths_are_not),
        cmocka_unit_test(a_path_ends_where_its_length_says),
        cmocka_unit_test(an_update_in_full),
        cmocka_unit_test(what_else_the_client_sends_is_not_looked_at),
        cmocka_unit_test(thresholds_as_python_writes_them),
        cmocka_unit_test(thresholds_that_are_none),
        cmocka_unit_test(latencies_above_a_day),
        cmocka_unit_test(rules_that_are_none),
        cmocka_unit_test(as_many_rules_as_there_may_be),
        cmocka_unit_test(interval_and_step),
        cmocka_unit_test(all_that_is_missing_is_named),
        cmocka_unit_test(ids_of_builds),
        cmocka_unit_test(a_build_is_wanted),
        cmocka_unit_test_setup(direct_is_at_once, an_endpoint),
        cmocka_unit_test_setup(a_canary_begins_once, an_endpoint),
        cmocka_unit_test_setup(the_stable_release_is_where_it_is,
                               an_endpoint),
        cmocka_unit_test_setup(
                         a_condemned_canary_gets_no_other_chance_by_a_resend,
                         an_endpoint),
        cmocka_unit_test_setup(a_halted_one_neither, an_endpoint),
        cmocka_unit_test_setup(another_update_replaces, an_endpoint),
        cmocka_unit_test_setup(what_nginx_conf_says_makes_no_other_update,
                               an_endpoint),
        cmocka_unit_test_setup(a_stage_in_each_phase, an_endpoint),
        cmocka_unit_test_setup(a_halted_stage, an_endpoint),
        cmocka_unit_test(the_rules_there_are)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
