#!/usr/bin/perl

# canaryctl, with a real nginx: every command, its output on a terminal and
# elsewhere, and its exit status.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw(sha256_hex);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use JSON::PP ();
use POSIX ();
use IO::Pty;
use Test::More;

use Canary::Ctl;
use Canary::Test;

use constant {
    DONE        => 0,
    FAILED      => 1,
    USAGE       => 2,
    ROLLED_BACK => 3,
};

needs('speed');

my $t = Canary::Test->new(workers => 2, timeout => 300);
my $v2 = $t->backend('v2');
$t->backend('v1');

my $tls = $t->has('http_ssl');
make_certificates() if $tls;

$t->write_file('users', "ops:{PLAIN}secret\n");

# An hour that has just begun, or is a little over.
my $hour = qr/(?:1 h 00 min|59 min \d+ s)/;

# One name has whatever a name may have: a blank, a wide character, a slash,
# and a byte that is no UTF-8.

my $odd = "o d\xe6\x97\xa5/x\xff";

my $http = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream some-path {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_interval 1h;
        canary_bake     1h;
        canary_rule     failed_requests_max 1000000;
    }

    upstream a/b {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_rule     failed_requests_max 1000000;
    }

    upstream "%%ODD%%" {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_rule     failed_requests_max 1000000;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://some-path; }
    }

    server {
        listen 127.0.0.1:%%PORT_more%%;

        location /read/ { canary_api; }

        # An API that has no stream of events.
        location /poll/ { canary_api; }
        location = /poll/events { return 404; }

        location /user/ {
            canary_api write=on;
            auth_basic "canary";
            auth_basic_user_file %%DIR%%/users;
        }

        location /token/ {
            set $token "$http_authorization|$http_x_canary_token";
            default_type application/problem+json;
            return 401 '{"title":"Unauthorized","status":401,"detail":"no such token: $token"}';
        }

        # Answers that no API gives, and problems that are none.
        location /evil {
            root %%DIR%%;
            types { }
            default_type application/json;
        }
        location = /evil/events {
            root %%DIR%%;
            types { }
            default_type text/event-stream;
        }
        location /lines/ {
            default_type application/problem+json;
            return 409 '{"title":"No\\ncanaryctl: t","status":409,"detail":"a\\r\\ncanaryctl: d","errors":[{"pointer":"/a\\ncanaryctl: p","detail":"x\\ny"},{"pointer":"/b","detail":"\\u001b[2J\\u2028"}]}';
        }

        location /moved/ { return 301 /canary/; }
        location /html/  { default_type text/html; return 200 "<p>hello"; }

        # An API that has what this one may not have: a stream of events.
        location = /stream/endpoints {
            default_type application/json;
            return 200 '{"endpoints":[{"name":"ep"}]}';
        }
        location = /stream/endpoints/ep/events {
            default_type application/json;
            return 200 '{"events":[{"id":7,"endpoint":"ep","time":"2026-01-02T03:04:05.678Z","actor":{"name":"ci","address":null},"from":{"phase":"idle","weight":0},"to":{"phase":"progressing","weight":0.25},"reason":"first"}]}';
        }
        location = /stream/events {
            default_type text/event-stream;
            return 200 ': hello\n\nid: 8\ndata: {"id":8,"endpoint":"ep",\ndata: "reason":"after $http_last_event_id"}\n\nid: 9\ndata: {"id":9,"endpoint":"other","reason":"second"}\n\n';
        }
        location = /stream/endpoints/ep/failures {
            default_type application/json;
            return 200 '{"failures":[{"time":"2026-01-02T03:04:06.000Z","rollout":1,"step":1,"weight":0.25,"method":"GET","uri":"/b\\u001b[0m","peer":null,"status":null,"failure":"timeout","time_ms":1500,"request_id":"abc"},{"time":"2026-01-02T03:04:05.000Z","rollout":1,"step":1,"weight":0.25,"method":"GET","uri":"/a","peer":"127.0.0.1:1","status":503,"failure":null,"time_ms":2.5,"request_id":null}]}';
        }
    }

    %%TLS%%
    %%RELAY%%
    %%API%%
EOC

my $tls_server = $tls ? <<'EOC' : '';
    server {
        listen 127.0.0.1:%%PORT_tls%% ssl;
        ssl_certificate        %%DIR%%/server.crt;
        ssl_certificate_key    %%DIR%%/server.key;
        ssl_client_certificate %%DIR%%/ca.crt;
        ssl_verify_client      optional;

        location /canary/ { canary_api; }
        location /known/ {
            if ($ssl_client_verify != SUCCESS) { return 403; }
            canary_api;
        }
    }
EOC

my $relay = <<'EOC';
    server {
        listen 127.0.0.1:%%PORT_relay%%;
        location /canary/ { canary_api write=on; }
    }
EOC

(my $quoted = $odd) =~ s/(["\\\$])/\\$1/g;
$http =~ s/%%ODD%%/$quoted/;
$http =~ s/%%TLS%%/$tls_server/;

$t->start($http =~ s/%%RELAY%%/$relay/r);

my $api = 'http://127.0.0.1:' . $t->port('api') . '/canary/';
my $more = 'http://127.0.0.1:' . $t->port('more');
my $ctl = Canary::Ctl->new($t, $api);
my @canary = ('-s', 'canary', '-i', 3600, '--canary-step', 0.5);
my $rule = '{"rule": "error_4xx_rate", "rule_parameters": '
    . '[{"name": "threshold", "value": "0.1"}]}';


# Starting.

subtest 'the command line of the tutorial' => sub {
    for my $name (qw(/some-path some-path)) {
        for my $by ('"rule": "error_4xx_rate"', '"rule_id": 1007') {
            my $run = $ctl->run('update', 'endpoint', $name,
                '--release', 'v2', '--strategy', 'canary',
                '--canary-interval', '10', '--canary-step', '0.2',
                '--canary-rule', "{$by, \"rule_parameters\": "
                    . '[{"name": "threshold", "value": "0.1"}]}');
            my $endpoint = $t->endpoint('some-path');
            my $strategy = $endpoint->{strategy}{canary_strategy};

            is($run->{status}, DONE, "$name, $by");
            is($run->{err}, '');
            like($run->{out}, qr/^some-path: progressing, 20%, step 1 of 5; /);
            is($endpoint->{canary}, 'v2');
            is($strategy->{progress_interval_seconds}, 10);
            is($strategy->{progress_step}, 0.2);
            is($strategy->{rules}[0]{rule}, 'error_4xx_rate');
            is($strategy->{rules}[0]{rule_parameters}[0]{value}, 0.1);

            idle('some-path');
        }
    }
};

subtest 'short options, several rules, a reason, the strategy of nginx.conf' =>
    sub {
    my $run = $ctl->run('update', 'endpoint', 'some-path', @canary, '-c', $rule,
                        '-c', $rule =~ s/4xx/5xx/r, '--reason', 'release day');

    is($run->{status}, DONE);
    is(@{ $t->endpoint('some-path')->{rules} }, 2);
    is(($t->events('some-path'))[0]{reason}, 'release day');
    idle('some-path');

    $run = $ctl->run('update', 'endpoint', 'some-path');
    is($run->{status}, DONE);
    like($run->{out}, qr/progressing, 10%, step 1 of 10; next: 20% in /);
    idle('some-path');
};

subtest 'a file' => sub {
    $t->write_file('update.json', JSON::PP::encode_json({
        release => 'v2', strategy => 'canary', canary_strategy => {
            progress_interval_seconds => 60, progress_steps => [0.1, 0.4],
            rules => [ JSON::PP::decode_json($rule) ],
        },
    }));

    my $file = $t->dir . '/update.json';
    my $run = $ctl->run('update', 'endpoint', 'some-path', '--filename',
                        $file);
    my $endpoint = $t->endpoint('some-path');

    is($run->{status}, DONE, $run->{err});
    is_deeply($endpoint->{steps}, [0.1, 0.4, 1]);
    idle('some-path');

    $run = $ctl->run({ input => $t->read_file('update.json') }, 'update',
                     'endpoint', 'some-path', '-f', '-', '--canary-step',
                     '0.5', '-i', '7');
    $endpoint = $t->endpoint('some-path');

    is($run->{status}, DONE, 'standard input, and options before it');
    is_deeply($endpoint->{steps}, [0.5, 1]);
    is($endpoint->{strategy}{canary_strategy}{progress_interval_seconds}, 7);
    idle('some-path');

    for my $text ('', '[]', '{"a":1} x', '{"a":', '{' . ' ' x 70_000 . '}',
                  "\xef\xbb\xbf{}", '{"release":"v2\uQQQQ-not"}',
                  '{"release":"v2","release":"v1"}', '{"x":{"y":1,"\u0079":2}}',
                  '{"x":01}', "{}\0", "{\"release\":\"v2\0x\"}")
    {
        $t->write_file('bad.json', $text);
        $run = $ctl->run('update', 'endpoint', 'some-path', '-f',
                         $t->dir . '/bad.json');
        is($run->{status}, USAGE, 'a file with ' . substr $text, 0, 10);
        like($run->{err}, qr/bad\.json/);
    }
    like($run->{err}, qr/control character 0x00 at byte 14/, 'what and where');
    $run = $ctl->run('update', 'endpoint', 'some-path', '-f', '/nowhere');
    is($run->{status}, USAGE);
    like($run->{err}, qr{/nowhere: No such file});
};

subtest 'wrong usage is 2, says what would be right, and sends nothing' => sub {
    my @update = qw(update endpoint some-path);
    my @cases = (
        [ [], qr/a command is needed/ ],
        [ ['what'], qr/no command "what"/ ],
        [ ['what', '--help'], qr/no command "what"/ ],
        [ ['list', 'x'], qr/usage: canaryctl list/ ],
        [ ['status'], qr/usage: canaryctl status NAME/ ],
        [ ['status', 'a', 'b'], qr/usage: canaryctl status NAME/ ],
        [ ['--what', 'list'], qr/no option --what/ ],
        [ ['-z', 'list'], qr/no option -z/ ],
        [ ['list', '--url'], qr/--url needs a value/ ],
        [ ['list', '--json=1'], qr/--json=1 takes no value/ ],
        [ ['list', '--watch'], qr/list has no --watch/ ],
        [ ['--url', 'ftp://x/', 'list'], qr/--url.*Unsupported URL scheme; it should be like http:/ ],
        [ ['pause', 'some-path', '--if-generation', '1x'],
          qr/--if-generation.*"1x"/ ],
        [ ['events', '--after', '-1'], qr/--after.*"-1"/ ],
        [ ['update', 'model', 'x'], qr/"model"/ ],
        [ [@update, '-s', 'blue'], qr/canary or direct, not "blue"/ ],
        [ [@update, '-s', 'canary'], qr/needs an interval: --canary-interval/ ],
        [ [@update, '-s', 'canary', '-i', 1], qr/needs a step: --canary-step/ ],
        [ [@update, @canary], qr/needs a rule: --rule/ ],
        [ [@update, '-i', 1], qr/--canary-interval goes with --strategy canary/ ],
        [ [@update, '-s', 'direct', '-c', $rule], qr/--strategy canary/ ],
        [ [@update, '--approval', 'yes'],
          qr/--approval has to be off, step or promotion, not "yes"/ ],
        [ [@update, '-s', 'direct', '--approval', 'step'],
          qr/--approval does not go with --strategy direct/ ],
        [ [@update, @canary, '-c', 'x'], qr/--rule "x": .*a threshold/ ],
        [ [@update, @canary, '-c', '[]'], qr/--rule "\[\]": .*a threshold/ ],
        [ [@update, @canary, '-c', '{]'],
          qr/--canary-rule has to be a JSON object,.* or a rule as in nginx/ ],
        [ [@update, @canary, '-c', '{"rule":"error_rate\uQQQQ"}'],
          qr/--canary-rule.*\\u without four hexadecimal digits/ ],
        [ [@update, @canary, '-c', '{"rule":1,"rule":2}'],
          qr{--canary-rule.*: /rule: "rule" is here twice} ],
        (map { [ ['status', $_], qr/the name is "\." or "\.\."/ ] }
            '..', '.', '../../x', '/..', 'a/../b', './x', 'x/..'),
        (map { [ ['status', $_], qr/the name has a control character/ ] }
            "a\nb", "a\e[2J", "\x7f", "\xc2\x9b"),
        (map { [ ['status', $_], qr/the name is empty/ ] } '', '/'),
        (map { [ [ @$_ ], qr/the name is "\." or "\.\."/ ] }
            ['update', 'endpoint', '..', '-f', '/nowhere'],
            ['pause', '/../x'], ['weight', '..', '0.5'], ['events', '..'],
            ['failures', '../x', '--json']),
        [ [@update, @canary, '-c', $rule, '-i', '0'], qr/above 0, .*"0"/ ],
        [ [@update, @canary, '-c', $rule, '-i', '1x'], qr/not "1x"/ ],
        [ [@update, @canary, '-c', $rule, '--canary-step', '20'],
          qr/at most 1, as 0\.2 or 20%, not "20"/ ],
        [ ['weight', 'some-path'], qr/usage: canaryctl weight NAME VALUE/ ],
        [ ['weight', 'some-path', '0.5', '--watch'], qr/has no --watch/ ],
        [ ['weight', 'some-path', '0.5', '--if-generation', 'x'],
          qr/--if-generation.*"x"/ ],
        (map { [ ['weight', 'some-path', $_],
                 qr/above 0 and below 1, as 0\.35 or 35%, not "\Q$_\E"/ ] }
            qw(0 1 35 1.5 0% 100% 150% 1e999 half 35%% 0.35x % nan), '', '0,35',
            ' 0.5', '0.5 ', '5 %', '9' x 100 . '%'),
        [ ['weight', 'some-path', '--', '-0.1'], qr/not "-0\.1"/ ],
        [ ['token', 'ci', 'root'], qr/reader or operator, not "root"/ ],
        [ ['token', "c i", 'reader'], qr/letters, digits/ ],
    );
    my $generation = $t->endpoint('some-path')->{generation};

    for my $case (@cases) {
        my ($args, $message) = @$case;
        my $run = $ctl->run(@$args);

        is($run->{status}, USAGE, "canaryctl @$args");
        like($run->{err}, $message);
        is($run->{out}, '');
    }
    is($t->endpoint('some-path')->{generation}, $generation);
};

subtest 'help and version' => sub {
    for my $command (qw(list status update advance approve pause resume
                        promote rollback weight events failures fleet forget
                        token))
    {
        my $run = $ctl->run($command, '--help');

        is($run->{status}, DONE);
        like($run->{out}, qr/^usage: canaryctl $command\b.*Exit status/s);
        like($ctl->run('-h')->{out}, qr/^  $command +\S/m);
    }
    like($ctl->run('--version')->{out}, qr/^canaryctl \d+\.\d+\.\d+ /);
};


# Verbs.

subtest 'verbs, with their reason' => sub {
    my @verbs = (
        [ pause => qr/paused, 50%/ ], [ resume => qr/progressing, 50%/ ],
        [ advance => qr/baking, 100%/ ], [ promote => qr/: v2 promoted; v2 is stable$/ ],
    );

    $t->start_rollout('some-path');
    for my $case (@verbs) {
        my ($verb, $says) = @$case;
        my $run = $ctl->run($verb, '/some-path', '--reason', "so: $verb \xc3\xa9");

        is($run->{status}, DONE, $verb);
        like($run->{out}, $says);
        like(($t->events('some-path'))[0]{reason}, qr/^so: $verb/);
    }

    $t->start_rollout('some-path', release => 'v1');
    is($ctl->run('rollback', 'some-path')->{status}, DONE);
    is($t->endpoint('some-path')->{last_rollout}{result}, 'rolled_back');

    my $run = $ctl->run('update', 'endpoint', 'some-path', '-s', 'direct',
                        '--release', 'v1', '--wait');
    is($run->{status}, DONE, 'a direct update has nothing to wait for');
    is($t->endpoint('some-path')->{stable}, 'v1');
};

subtest 'a weight' => sub {
    $t->start_rollout('some-path');

    my %cases = ('0.35' => 0.35, '35%' => 0.35, '0.000001' => 0.000001,
                 '99.9999%' => 0.999999, '12.3%' => 0.123, '2e-1' => 0.2);
    for my $value (sort keys %cases) {
        my $run = $ctl->run('weight', '/some-path', $value, '--reason',
                            "so: $value");

        is($run->{status}, DONE, "$value $run->{err}");
        like($run->{out}, qr/^some-path: progressing, [\de.-]+%, /);
        is($t->endpoint('some-path')->{weight}, $cases{$value});
        is(($t->events('some-path'))[0]{reason}, "so: $value");
    }

    my $before = $t->endpoint('some-path');
    my $run = $ctl->run('weight', 'some-path', '0.4', '--if-generation',
                        $before->{generation} - 1);
    is($run->{status}, FAILED, 'another generation');
    like($run->{err}, qr/\(412\)/);
    is($t->endpoint('some-path')->{weight}, $before->{weight});

    $run = $ctl->run('--json', 'weight', 'some-path', '0.4',
                     '--if-generation', $before->{generation});
    is($run->{status}, DONE);
    is(JSON::PP::decode_json($run->{out})->{weight}, 0.4, 'also in JSON');

    idle('some-path');
    $run = $ctl->run('weight', 'some-path', '0.4');
    is($run->{status}, FAILED, 'without a rollout');
    like($run->{err}, qr/^canaryctl: Conflict: /);
};

subtest 'a generation' => sub {
    my $generation = $t->start_rollout('some-path')->{generation};
    my $run = $ctl->run('pause', 'some-path', '--if-generation',
                        $generation - 1);

    is($run->{status}, FAILED);
    like($run->{err}, qr/at generation "$generation" \(412\)/);
    is($ctl->run('pause', 'some-path', '--if-generation', $generation)
       ->{status}, DONE);
    is($t->endpoint('some-path')->{phase}, 'paused');
    idle('some-path');
};

subtest 'approval' => sub {
    my $run = $ctl->run('approve', 'some-path');
    is($run->{status}, FAILED, 'without a rollout');
    like($run->{err}, qr/^canaryctl: some-path does not wait for approval: idle/);

    $run = $ctl->run('update', 'endpoint', 'some-path', '--approval', 'step');
    is($run->{status}, DONE, 'a start says what waits');
    like($run->{out},
         qr/20% in $hour, if every rule passes and it is approved$/);
    is($t->endpoint('some-path')->{strategy}{canary_strategy}{approval},
       'step');

    $run = $ctl->run('approve', 'some-path');
    is($run->{status}, FAILED, 'what is not due');
    like($run->{err}, qr/does not wait for approval: progressing.* in $hour/);
    is($t->endpoint('some-path')->{step}, 1, 'is not approved');
    idle('some-path');

    $t->write_file('quick', '{"canary_strategy": {'
        . '"progress_interval_seconds": 0.05, "progress_steps": [0.5],'
        . '"bake_seconds": 0.05, "approval": "step"}}');
    my $wait = $ctl->start('update', 'endpoint', 'some-path', '--wait',
                           '-f', $t->dir . '/quick');
    $ctl->wait_output($wait, qr/rollout of v2 started/);
    $t->get('/') for 1 .. 4;
    $ctl->wait_output($wait, qr/step 1 of 2; waiting: approval\n/);

    like($ctl->run('list')->{out}, qr/^some-path .* approval$/m);
    $run = $ctl->run('status', 'some-path');
    like($run->{out}, qr/^Next +100% as soon as it is approved/m);
    like($run->{out}, qr/^Waits for +approval$/m);

    my $generation = $t->endpoint('some-path')->{generation};
    $run = $ctl->run('approve', 'some-path', '--if-generation',
                     $generation - 1);
    is($run->{status}, FAILED, 'another generation');
    like($run->{err}, qr/\(412\)/);

    $run = $ctl->run('approve', '/some-path', '--reason', 'looks well');
    is($run->{status}, DONE, 'approved');
    like($run->{out}, qr/^some-path: baking, 100%/);
    is(($t->events('some-path'))[0]{reason}, 'looks well');

    $t->get('/') for 1 .. 4;
    $ctl->wait_output($wait, qr/step 2 of 2; waiting: approval\n/);
    $run = $ctl->run('--json', 'approve', 'some-path');
    is($run->{status}, DONE, 'the promotion too');
    is(JSON::PP::decode_json($run->{out})->{stable}, 'v2');
    is($ctl->finish($wait)->{status}, DONE, 'which ends the waiting');

    $run = $ctl->run('--json', 'approve', 'some-path');
    is($run->{status}, FAILED, 'once');
    is(JSON::PP::decode_json($run->{out})->{phase}, 'idle', 'also in JSON');
    $t->api_post('endpoints/some-path/rollout',
                 { release => 'v1', strategy => 'direct' });
    $t->start_rollout('some-path');
    idle('some-path');
};

subtest 'what the API refuses is told in words' => sub {
    my $run = $ctl->run('advance', 'some-path');

    is($run->{status}, FAILED);
    like($run->{err}, qr/^canaryctl: Conflict: advance does not apply.*start/);

    $run = $ctl->run('update', 'endpoint', 'some-path', '--release', 'v9',
                     @canary, '-c', '{"rule": "x"}');
    is($run->{status}, FAILED);
    like($run->{err}, qr/errors in the body \(400\)$/m);
    like($run->{err}, qr{^  /release: .*"v9"$}m);
    like($run->{err}, qr{^  /canary_strategy/rules/0/rule: }m);

    $run = $ctl->run('--json', 'advance', 'some-path');
    is($run->{status}, FAILED);
    is(JSON::PP::decode_json($run->{out})->{status}, 409, 'also in JSON');

    like($ctl->run('status', 'none')->{err}, qr/Not Found.*\(404\)/);
    like($ctl->run('--url', "$more/read/", 'pause', 'some-path')->{err},
         qr/Forbidden: .*write=on.*\(403\)/);
};


# Showing.

subtest 'list' => sub {
    my $run = $ctl->run('list');
    my @lines = split /\n/, $run->{out};

    is($run->{status}, DONE);
    is(@lines, 4, 'a heading and an endpoint a line');
    like($lines[0], qr/^NAME +PHASE +STABLE +CANARY +WEIGHT +SERVED/);
    like($lines[1], qr/^some-path +idle +v1 +- .*v2 rolled back 2/);
    unlike($run->{out}, qr/\e/, 'no escapes');

    $t->start_rollout('some-path');
    like($ctl->run('list')->{out},
         qr{^some-path +progressing +v1 +v2 +50% +- +1/2 +100% in $hour}m);
};

subtest 'status' => sub {
    $t->verb('some-path', 'rollback');
    $t->start_rollout('some-path', rules => [
        rule(error_5xx_rate => 0.1), rule(latency_p90_max => 250),
        rule(failed_requests_max => 500),
    ]);
    $v2->on('/bad', status => 404);
    $t->get('/bad') for 1 .. 4;
    $t->get('/') for 1 .. 16;

    my $generation = $t->endpoint('some-path')->{generation};
    my $run = $ctl->run('status', '/some-path');
    my $out = $run->{out};

    is($run->{status}, DONE);
    like($out, qr/^Endpoint   some-path$/m);
    like($out, qr/^Phase .*progressing: v2 beside v1 \(generation $generation/m);
    like($out, qr/^Weight     \[#{10}-{10}\] target 50%, served 50%$/m);
    like($out, qr/^Step       1 of 2: \[50%\] 100%$/m);
    like($out, qr/^Next       100% in $hour, if every rule passes$/m);
    like($out, qr/^Waits for  \d+ more clean attempts until error_5xx/m);
    like($out, qr/^RELEASE +v1 +v2$/m);
    like($out, qr/^ +stable +canary$/m);
    like($out, qr/^4xx +\d+ +2$/m);
    like($out, qr/^p90 ms +[\d.]+ +[\d.]+$/m);
    like($out, qr/^RULE +VALUE +LIMIT +BOUNDS +ATTEMPTS +NEEDS +VERDICT$/m);
    like($out, qr/^error_5xx_rate +0% +10% +0% \.\. \S+% +\d+ +\d+ +undecided$/m);
    like($out, qr/^latency_p90_max +\S+ ms +250 ms .*undecided$/m);
    like($out, qr/^failed_requests_max +0 +500 +- +\d+ +- +passing$/m);
    like($out, qr/ idle -> progressing 50% +api 127.0.0.1: rollout of v2/);
    unlike($out, qr/\e/, 'no escapes');
};

subtest 'names are safe' => sub {
    my $run = $ctl->run('status', $odd);

    is($run->{status}, DONE, $run->{err});
    like($run->{out}, qr/^Endpoint   o d\xe6\x97\xa5\/x\S+$/m);
    unlike($run->{out}, qr/\e/);
    is($ctl->run('update', 'endpoint', $odd)->{status}, DONE);
    is($t->endpoint($odd =~ s/([^a-z])/sprintf '%%%02x', ord $1/ger)->{phase},
       'progressing');
    unlike($ctl->run('list')->{out} . $ctl->run('events', $odd)->{out}, qr/\e/);
    is($ctl->run('rollback', "/$odd")->{status}, DONE);
};

subtest 'JSON' => sub {
    for my $args (['list'], ['status', 'some-path'], ['events', 'some-path'],
                  ['events'], ['pause', 'some-path'], ['resume', 'some-path'],
                  ['rollback', 'some-path'],
                  ['update', 'endpoint', 'some-path'],
                  ['token', 'ci', 'reader'])
    {
        my $run = $ctl->run(@$args, '--json');

        is($run->{status}, DONE, "@$args");
        is(ref eval { JSON::PP::decode_json($run->{out}) }, 'HASH');
    }
    is_deeply([ map { $_->{id} } @{ JSON::PP::decode_json(
                    $ctl->run('--json', 'events', 'some-path')->{out})
                    ->{events} } ],
              [ map { $_->{id} } $t->events('some-path') ],
              'events as the API has them');
    idle('some-path');
};

subtest 'events' => sub {
    my @ids = map { $_->{id} } reverse $t->events('some-path');
    my $run = $ctl->run('events', 'some-path');
    my @shown = $run->{out} =~ /^\S+ \S+ +(\d+) +some-path /mg;

    is_deeply(\@shown, \@ids, 'the newest last');

    $run = $ctl->run('events', '--after', $ids[-3]);
    is(scalar(() = $run->{out} =~ /^\d/mg), 2, 'only later ones');

    is($ctl->run('update', 'endpoint', '/a/b')->{status}, DONE);
    idle('a/b');

    my @all = $ctl->run('events')->{out} =~ /^\S+ \S+ +(\d+) /mg;
    is_deeply(\@all, [ sort { $a <=> $b } @all ], 'of all endpoints, in order');
    cmp_ok(@all, '>', @ids);
};

subtest 'events are followed' => sub { follow($api) };

subtest 'events are followed by asking' => sub { follow("$more/poll/") };

subtest 'events are followed by a stream' => sub {
    my $run = $ctl->start('--url', "$more/stream", 'events', '--follow');

    $ctl->wait_output($run, qr/second/);
    $ctl->finish($run, 'TERM');
    like($run->{out}, qr/  7  ep  idle -> progressing 25%  ci: first\n/);
    like($run->{out}, qr/  8  ep  .*after 7\n.*  9  other .*second\n\z/,
         'from the last one on, and none twice');

    $run = $ctl->start('--url', "$more/stream", 'events', '/ep', '--follow',
                       '--json');
    $ctl->wait_output($run, qr/after 7/);
    $ctl->finish($run, 'INT');
    is_deeply([ map { JSON::PP::decode_json($_)->{id} }
                    split /\n/, $run->{out} ], [ 7, 8 ],
              'of one endpoint, an object a line');
};

subtest 'failures' => sub {
    my $run = $ctl->run('--url', "$more/stream/", 'failures', 'ep');

    is($run->{status}, DONE);
    like($run->{out}, qr{ 25% +503 +- +2\.5 +127\.0\.0\.1:1 +- +GET /a\n});
    like($run->{out}, qr{ 25% +- +timeout +1500 +- +abc +GET /b\?\[0m\n\z});
};


# Waiting.

my @quick = ('-s', 'canary', '-i', '0.2', '--canary-step', '0.5', '-c',
             '{"rule": "failed_requests_max", "rule_parameters": '
             . '[{"name": "threshold", "value": 5}]}');

$t->write_file('quick.json', '{"canary_strategy": {"bake_seconds": 0}}');
push @quick, '-f', $t->dir . '/quick.json';

subtest 'waiting for the promotion' => sub {
    my $run = $ctl->start('update', 'endpoint', 'some-path', '--release', 'v2',
                          @quick, '--wait');

    $ctl->wait_output($run, qr/; waiting: no attempt in this step yet/);

    my $load = $t->load(rate => 200);
    $ctl->finish($run);
    $load->stop;

    is($run->{status}, DONE, $run->{err});
    like($run->{out}, qr/idle -> progressing 50% .*rollout of v2 started\n/);
    like($run->{out}, qr/-> idle .*\nsome-path: v2 promoted; v2 is stable\n\z/s);
    unlike($run->{out}, qr/[\e\r]/);
    is($run->{err}, '');
};

subtest 'waiting for a rollback' => sub {
    my $run = $ctl->start('update', 'endpoint', 'some-path', '--release', 'v1',
                          '-s', 'canary', '-i', 3600, '--canary-step', '0.5',
                          '-c', $rule, '--wait');

    $ctl->wait_output($run, qr/rollout of v1 started/);
    $t->verb('some-path', 'rollback', { reason => "no\tgood" =~ s/\t/ /r });
    $ctl->finish($run);

    is($run->{status}, ROLLED_BACK);
    like($run->{err}, qr/^canaryctl: v1 rolled back 2.*: no good$/m);
};

subtest 'waiting for a broken rule' => sub {
    $t->verb('some-path', 'rollback')
        if $t->endpoint('some-path')->{phase} ne 'idle';
    $t->api_post('endpoints/some-path/rollout',
                 { release => 'v1', strategy => 'direct' });
    $v2->set(status => 500);

    for my $violation (qw(rollback halt)) {
        $t->write_file('bad.json', JSON::PP::encode_json({
            strategy => 'canary', release => 'v2', canary_strategy => {
                progress_interval_seconds => 3600, progress_step => 0.5,
                on_violation => $violation,
                rules => [ rule(failed_requests_max => 3) ],
            },
        }));
        my $run = $ctl->start('update', 'endpoint', 'some-path', '-f',
                              $t->dir . '/bad.json', '--wait', '--json');

        $ctl->wait_output($run, qr/"progressing"/);
        $t->get('/') for 1 .. 10;
        $ctl->finish($run);

        is($run->{status}, ROLLED_BACK, $violation);
        like($run->{err}, $violation eq 'halt' ? qr/halted at its weight/
             : qr/v2 rolled back .*: failed_requests_max 4 > 3/);

        my @states = map { JSON::PP::decode_json($_)->{phase} }
            split /\n/, $run->{out};
        is_deeply(\@states, [ 'progressing',
                              $violation eq 'halt' ? 'halted' : 'idle' ],
                  'in JSON, each change');
    }

    $v2->set(status => 200);
    idle('some-path');
};

subtest 'waiting survives a loss of the connection' => sub {
    my $url = 'http://127.0.0.1:' . $t->port('relay') . '/canary/';
    my $run = $ctl->start({ env => { CANARY_URL => $url } }, 'update',
                          'endpoint', 'some-path', @canary, '-c', $rule,
                          '--wait');

    $ctl->wait_output($run, qr/rollout of v2 started/);
    $t->reload($http =~ s/%%RELAY%%//r, gone => 1);
    $t->wait_for(sub { $ctl->output($run); $run->{err} =~ /trying again/ }, 20,
                 'the loss to be told');
    $t->verb('some-path', 'promote', { reason => 'meanwhile' });
    $t->reload($http =~ s/%%RELAY%%/$relay/r);
    $ctl->finish($run);

    is($run->{status}, DONE, $run->{err});
    like($run->{out}, qr/meanwhile\nsome-path: v2 promoted; v2 is stable\n\z/,
         'what happened meanwhile is told');
    is(scalar(() = $run->{err} =~ /trying again/g), 1, 'the loss is told once');
};

subtest 'waiting survives a restart of nginx' => sub {
    my $run = $ctl->start('update', 'endpoint', 'some-path', '--release', 'v1',
                          @canary, '-c', $rule, '--wait');

    $ctl->wait_output($run, qr/rollout of v1 started/);
    $t->stop;
    $t->wait_for(sub { $ctl->output($run); $run->{err} =~ /trying again/ }, 20,
                 'the loss to be told');
    $t->start;
    $t->verb('some-path', 'promote', { reason => 'after it' });
    $ctl->finish($run);

    is($run->{status}, DONE, $run->{err});
    like($run->{out}, qr/after it\nsome-path: v1 promoted; v1 is stable\n\z/);
};

subtest 'an interrupt ends the waiting only' => sub {
    my $run = $ctl->start('update', 'endpoint', 'some-path', @canary, '-c',
                          $rule, '--wait');

    $ctl->wait_output($run, qr/started/);
    $ctl->finish($run, 'INT');
    is($run->{signal}, POSIX::SIGINT());
    like($run->{err}, qr/the rollout goes on/);
    is($t->endpoint('some-path')->{phase}, 'progressing');
    idle('some-path');
};


# Terminals.

subtest 'colour is for terminals' => sub {
    needs('terminal');

    my $run = $ctl->run({ terminal => [24, 80] }, 'list');

    is($run->{status}, DONE);
    like($run->{out}, qr/\e\[1msome-path\e\[0m/);

    for my $env ({ NO_COLOR => 1 }, { TERM => 'dumb' }, { TERM => undef }) {
        my ($name) = keys %$env;

        $run = $ctl->run({ terminal => [24, 80], env => $env }, 'list');
        unlike($run->{out}, qr/\e/, "$name=" . ($env->{$name} // ''));
    }
    like($ctl->run({ terminal => [24, 80], env => { NO_COLOR => '' } }, 'list')
         ->{out}, qr/\e\[1m/, 'an empty NO_COLOR is none');
};

subtest 'the width is that of the terminal' => sub {
    needs('terminal');

    $t->start_rollout('some-path');

    for my $columns (20, 40, 80, 200) {
        for my $args (['list'], ['status', 'some-path']) {
            my $run = $ctl->run({ terminal => [24, $columns],
                                  env => { NO_COLOR => 1 } }, @$args);
            my @long = grep { length > $columns } split /\r?\n/, ascii($run);

            is_deeply(\@long, [], "@$args, $columns columns");
        }
    }
};

subtest 'watch' => sub {
    needs('terminal');

    for my $end ('q', 'INT') {
        my $run = $ctl->start({ terminal => [30, 80] }, 'status', 'some-path',
                              '--watch');

        $ctl->wait_output($run, qr/\A\e\[\?1049h\e\[\?25l.*target 50%/s);
        $t->set_weight('some-path', 0.375);
        $ctl->wait_output($run, qr/target 37\.5%/);
        $t->set_weight('some-path', 0.5);
        ok(!echoes($run), 'keys are not shown');

        $end eq 'q' ? $ctl->type($run, 'q') : kill INT => $run->{pid};
        $ctl->finish($run);

        is($run->{signal}, $end eq 'q' ? 0 : POSIX::SIGINT());
        is($run->{status}, 0);
        like($run->{out}, qr/\e\[\?25h\e\[\?1049l\z/,
             'the terminal is as it was');
        ok(echoes($run));

        my @frames = split /\e\[H(?!\e\[2J)/, $run->{out};
        cmp_ok(@frames, '>=', 3);
        cmp_ok(scalar(() = $frames[-1] =~ /\n/g), '<', 30, 'on one screen');
    }
};

subtest 'watch, stopped and gone on with' => sub {
    needs('terminal');

    my $run = $ctl->start({ terminal => [30, 80] }, 'status', 'some-path',
                          '--watch');

    $ctl->wait_output($run, qr/target 50%/);
    kill TSTP => $run->{pid};
    $ctl->wait_output($run, qr/\e\[\?25h\e\[\?1049l\z/);
    $t->wait_for(sub { state_of($run) eq 'T' }, 10, 'it to stop');
    ok(echoes($run), 'the terminal is as it was');

    kill CONT => $run->{pid};
    $ctl->wait_output($run, qr/1049l\e\[\?1049h.*target 50%/s);
    ok(!echoes($run));
    $ctl->type($run, 'q');
    $ctl->finish($run);
    is($run->{status}, DONE);
};

subtest 'watch, while nginx is away, and on a small terminal' => sub {
    needs('terminal');

    my $url = 'http://127.0.0.1:' . $t->port('relay') . '/canary/';
    my $run = $ctl->start({ terminal => [8, 60],
                            env => { CANARY_URL => $url } },
                          'status', 'some-path', '--watch');

    $ctl->wait_output($run, qr/target 50%/);
    $t->reload($http =~ s/%%RELAY%%//r, gone => 1);
    $ctl->wait_output($run, qr/Trouble +.*no answer from/);
    $t->reload($http =~ s/%%RELAY%%/$relay/r);
    $ctl->wait_output($run, qr/Trouble.*target 50%/s);
    $ctl->type($run, 'q');
    $ctl->finish($run);
    is($run->{status}, DONE);

    my @frames = split /\e\[H(?!\e\[2J)/, $run->{out};
    is_deeply([ grep { (() = /\n/g) > 7 } @frames ], [], 'no more rows');
};

subtest 'watch, not on a terminal' => sub {
    my $run = $ctl->start('status', 'some-path', '--watch');

    $ctl->wait_output($run, qr/^progressing, 50%, step 1 of 2/);
    $t->verb('some-path', 'pause', { reason => 'stop here' });
    $ctl->wait_output($run, qr/^paused, 50%, .*stop here\n/m);
    $ctl->finish($run, 'TERM');
    is($run->{signal}, POSIX::SIGTERM());
    unlike($run->{out}, qr/[\e\r]/);
    is(scalar(() = $run->{out} =~ /\n/g), 2, 'a line for what is new');

    is($ctl->run('status', 'none', '--watch')->{status}, FAILED);
};

subtest 'waiting on a terminal' => sub {
    needs('terminal');

    idle('some-path');

    my $run = $ctl->start({ terminal => [24, 60] }, 'update', 'endpoint',
                          'some-path', @canary, '-c', $rule, '--wait');

    $ctl->wait_output($run, qr/\r\e\[Kprogressing, 50%, step 1 of 2; next: 10/);
    $t->verb('some-path', 'promote');
    $ctl->finish($run);
    is($run->{status}, DONE);
    like($run->{out},
         qr/\r\e\[K20[^\r]+progressing 50% -> idle .*; v2 is stable\r\n\z/s);
};


# Who is asked, and how.

subtest 'no answer, and others than the API' => sub {
    my $closed = 'http://127.0.0.1:' . $t->port('closed') . '/';
    my $run = $ctl->run('--url', $closed, 'list');

    is($run->{status}, FAILED);
    like($run->{err}, qr/no answer from \Q$closed\E: .*--url or CANARY_URL/);
    like($ctl->run('--url', "$more/html/", 'list')->{err},
         qr/not the API of the canary module.*canary_api/);
    like($ctl->run('--url', "$more/moved/", 'list')->{err},
         qr{redirects to http://.*/canary/});
    is($ctl->run('--url', "$more/moved/", 'list')->{status}, FAILED);

    my $host = $api =~ s{^http://}{}r =~ s{/$}{}r;
    is($ctl->run('--url', $host, 'list')->{status}, DONE,
       'without a scheme and the last slash');
};

subtest 'a proxy is not asked for this machine' => sub {
    my $closed = 'http://127.0.0.1:' . $t->port('closed');

    is($ctl->run({ env => { http_proxy => $closed } }, 'list')->{status}, DONE);
};

# What is hostile may answer anything.

subtest 'answers that no API gives' => sub {
    my %bodies = (
        'objects'       => [ '{"endpoints":[' . '{},' x 5_600_000 . '{}]}',
                             qr/too many values/ ],
        'lists'         => [ '{"endpoints":[' . '[],' x 2_000_000 . '[]]}',
                             qr/too many values/ ],
        'empty ones'    => [ '{"endpoints":[' . '{},' x 900_000 . '{}]}',
                             qr/a list of more than 65536 elements/ ],
        'members'       => [ '{"a":' x 500 . '[' . '0,' x 2_000_000 . '0]'
                             . '}' x 500, qr/too many values/ ],
        'deep'          => [ '[' x 1_000_000 . ']' x 1_000_000,
                             qr/nested too deeply/ ],
        'members twice' => [ '{"endpoints":[],"endpoints":[]}',
                             qr{/endpoints: "endpoints" is here twice} ],
        'a long text'   => [ '{"endpoints":"' . 'x' x 40_000_000 . '"}',
                             qr/answers with more than that can/ ],
        'no end'        => [ '{"endpoints":[', qr/it ends too early/ ],
        'no JSON'       => [ '{"endpoints":[],"x":"\uQQQQ"}',
                             qr/without four hexadecimal digits/ ],
        'no text'       => [ "{\"endpoints\":[\"\xff\"]}", qr/not valid UTF-8/ ],
    );

    evil('evil-list/endpoints', '{"endpoints":[]}');
    is($ctl->run('--url', "$more/evil-list/", 'list')->{status}, DONE);

    for my $name (sort keys %bodies) {
        my ($body, $why) = @{ $bodies{$name} };

        evil('evil-list/endpoints', $body);
        my $run = $ctl->run('--url', "$more/evil-list/", 'list');
        is($run->{status}, FAILED, $name);
        like($run->{err}, qr/^canaryctl: .*$why.*\n\z/);
    }

    evil('evil-list/endpoints', '{"endpoints":[{"name":"../../x"},{"name":".."},'
         . '{"name":"a\u000ab"}]}');
    my $run = $ctl->run('--url', "$more/evil-list/", 'events');
    is("$run->{status} $run->{err}", DONE . ' ',
       'names that lead out of the API are not asked for');
};

subtest 'numbers that no API has' => sub {
    evil('evil/endpoints/e1', '{"name":"e1","phase":"progressing","canary":"v2",'
         . '"stable":"v1","weight":1e999,"step":1e300,"steps":[1e999,-1e300],'
         . '"generation":-1e999,"next_step_in_seconds":1e308}');
    my $run = $ctl->run('--url', "$more/evil/", 'status', 'e1', '--json');
    is($run->{status}, DONE);

    evil('evil-list/endpoints', '{"endpoints":[' . $run->{out} . ']}');
    $run = $ctl->run('--url', "$more/evil-list/", 'list');
    is($run->{status}, DONE);
    like($run->{out}, qr/^e1 /m);
};

subtest 'JSON on a terminal' => sub {
    needs('terminal');

    my %escapes = (
        "\x7f" => '\u007f', "\xc2\x85" => '\u0085', "\xc2\x9b" => '\u009b',
        "\xc2\xad" => '\u00ad', "\xe2\x80\x8b" => '\u200b',
        "\xe2\x80\x8f" => '\u200f', "\xe2\x80\xa8" => '\u2028',
        "\xe2\x80\xae" => '\u202e', "\xe2\x81\xa6" => '\u2066',
        "\xd8\x9c" => '\u061c', "\xef\xbb\xbf" => '\ufeff',
        "\xf3\xa0\x81\x81" => '\udb40\udc41',
    );
    my $unsafe = join '', map { "$_," } sort keys %escapes;
    my $escaped = join '', map { "$escapes{$_}," } sort keys %escapes;

    my $event = qq({"id":1,"endpoint":"e2","x":"\xc3\xa9 \xe6\x97\xa5 )
        . qq(\\u001b[2J $unsafe"});
    my $safe = qq("x":"\xc3\xa9 \xe6\x97\xa5 \\u001b[2J $escaped");

    evil('evil/endpoints/e1', $event =~ s/"x"/\r\n"x"/r);
    evil('evil/endpoints/e2/events', qq({"events":[$event]}));
    evil('evil/events', "id: 1\ndata: $event\n\n");

    for my $args (['status', 'e1'], ['events', 'e2'],
                  ['events', 'e2', '--follow'])
    {
        my $run = $ctl->start({ terminal => [24, 80] }, '--url', "$more/evil/",
                              @$args, '--json');
        $ctl->wait_output($run, qr/udc41/);
        $ctl->finish($run, "@$args" =~ /follow/ ? 'INT' : undef);
        like($run->{out}, qr/\Q$safe\E/, "@$args");
        unlike($run->{out}, qr/\r(?!\n)/, 'no line is written over');
    }

    is($ctl->run('--url', "$more/evil/", 'status', 'e1', '--json')->{out},
       ($event =~ s/"x"/\r\n"x"/r) . "\n", 'elsewhere, as it is');
};

subtest 'a line is a line' => sub {
    for my $args (['list'], ['status', 'x'], ['pause', 'x'],
                  ['events', 'x', '--follow'], ['status', 'x', '--watch'])
    {
        my $run = $ctl->run('--url', "$more/lines/", @$args);

        is($run->{status}, FAILED, "@$args");
        is($run->{err}, "canaryctl: No?canaryctl: t: a??canaryctl: d (409)\n"
           . "  /a?canaryctl: p: x?y\n  /b: ?[2J?\n");
    }
};

subtest 'a stream without an end' => sub {
    evil('evil/endpoints/e2/events', '{"events":[]}');

    for my $stream ('data: ' . 'x' x 3_000_000, "data\n" x 3_000_000,
                    'y' x 2_000_000 . "\n\n", "data: x\n" x 1_000_000,
                    'id: ' . 'x' x 1_100_000)
    {
        evil('evil/events', "id: 1\ndata: {}\n\n$stream");
        my $run = $ctl->run('--url', "$more/evil/", 'events', 'e2', '--follow');

        is($run->{status}, FAILED, substr $stream, 0, 6);
        like($run->{err}, qr/^canaryctl: .*an event of more than 1048576 bytes/);
    }
};

subtest 'users and tokens' => sub {
    my $file = $t->dir . '/token';
    my $user = $more =~ s{//}{//ops:secret\@}r;

    $t->write_file('token', "t0k3n-of-ops\n");

    like($ctl->run('--url', "$more/user/", 'list')->{err},
         qr/refuses access \(401\); --token-file/);
    is($ctl->run('--url', "$user/user/", 'list')->{status}, DONE);

    my $run = $ctl->run('--url', "$user/html/", 'list');
    unlike($run->{err}, qr/secret/, 'a password is not shown');

    $run = $ctl->run('--url', "$more/token/", '--token-file', $file, 'list');
    is($run->{status}, FAILED);
    like($run->{err}, qr/no such token: Bearer t0k3n-of-ops\|;? ?/,
         'that is what the server says');

    $run = $ctl->run({ env => { CANARY_TOKEN_FILE => $file } }, '--url',
                     "$user/token/", 'list');
    like($run->{err}, qr/: Basic \S+\|t0k3n-of-ops/,
         'beside a user it has a header of its own');

    $run = $ctl->run('--url', 'http://127.0.0.1:' . $t->port('closed'),
                     '--token-file', $file, 'list');
    unlike($run->{err}, qr/t0k3n/, 'never by the program');

    for my $text ('', "\n", "two words\n", "a\nb\n", "a\rb\n", "a\0", "a\0b\n",
                  "a\0\n", "\0", "a\n\0", "a\x1b", "a\xe9", " a",
                  "a\r\nX-Evil: 1\r\n")
    {
        $t->write_file('token', $text);
        $run = $ctl->run('--token-file', $file, 'list');
        is($run->{status}, FAILED);
        like($run->{err}, qr/no token in \Q$file\E/);
    }

    for my $text ('x' x 4096, 'x' x 4095 . "\n", 'x' x 10_000, ' ' x 5000) {
        $t->write_file('token', $text);
        $run = $ctl->run('--token-file', $file, 'list');
        is($run->{status}, FAILED, 'it is not cut');
        like($run->{err}, qr/\Q$file\E is larger than 4095 bytes/);
    }

    $t->write_file('token', 'x' x 4094 . "\n");
    like($ctl->run('--url', "$more/token/", '--token-file', $file,
                   'list')->{err}, qr/Bearer x{4094}\|/, 'as long as can be');
    like($ctl->run('--token-file', $t->dir, 'list')->{err},
         qr/cannot read the file of the token/, 'a directory');
    like($ctl->run('--token-file', '/nowhere', 'list')->{err}, qr{/nowhere});
};

subtest 'a file of a token that others may read' => sub {
    my $file = $t->dir . '/token';

    $t->write_file('token', "t0k3n\n");

    for my $mode (0644, 0640, 0604, 0620, 0666) {
        chmod $mode, $file;
        my $run = $ctl->run('--token-file', $file, 'list');
        is($run->{status}, DONE);
        is($run->{err}, sprintf "canaryctl: warning: %s, which holds a token, "
           . "is open to others (mode %04o): chmod 600 makes it its owner's\n",
           $file, $mode);
    }
    for my $mode (0600, 0400) {
        chmod $mode, $file;
        is($ctl->run('--token-file', $file, 'list')->{err}, '');
    }
};

subtest 'token' => sub {
    my ($token, $line) = token('ci', 'operator');
    my ($other) = token('ci', 'reader');

    like($token, qr/^[0-9a-f]{64}$/);
    is($line, 'ci operator ' . sha256_hex($token));
    isnt($token, $other);
};

subtest 'TLS' => sub {
    needs('http_ssl');

    my $dir = $t->dir;
    my $url = 'https://127.0.0.1:' . $t->port('tls');
    my $run = $ctl->run('--url', "$url/canary/", 'list');

    is($run->{status}, FAILED, 'nobody trusts this authority');
    like($run->{err}, qr/certificate.*--cacert FILE/);

    is($ctl->run('--url', "$url/canary/", '--cacert', "$dir/ca.crt", 'list')
       ->{status}, DONE, '--cacert');
    is($ctl->run('--url', "$url/canary/", '-k', 'list')->{status}, DONE, '-k');
    is($ctl->run('--url', "$url/canary/", '--insecure', 'list')->{status},
       DONE);
    like($ctl->run('--url', "$url/canary/", '--cacert', '/nowhere', 'list')
         ->{err}, qr/--cacert has to name/);

    mkdir "$dir/authorities";
    my $hash = qx(openssl x509 -hash -noout -in '$dir/ca.crt') =~ s/\n//r;
    symlink "$dir/ca.crt", "$dir/authorities/$hash.0";
    is($ctl->run('--url', "$url/canary/", '--capath', "$dir/authorities",
                 'list')->{status}, DONE, '--capath');

    my @known = ('--url', "$url/known/", '--cacert', "$dir/ca.crt");
    is($ctl->run(@known, 'list')->{status}, FAILED, 'no certificate');
    is($ctl->run(@known, '--cert', "$dir/client.crt", '--key',
                 "$dir/client.key", 'list')->{status}, DONE, '--cert, --key');
    is($ctl->run('--url', "$url/canary/" =~ s/https/http/r, 'list')->{status},
       FAILED, 'plain HTTP to a port of TLS');
};

subtest 'output that cannot be written' => sub {
    my $run = $ctl->run({ out => '/dev/full' }, 'list');

    is($run->{status}, FAILED);
    like($run->{err}, qr/cannot write to standard output/);
    is($ctl->run({ out => '/dev/full' }, '--help')->{status}, FAILED);
};


# What comes with it.

subtest 'the manual and the completion' => sub {
    my $top = "$FindBin::Bin/../..";

    for my $name (qw(canaryctl canary-replay)) {
        is(qx(mandoc -Tlint -W warning '$top/docs/$name.1' 2>&1), '',
           "mandoc finds nothing in $name.1");
    }

    for my $option (map { $ctl->run($_, '--help')->{out} =~ /(--[a-z-]+)/g }
                        qw(update events))
    {
        my $escaped = '-' . substr $option, 2;
        ok(index(slurp("$top/docs/canaryctl.1"), "Fl $escaped") > 0
           || index(slurp("$top/docs/canaryctl.1"), ", $escaped") > 0,
           "the manual has $option");
        like(slurp("$top/completions/canaryctl.bash"), qr/\Q$option\E\b/);
    }

    my %cases = (
        'canaryctl st'                       => 'status',
        'canaryctl --json ro'                => 'rollback',
        'canaryctl status '                  => 'some-path',
        'canaryctl wei'                      => 'weight',
        'canaryctl approve so'               => 'some-path',
        'canaryctl update endpoint some-path --approval st' => 'step',
        'canaryctl weight so'                => 'some-path',
        'canaryctl weight some-path 35% --r' => '--reason',
        'canaryctl status some-path --w'     => '--watch',
        'canaryctl update e'                 => 'endpoint',
        'canaryctl events --follow --ex'     => '--exec',
        'canaryctl --timeout 5 status so'    => 'some-path',
        'canaryctl update endpoint so'       => 'some-path',
        'canaryctl update endpoint some-path --release v' => 'v2 v1',
        'canaryctl update endpoint some-path -s d'        => 'direct',
        "canaryctl --url $api pause so"      => 'some-path',
        'canaryctl token ci '                => 'reader operator',
    );
    for my $line (sort keys %cases) {
        my $got = completed("$top/completions/canaryctl.bash", $line);
        like($got, qr/^\Q$cases{$line}\E\b/, $line);
    }
};

$t->finish;


sub follow ($url) {
    for my $name (undef, 'some-path') {
        my $run = $ctl->start('--url', $url, 'events', $name // (),
                              '--follow');

        $ctl->wait_output($run, qr/rollout of v2 started/);
        $t->start_rollout('some-path');
        $ctl->wait_output($run, qr/\n.*rollout of v2 started\n\z/);
        $t->reload;
        $t->verb('some-path', 'pause', { reason => 'stop here' });
        $ctl->wait_output($run, qr/-> paused 50%  api 127\.0\.0\.1: stop here/);
        idle('some-path');
        $ctl->wait_output($run, qr/stop here.*paused 50% -> idle/s);
        $ctl->finish($run, 'INT');

        is($run->{signal}, POSIX::SIGINT(), 'it ends by the signal');

        my @ids = $run->{out} =~ /^\S+ \S+  (\d+)  /mg;
        is_deeply(\@ids, [ sort { $a <=> $b } @ids ], 'in order');
        is(@ids, keys %{ { map { $_ => 1 } @ids } }, 'each once');
    }

    return;
}

# What a server that is hostile has there.

sub evil ($name, $text) {
    make_path(dirname($t->dir . "/$name"));
    $t->write_file("$name.new", $text);
    rename $t->dir . "/$name.new", $t->dir . "/$name" or die "rename: $!";

    return;
}


sub idle ($name) {
    $t->verb($name, 'rollback') if $t->endpoint($name)->{phase} ne 'idle';

    return;
}

sub token ($name, $role) {
    my $run = $ctl->run('token', $name, $role);

    is($run->{status}, DONE);

    return $run->{out} =~ /\Atoken  (\S+)\nline   (.*)\n\z/;
}

sub ascii ($run) {
    return $run->{out} =~ s/[\x80-\xbf]//gr;
}

# Does the terminal show what is typed?

sub echoes ($run) {
    my $termios = POSIX::Termios->new;

    $termios->getattr(fileno $run->{slave});

    return $termios->getlflag & POSIX::ECHO() ? 1 : 0;
}

sub state_of ($run) {
    my ($state) = slurp("/proc/$run->{pid}/stat") =~ /\) (\S)/;

    return $state;
}

sub slurp ($name) {
    open my $in, '<', $name or die "$name: $!\n";
    local $/;

    return <$in>;
}

# What bash would offer for the last word of a line.

sub completed ($script, $line) {
    my $program = $ctl->program;

    local %ENV = (%ENV, LINE => $line, SCRIPT => $script,
                  CANARY_URL => $api, PROGRAM => $program);
    my $words = <<'END';
canaryctl() { "$PROGRAM" "$@"; }
timeout() { shift; "$@"; }
. "$SCRIPT"
COMP_LINE=$LINE COMP_POINT=${#LINE}
read -ra COMP_WORDS <<<"$LINE"
[[ $LINE != *' ' ]] || COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_canaryctl
echo "${COMPREPLY[*]}"
END
    open my $out, '-|', 'bash', '-c', $words or die "bash: $!\n";
    local $/;

    return <$out>;
}

sub make_certificates () {
    my $dir = $t->dir;
    my $log = "$dir/openssl.log";
    my $new = "openssl req -newkey rsa:2048 -nodes -keyout";

    $t->write_file('server.ext', "subjectAltName=IP:127.0.0.1\n");
    for my $command (
        "$new $dir/ca.key -x509 -days 2 -subj /CN=ca -out $dir/ca.crt",
        "$new $dir/server.key -subj /CN=server -out $dir/server.csr",
        "openssl x509 -req -in $dir/server.csr -CA $dir/ca.crt -CAkey"
            . " $dir/ca.key -set_serial 2 -days 2 -extfile $dir/server.ext"
            . " -out $dir/server.crt",
        "$new $dir/client.key -subj /CN=client -out $dir/client.csr",
        "openssl x509 -req -in $dir/client.csr -CA $dir/ca.crt -CAkey"
            . " $dir/ca.key -set_serial 3 -days 2 -out $dir/client.crt")
    {
        system("$command >>$log 2>&1") == 0
            or die "openssl failed: " . slurp($log);
    }

    return;
}
