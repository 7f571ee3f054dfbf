
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "ctl.h"


#define CTL_VERB_OPTIONS                                                      \
    (CTL_BIT(CTL_OPT_REASON) | CTL_BIT(CTL_OPT_IF_GENERATION))

#define CTL_VERB_HELP                                                         \
    "\n"                                                                      \
    "  --reason TEXT      why, for the event\n"                               \
    "  --if-generation N  only if the endpoint is at this generation\n"

#define CTL_UPDATE_OPTIONS                                                    \
    (CTL_BIT(CTL_OPT_RELEASE) | CTL_BIT(CTL_OPT_STRATEGY)                     \
     | CTL_BIT(CTL_OPT_INTERVAL) | CTL_BIT(CTL_OPT_STEP)                      \
     | CTL_BIT(CTL_OPT_STEPS) | CTL_BIT(CTL_OPT_RULE)                         \
     | CTL_BIT(CTL_OPT_BAKE) | CTL_BIT(CTL_OPT_PATIENCE)                      \
     | CTL_BIT(CTL_OPT_APPROVAL) | CTL_BIT(CTL_OPT_FILENAME))


const ctl_command_t  ctl_commands[] = {

    { "list", "list",
      "All endpoints, one line each.\n",
      0, 0, 1, 1, ctl_list },

    { "status", "status NAME [--watch]",
      "One endpoint on one screen.\n"
      "\n"
      "Its rollout, its releases side by side, its rules, its last events, "
      "and\nwhat happens next.\n"
      "\n"
      "  --watch            again every second; q ends it. Not on a terminal:\n"
      "                     a line whenever something has changed\n",
      CTL_BIT(CTL_OPT_WATCH), 1, 2, 2, ctl_status },

    { "update",
      "update endpoint NAME [--release NAME] [--strategy STRATEGY] ...",
      "Starts a rollout.\n"
      "\n"
      "The endpoint is NAME or /NAME. A release that is stable already, or is "
      "being\nrolled out like that, is a success; one that nginx does not "
      "know is asked for\nfor 5 seconds, since a reload may be on its way.\n"
      "\n"
      "  --release NAME     what is rolled out; may be left out if there are\n"
      "                     two releases\n"
      "  -s, --strategy canary|direct\n"
      "                     direct: the release is stable at once. Without\n"
      "                     it: as nginx.conf says\n"
      "  -i, --canary-interval TIME\n"
      "                     the time between steps, as 10 (seconds) or 5m\n"
      "  --canary-step RATIO\n"
      "                     what each step adds, as 0.2 or 20%\n"
      "  --steps RATIO,RATIO,...\n"
      "                     or all of them, as 1%,10%,50%\n"
      "  -c, --canary-rule RULE, --rule RULE\n"
      "                     a rule; may be given more than once. As\n"
      "                     '{\"rule\": \"error_4xx_rate\",\n"
      "                       \"rule_parameters\": [{\"name\": \"threshold\", "
      "\"value\": 0.1}]}'\n"
      "                     or as in nginx.conf,\n"
      "                     'error_4xx_rate 10% min_requests=50'\n"
      "  --bake TIME        how long it stays at 100% before it is stable\n"
      "  --patience TIME    how long an attempt may be in flight\n"
      "  --approval off|step|promotion\n"
      "                     what waits for a person (canaryctl approve),\n"
      "                     though its rules pass: nothing, each step and the\n"
      "                     promotion, or the promotion alone\n"
      "  -f, --filename FILE\n"
      "                     the body of the request, in JSON (- is standard\n"
      "                     input); other options go before what it says\n"
      "  --wait             shows what happens until the rollout ends\n"
      CTL_VERB_HELP
      "\n"
      "The strategy canary needs an interval, a step and a rule.\n",
      CTL_UPDATE_OPTIONS | CTL_BIT(CTL_OPT_WAIT) | CTL_VERB_OPTIONS, 2, 2, 3,
      ctl_update },

    { "estimate", "estimate NAME [options of update]",
      "How long a rollout would take at the present rate of attempts.\n"
      "\n"
      "Measures that rate for 10 seconds, 30 if it is low, and tells how many\n"
      "attempts each rule needs to pass, and how long each step takes so. The\n"
      "options are those of update; without them the strategy is that of\n"
      "nginx.conf. Starts nothing.\n",
      CTL_UPDATE_OPTIONS, 1, 2, 2, ctl_estimate },

    { "advance", "advance NAME [--reason TEXT] [--if-generation N]",
      "Takes the next step now; from the last one, promotes.\n"
      CTL_VERB_HELP,
      CTL_VERB_OPTIONS, 1, 2, 2, ctl_verb },

    { "approve", "approve NAME [--reason TEXT] [--if-generation N]",
      "Takes the step or the promotion that waits for a person.\n"
      "\n"
      "As advance, but only if the rollout waits for that, and stands where it "
      "was\nseen.\n"
      CTL_VERB_HELP,
      CTL_VERB_OPTIONS, 1, 2, 2, ctl_approve },

    { "pause", "pause NAME [--reason TEXT] [--if-generation N]",
      "Stops the clock of the rollout. Its rules go on guarding.\n"
      CTL_VERB_HELP,
      CTL_VERB_OPTIONS, 1, 2, 2, ctl_verb },

    { "resume", "resume NAME [--reason TEXT] [--if-generation N]",
      "Lets a paused or halted rollout go on.\n"
      CTL_VERB_HELP,
      CTL_VERB_OPTIONS, 1, 2, 2, ctl_verb },

    { "promote", "promote NAME [--reason TEXT] [--if-generation N]",
      "Makes the canary the stable release now.\n"
      CTL_VERB_HELP,
      CTL_VERB_OPTIONS, 1, 2, 2, ctl_verb },

    { "rollback", "rollback NAME [--reason TEXT] [--if-generation N]",
      "Sends all traffic to the stable release and ends the rollout.\n"
      CTL_VERB_HELP,
      CTL_VERB_OPTIONS, 1, 2, 2, ctl_verb },

    { "weight", "weight NAME VALUE [--reason TEXT] [--if-generation N]",
      "Gives the canary another share of the traffic now.\n"
      "\n"
      "VALUE is above 0 and below 1, as 0.35, or a percentage, as 35%. The\n"
      "interval begins again, and the steps above it follow.\n"
      CTL_VERB_HELP,
      CTL_VERB_OPTIONS, 1, 3, 3, ctl_weight },

    { "events",
      "events [NAME] [--after N] [--follow [--exec CMD] [--state FILE]]",
      "What happened to one endpoint, or to all; the newest last.\n"
      "\n"
      "  --after N          only events with a higher number\n"
      "  --follow           goes on with what happens; with --json, each\n"
      "                     event is a line\n"
      "  --exec CMD         each event's JSON goes to the standard input of\n"
      "                     CMD, a command of the shell, one at a time and\n"
      "                     from now on. One that fails is tried again each\n"
      "                     5 seconds, and the next event waits\n"
      "  --state FILE       where the number of the last event is kept, so\n"
      "                     that none is lost or told twice over restarts;\n"
      "                     without the file it begins now\n",
      CTL_BIT(CTL_OPT_AFTER) | CTL_BIT(CTL_OPT_FOLLOW) | CTL_BIT(CTL_OPT_EXEC)
      | CTL_BIT(CTL_OPT_STATE), 1, 1, 2, ctl_events },

    { "failures", "failures NAME",
      "The last failed attempts on the canary, the newest last.\n",
      0, 1, 2, 2, ctl_failures },

    { "fleet", "fleet",
      "The machines of the fleet, as the one that is asked knows them.\n",
      0, 0, 1, 1, ctl_fleet },

    { "forget", "forget NODE",
      "Forgets a machine of the fleet that will not return.\n"
      "\n"
      "It has to be gone, which is silent for 10 seconds. It is no member any\n"
      "more, so that the others can be a majority without it.\n",
      0, 0, 2, 2, ctl_forget },

    { "token", "token NAME ROLE",
      "Makes a token for a client of the API.\n"
      "\n"
      "NAME is what its events will have as their actor; ROLE is reader or\n"
      "operator. Prints the token, and the line for the file of\n"
      "canary_api_tokens, which has only its hash. Sends nothing.\n",
      0, 0, 3, 3, ctl_token },

    { NULL, NULL, NULL, 0, 0, 0, 0, NULL }
};


const ctl_command_t *
ctl_command(const char *name)
{
    const ctl_command_t  *command;

    for (command = ctl_commands; command->name; command++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }

    return NULL;
}
