#!/usr/bin/perl

# Mistakes that people make with canaryctl and canary-replay: each is answered
# on standard error by what was wrong, where, and what would be right, in these
# words; with the exit status that a pipeline goes by.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw(sha256_hex);
use Test::More;

use Canary::Ctl;
use Canary::Test;

use constant { FAILED => 1, USAGE => 2 };

my $t = Canary::Test->new(workers => 1);
my $dir = $t->dir;

$t->backend($_) for qw(v1 v2);
$t->write_file('tokens', join '', map { "$_ $_ " . sha256_hex($_) . "\n" }
    qw(reader operator));

for my $name (qw(reader operator unknown)) {
    $t->write_file($name, "$name\n");
    chmod 0600, "$dir/$name" or die "$name: $!";
}

$t->write_file('line', "line   reader reader " . sha256_hex('reader') . "\n");
chmod 0600, "$dir/line" or die "line: $!";

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream model_v3 { server 127.0.0.1:%%PORT_v2%%; }

    upstream some-path {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_release  v3 model_v3;
        canary_rule     error_5xx_rate 10%;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://some-path; }
        location /canary/ { canary_api write=on; allow 127.0.0.1; deny all; }
        location /read/ { canary_api; }
        location /closed/ { canary_api; deny all; }
        location /tokens/ {
            canary_api         write=on;
            canary_api_tokens  %%DIR%%/tokens;
        }
    }

    %%API%%
EOC

my $root = 'http://127.0.0.1:' . $t->port('http');
my $ctl = Canary::Ctl->new($t, "$root/canary/");
my $replay = $ENV{TEST_CANARY_REPLAY}
    // "$FindBin::Bin/../../build/canary-replay";
my @nowhere = ('--url', 'http://127.0.0.1:' . $t->port('nobody') . '/canary/');

my @update = qw(update endpoint some-path --release v2);
my @canary = (@update, qw(-s canary -i 10s --canary-step 20%));
my $known = "\n  The endpoints there are: some-path";
my $commands = 'list, status, update, estimate, advance, approve, pause, '
    . 'resume, promote, rollback, weight, events, failures, fleet, forget, '
    . 'token';
my $update_usage = 'usage: canaryctl update endpoint NAME [--release NAME] '
    . '[--strategy STRATEGY] ...';
my $many = 'is one argument too many (a value with blanks needs quotes); ';
my $step = '--canary-step has to be a ratio above 0 and at most 1, as 0.2 or '
    . '20%, not';
my $time = 'has to be a time above 0, as';
my $weight = 'a weight has to be above 0 and below 1, as 0.35 or 35%, not';
my $like = 'it should be like http://127.0.0.1:8080/canary/';
my $no_api = 'is not the API of the canary module (status 200): give --url or '
    . 'CANARY_URL the location of canary_api, such as '
    . 'http://127.0.0.1:8080/canary/';
my $is_it_there = qr/is nginx running there\? --url or CANARY_URL says where /
    . qr/its canary_api is/;
my $needed = 'a token of "canary_api_tokens" is needed, as "Authorization: '
    . 'Bearer TOKEN" or "X-Canary-Token: TOKEN" (401); ';

# What was typed, and what is said of it.

my @wrong_usage = (
    [ [], "a command is needed: $commands; see canaryctl --help" ],
    [ [ 'stat', 'some-path' ],
      qq(there is no command "stat"; the commands are $commands) ],
    [ [ 'status' ],
      'NAME is missing; usage: canaryctl status NAME [--watch]' ],
    [ [ qw(list some-path) ],
      qq("some-path" ${many}usage: canaryctl list) ],
    [ [ qw(update some-path --release v2) ],
      'what is updated is an endpoint, not "some-path": canaryctl update '
      . 'endpoint NAME' ],
    [ [ qw(update endpoint --release v2) ],
      "NAME is missing; $update_usage" ],
    [ [ @canary, '--rule', 'error_5xx_rate', '5%' ],
      qq("5%" $many$update_usage) ],
    [ [ qw(update endpoint some-path --relase v2) ],
      'there is no option --relase; see canaryctl update --help' ],
    [ [ qw(list --ca x) ],
      'more than one option begins with --ca; see canaryctl list --help' ],
    [ [ @update, '--watch' ],
      'update has no --watch; see canaryctl update --help' ],
    [ [ qw(rollback some-path --wait) ],
      'rollback has no --wait; see canaryctl rollback --help' ],
    [ [ @update, '--bake' ], '--bake needs a value' ],
    [ [ '--release', '', qw(update endpoint some-path) ],
      '--release needs a value, but that is empty' ],
    [ [ '--url', '', 'list' ], '--url needs a value, but that is empty' ],
    [ [ '--token-file', '', 'list' ],
      '--token-file needs a value, but that is empty' ],
    [ [ 'status', '' ], 'there is no endpoint "": the name is empty' ],
    [ [ @update, '-s', 'blue' ],
      '--strategy has to be canary or direct, not "blue"' ],
    [ [ @update, '-s', 'canary' ],
      'the strategy canary needs an interval: --canary-interval TIME (without '
      . '--strategy, that of nginx.conf is taken)' ],
    [ [ @update, '--canary-step', '20%' ],
      '--canary-step goes with --strategy canary, which needs an interval, a '
      . 'step and a rule' ],
    [ [ @update, qw(-s direct --bake 1m) ],
      '--bake does not go with --strategy direct, which has no steps' ],
    (map { [ [ @update, qw(-s canary -i 10s --canary-step), $_ ],
             qq($step "$_") ] } qw(20 120% 0 x)),
    [ [ @canary, '--steps', '1%,10%' ],
      '--steps and --canary-step do not go together: all steps, or the size '
      . 'of each' ],
    [ [ @update, qw(-s canary -i 10min) ],
      "--canary-interval $time 10 (seconds) or 5m, not \"10min\"" ],
    [ [ @update, '--patience', '5' ],
      '--patience has to be a time from 10s to 10m, not "5"' ],
    [ [ @canary, '--rule', 'error_5xx_rate' ],
      '--rule "error_5xx_rate": a rule needs a name and a threshold, such as '
      . '"error_5xx_rate 10%"' ],
    [ [ @canary, '--rule', 'error_5xx_rate > 5%' ],
      '--rule "error_5xx_rate > 5%": invalid threshold ">" of rule '
      . '"error_5xx_rate": there is no operator, a rule is broken when its '
      . 'value is above the threshold, such as "error_5xx_rate 10%"' ],
    [ [ @canary, '--rule', 'latency_p90_max 250' ],
      '--rule "latency_p90_max 250": threshold "250" of rule '
      . '"latency_p90_max" needs a unit, such as "250ms" or "250s"' ],
    [ [ @update, '-f', "$dir/none.json" ],
      "cannot read $dir/none.json: No such file or directory" ],
    [ [ @update, '--if-generation', 'x' ],
      '--if-generation has to be a whole number, as status shows it, not '
      . '"x"' ],
    (map { [ [ 'weight', 'some-path', $_ ], qq($weight "$_"; rollback takes )
             . 'all traffic off the canary, promote gives it all' ] }
         qw(0 35 150%)),
    [ [ qw(--timeout 5x list) ],
      "--timeout $time 30 (seconds) or 5m, not \"5x\"" ],
    [ [ qw(list --timeout) ], '--timeout needs a value' ],
    [ [ qw(--timeout list) ],
      "--timeout $time 30 (seconds) or 5m, not \"list\"" ],
    [ [ qw(events --exec cat) ], '--exec and --state go with --follow' ],
    [ [ qw(events --follow --exec), '' ],
      '--exec needs a value, but that is empty' ],
    [ [ qw(events --after x) ],
      '--after has to be the number of an event, not "x"' ],
    [ [ qw(token ci admin) ],
      'the role of a token is reader or operator, not "admin"' ],
    [ [ qw(token ci) ], 'ROLE is missing; usage: canaryctl token NAME ROLE' ],
    [ [ qw(--url ftp://x/ list) ],
      'the URL of the API (--url or CANARY_URL) cannot be used: Unsupported '
      . "URL scheme; $like" ],
);

my @failed = (
    [ [ qw(status some-pth) ],
      'Not Found: there is no endpoint and nothing else at '
      . qq("/canary/endpoints/some-pth" (404)$known) ],
    [ [ qw(update endpoint some-path) ],
      'Bad Request: /release: is needed: one of the releases: v1, v2, v3 '
      . '(400)' ],
    [ [ qw(pause some-path) ],
      'Conflict: pause does not apply while "some-path" is idle; what applies '
      . "now: start (409)\n  The commands that apply now: update endpoint" ],
    [ [ qw(approve some-path) ],
      'some-path does not wait for approval: idle; next: nothing until a '
      . 'rollout is started (canaryctl update endpoint)' ],
    [ [ @update, '--if-generation', '99' ],
      'Precondition Failed: If-Match names "99", but the endpoint is at '
      . 'generation "1" (412)' ],
    (map { [ [ @nowhere, @$_ ],
             qr/^no answer from \Q$nowhere[1]\E: .*; $is_it_there$/ ] }
         [ 'list' ], [ @update, '--wait' ]),
    (map { my $path = $_; [ [ '--url', "$root$path", 'list' ],
             "$root$path $no_api" ] } '/', '/canray/'),
    [ [ '--url', "$root/read/", @update ],
      'Forbidden: this location can only be read, by GET and HEAD; '
      . '"canary_api write=on" in nginx.conf would allow more (403)' ],
    [ [ '--url', "$root/closed/", 'list' ],
      "$root/closed/ refuses access (403); --token-file FILE gives a token, a "
      . 'URL with USER:PASSWORD@ a user, --cert FILE a certificate, and '
      . '"allow" in nginx.conf lets this machine in' ],
    [ [ '--url', "$root/tokens/", 'list' ],
      "Unauthorized: there is no token; $needed--token-file FILE or "
      . 'CANARY_TOKEN_FILE gives a token' ],
    [ [ '--url', "$root/tokens/", '--token-file', "$dir/unknown", 'list' ],
      "Unauthorized: the token is not known; ${needed}the token was that of "
      . "$dir/unknown: its line has to be in the file of canary_api_tokens, "
      . 'which nginx reads at a reload' ],
    [ [ '--url', "$root/tokens/", '--token-file', "$dir/reader", @update ],
      'Forbidden: token "reader" is a reader\'s: it may GET and HEAD; all '
      . 'else takes the role "operator" (403)' ],
    [ [ '--token-file', "$dir/none", 'list' ],
      "cannot read the file of the token, $dir/none: No such file or "
      . 'directory' ],
    [ [ '--token-file', "$dir/line", 'list' ],
      "there is no token in $dir/line: it should hold one line, the token "
      . 'that canaryctl token has made' ],
    [ [ '--unix-socket', "$dir/none.sock", 'list' ],
      "no answer from $root/canary/ at $dir/none.sock: No such file or "
      . 'directory; nginx has to be running, with "listen unix:" and this '
      . 'path' ],
    [ [ qw(events --follow --exec cat --state), "$dir/none/last" ],
      "--state cannot use $dir/none/last for the number of the last event: No "
      . 'such file or directory; its directory has to be there' ],
    [ [ 'fleet' ],
      'Not Found: this nginx is in no fleet: there is no "canary_fleet" in '
      . 'its nginx.conf (404)' ],
);

subtest 'wrong usage of canaryctl' => sub {
    is_told(USAGE, @$_) for @wrong_usage;
};

subtest 'what canaryctl cannot do' => sub {
    is_told(FAILED, @$_) for @failed;
};

is($t->endpoint('some-path')->{generation}, 1,
   'none of all that has changed anything');

subtest 'a file of a token that is open to others works, with a warning' =>
    sub {
    chmod 0644, "$dir/operator" or die "operator: $!";

    my $run = $ctl->run('--url', "$root/tokens/", '--token-file',
                        "$dir/operator", 'list');

    is($run->{status}, 0);
    is($run->{err}, "canaryctl: warning: $dir/operator, which holds a token, "
       . "is open to others (mode 0644): chmod 600 makes it its owner's\n");
};

subtest 'options stand anywhere' => sub {
    is($ctl->run(@$_)->{status}, 0, "@$_")
        for [ qw(--json list) ], [ qw(list --json) ],
            [ qw(status --json some-path) ], [ qw(events -- some-path) ];
};

# canary-replay

my $try = "\nTry canary-replay --help.";
my %file = (
    strategy => '{"canary_strategy": {"progress_interval_seconds": 10, '
        . '"progress_step": 0.2, "rules": [{"rule": "error_5xx_rate", '
        . '"rule_parameters": [{"name": "threshold", "value": 0.1}]}]}}',
    step     => '{"canary_strategy": {"progress_step": 20}}',
    broken   => '{"canary_strategy": ',
    combined => '127.0.0.1 - - [30/Nov/2026:21:00:00 +0000] "GET / HTTP/1.1" '
        . qq(200 5 "-" "curl"\n),
    empty    => '',
);
my @releases = qw(--stable v1 --canary v2);
my @replay = (@releases, '--strategy', "$dir/strategy");

my @replay_usage = (
    [ [], "--stable NAME is needed$try" ],
    [ [ @releases ], "--strategy FILE is needed$try" ],
    [ [ qw(--stable v1 --canary v1 --strategy), "$dir/strategy" ],
      '--stable and --canary have to be two releases, and are both "v1"'
      . $try ],
    [ [ '--canary', '', '--stable', 'v1', '--strategy', "$dir/strategy" ],
      "--canary NAME is needed$try" ],
    [ [ @replay, '--fromat', 'log' ],
      "unrecognized option '--fromat'$try" ],
    [ [ @replay, '--format', 'csv' ],
      qq(--format has to be log or json, not "csv"$try) ],
    [ [ @replay, '--latency', 'body' ],
      qq(--latency has to be header or response, not "body"$try) ],
    [ [ @replay, 'a.log', 'b.log' ],
      qq(only one log can be replayed, not "b.log" too$try) ],
);
my @replay_failed = (
    [ [ @releases, '--strategy', "$dir/none" ],
      "the strategy $dir/none: No such file or directory" ],
    [ [ @releases, '--strategy', "$dir/broken" ],
      "$dir/broken: not valid JSON from byte 20 on: it ends too early" ],
    [ [ @releases, '--strategy', "$dir/step" ],
      "$dir/step: /canary_strategy/progress_step has to be a ratio from 0.001 "
      . 'to 1, not 20' ],
    [ [ @replay, "$dir/none" ],
      "the log $dir/none: No such file or directory" ],
    [ [ @replay, $dir ], "the log $dir cannot be read: Is a directory" ],
    [ [ @replay, "$dir/empty" ], 'the log is empty' ],
    [ [ @replay, "$dir/combined" ],
      'line 1 has to be a list of name=value, with quotes around a value that '
      . "has spaces\ncanary-replay: no line can be replayed: it takes a "
      . 'log_format with the variables of an attempt, see canary-replay(1)' ],
);

subtest 'canary-replay' => sub {
    $t->write_file($_, $file{$_}) for keys %file;

    for ([ USAGE, @replay_usage ], [ FAILED, @replay_failed ]) {
        my ($status, @cases) = @$_;

        for (@cases) {
            my ($args, $said) = @$_;
            my $run = $ctl->run({ program => $replay }, @$args);

            is($run->{status}, $status, "canary-replay @$args");
            is($run->{out}, '', 'nothing on standard output');
            is($run->{err}, "canary-replay: $said\n");
        }
    }
};

$t->finish;


sub is_told($status, $args, $said) {
    my $run = $ctl->run(@$args);

    is($run->{status}, $status, "canaryctl @$args");
    is($run->{out}, '', 'nothing on standard output');

    if (ref $said) {
        like($run->{err} =~ s/^canaryctl: //r =~ s/\n\z//r, $said);

    } else {
        is($run->{err}, "canaryctl: $said\n");
    }

    return;
}
