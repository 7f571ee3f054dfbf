
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdio.h>
#include <string.h>

#include "ctl.h"


static const char  ctl_usage[] =
"usage: canaryctl [OPTION...] COMMAND [ARGUMENT...]\n"
"\n"
"Watches and drives the canary rollouts of nginx.\n"
"\n";

static const char  ctl_common[] =
"\n"
"Options of every command:\n"
"  --url URL          the API, the location of canary_api\n"
"                     (CANARY_URL, else " CTL_URL ")\n"
"  --token-file FILE  a file that holds the token (CANARY_TOKEN_FILE)\n"
"  --unix-socket PATH what listens there is asked\n"
"  --timeout TIME     ends the command, with exit status 4\n"
"  --json             what the API answers\n"
"  --cacert FILE, --capath DIR, -E, --cert FILE, --key FILE, -k, --insecure\n"
"                     of TLS, as in curl\n"
"  -h, --help         the command's help\n"
"  -V, --version      the version\n"
"\n"
"Exit status: 0 done (with --wait: promoted), 1 failed, 2 wrong usage,\n"
"3 the rollout that was waited for was rolled back or halted, 4 --timeout.\n";


void
ctl_help(const ctl_command_t *command)
{
    const ctl_command_t  *p;

    if (command) {
        printf("usage: canaryctl %s\n\n%s", command->synopsis, command->help);
        fputs(ctl_common, stdout);
        return;
    }

    fputs(ctl_usage, stdout);
    fputs("Commands:\n", stdout);

    for (p = ctl_commands; p->name; p++) {
        printf("  %-10s %.*s\n", p->name, (int) strcspn(p->help, "\n"),
               p->help);
    }

    fputs("\ncanaryctl COMMAND --help tells more.\n", stdout);

    fputs(ctl_common, stdout);
}
