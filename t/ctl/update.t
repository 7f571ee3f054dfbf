#!/usr/bin/perl

# canaryctl as a pipeline uses it: what is there already is a success, a release
# may be about to be known, and nothing takes longer than it may.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Test::More;

use Canary::Ctl;
use Canary::Test;

use constant {
    DONE        => 0,
    FAILED      => 1,
    USAGE       => 2,
    ROLLED_BACK => 3,
    TIMED_OUT   => 4,
};

needs('speed');

my $t = Canary::Test->new(workers => 2, timeout => 300);
$t->backend($_) for qw(v1 v2);

my $http = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream model_v3 { server 127.0.0.1:%%PORT_v2%%; }

    upstream ep {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        ##V3##
        canary_interval 1h;
        canary_rule     error_5xx_rate 10%;
    }

    upstream other {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_rule     error_5xx_rate 10%;
    }

    server {
        listen unix:%%DIR%%/api.sock;
        location /canary/ { canary_api write=on; }

        # It answers when nobody waits any more.
        location /hangs/ { proxy_pass http://127.0.0.1:%%PORT_v1%%; }
    }

    %%API%%
EOC

$t->start($http =~ s/##V3##//r);

my $api = 'http://127.0.0.1:' . $t->port('api') . '/canary/';
my $ctl = Canary::Ctl->new($t, $api);
my @update = qw(update endpoint ep --release v2);
my @canary = qw(-s canary -i 3600 --canary-step 20%);
my $rule = 'error_5xx_rate 10% min_requests=20';


# What a strategy may be made of.

subtest 'rules as in nginx.conf' => sub {
    my @rules = ('error_5xx_rate 10% min_requests=20 burst=0',
                 'latency_p90_max 250ms confidence=off window=1m',
                 'latency_avg_max 1.3 baseline=stable',
                 "  failed_requests_max\t5 ");
    my $run = $ctl->run(@update, @canary, map { ('--rule', $_) } @rules);

    is($run->{status}, DONE, $run->{err});

    my @got = map { parameters($_) }
        $t->endpoint('ep')->{strategy}{canary_strategy}{rules}->@*;

    is_deeply([ map { $_->{rule} } @got ],
              [ map { (split)[0] } @rules ], 'in their order');
    is_deeply([ @{ $got[0] }{qw(threshold min_requests burst_seconds)} ],
              [ 0.1, 20, 0 ]);
    is_deeply([ @{ $got[1] }{qw(threshold confidence window_seconds)} ],
              [ 250, 'off', 60 ]);
    is_deeply([ @{ $got[2] }{qw(threshold baseline)} ], [ 1.3, 'stable' ]);
    is($got[3]{threshold}, 5);
    idle('ep');

    $run = $ctl->run(@update, @canary, '-c', 'error_rate 5%', '--rule',
        '{"rule": "error_4xx_rate", "rule_parameters": '
        . '[{"name": "threshold", "value": 0.5}]}');
    is($run->{status}, DONE, 'and in JSON, by both options');
    is(scalar $t->endpoint('ep')->{rules}->@*, 2);
    idle('ep');
};

subtest 'times and ratios' => sub {
    my $run = $ctl->run(@update, qw(-s canary -i 1h30m --steps), '1%,0.1,50%',
                        qw(--bake 5m --patience 1m --approval promotion),
                        '--rule', $rule);
    my $endpoint = $t->endpoint('ep');
    my $parts = $endpoint->{strategy}{canary_strategy};

    is($run->{status}, DONE, $run->{err});
    is_deeply($endpoint->{steps}, [ 0.01, 0.1, 0.5, 1 ]);
    is_deeply([ @$parts{qw(progress_interval_seconds bake_seconds
                           patience_seconds approval)} ],
              [ 5400, 300, 60, 'promotion' ]);
    idle('ep');

    $run = $ctl->run(@update, '--bake', '0', '--approval', 'step');
    is($run->{status}, DONE, 'beside the strategy of nginx.conf');
    is($t->endpoint('ep')->{strategy}{canary_strategy}
       {progress_interval_seconds}, 3600);
    idle('ep');
};

subtest 'what is wrong is told, and nothing is sent' => sub {
    my @with = ('-s', 'canary', '-i', 10);
    my @cases = (
        [ [ @with, '--steps', '1%,10%', qw(--canary-step 20%) ],
          qr/--steps and --canary-step do not go together/ ],
        [ [ @with, '--steps', '10%,1%' ], qr/rising.*"1%" of "10%,1%"/ ],
        [ [ @with, '--steps', '10%,,20%' ], qr/rising ratios.*"" of/ ],
        [ [ @with, '--steps', '50%,101%' ], qr/up to 1.*"101%"/ ],
        [ [ qw(--steps 50%) ], qr/--steps goes with --strategy canary/ ],
        [ [ qw(-s direct --bake 1m) ], qr/--bake does not go with.*direct/ ],
        [ [ qw(-s canary -i 5x) ], qr/--canary-interval has to be.*"5x"/ ],
        [ [ qw(--bake -1) ], qr/--bake has to be a time.*"-1"/ ],
        [ [ qw(--patience 1s) ], qr/--patience.*from 10s to 10m, not "1s"/ ],
        [ [ @canary, '--rule', 'error_5xx_rate > 5%' ],
          qr/--rule "error_5xx_rate > 5%".*there is no operator/ ],
        [ [ @canary, '--rule', 'latency_p90_max 250' ],
          qr/needs a unit, such as "250ms" or "250s"/ ],
        [ [ @canary, '--rule', 'error_5xx_rate' ], qr/a threshold/ ],
        [ [ @canary, '--rule', 'errors 5%' ],
          qr/unknown rule "errors", the rules are "error_4xx_rate"/ ],
        [ [ @canary, '--rule', 'error_rate 5% min=1' ],
          qr/invalid parameter "min=1"/ ],
        [ [ '--timeout', '0' ], qr/--timeout has to be a time above 0/ ],
        [ [ '--timeout', 'soon' ], qr/--timeout has to be.*"soon"/ ],
    );
    my $generation = $t->endpoint('ep')->{generation};

    for my $case (@cases) {
        my ($args, $message) = @$case;
        my $run = $ctl->run(@update, @$args);

        is($run->{status}, USAGE, "@$args");
        like($run->{err}, $message);
    }
    is($t->endpoint('ep')->{generation}, $generation);
};


# Twice is as good as once.

subtest 'a rollout that runs is a success' => sub {
    my @same = (@update, @canary, '--rule', $rule);

    is($ctl->run(@same)->{status}, DONE);
    my $generation = $t->endpoint('ep')->{generation};

    for my $args ([ @same ], [ @update ], [ @update, '--bake', 0 ],
                  [ qw(update endpoint /ep) ])
    {
        my $run = $ctl->run(@$args);

        is($run->{status}, DONE, "@$args");
        like($run->{out}, qr/^ep: v2 is being rolled out already: /);
        like($run->{out}, qr/progressing, 20%, step 1 of 5; next: 40% in /);
        is($run->{err}, '');
    }

    my $run = $ctl->run('--json', @same);
    is($run->{status}, DONE, 'in JSON');
    is(JSON::PP::decode_json($run->{out})->{canary}, 'v2');
    is($t->endpoint('ep')->{generation}, $generation, 'nothing has changed');

    for my $args ([ @update, @canary, '--rule', 'error_5xx_rate 11%' ],
                  [ @update, qw(-s canary -i 1 --canary-step 20%), '--rule',
                    $rule ],
                  [ @update, '--bake', '1m' ], [ @update, '-s', 'direct' ])
    {
        $run = $ctl->run(@$args);
        is($run->{status}, FAILED, "another strategy: @$args");
        like($run->{err}, qr/\(409\).*with another strategy/s);
    }

    $run = $ctl->run(qw(update endpoint ep --release v1));
    is($run->{status}, FAILED, 'nor is it the stable release, meanwhile');
    like($run->{err}, qr{\(409\).*is being rolled out is v2; canaryctl status}s);

    $run = $ctl->run(@same, '--if-generation', $generation - 1);
    is($run->{status}, FAILED, 'a generation is a condition');
    like($run->{err}, qr/\(412\)/);
};

subtest 'its end can be waited for by both' => sub {
    my $run = $ctl->start(@update, '--wait', '--rule', $rule,
                          @canary);

    $ctl->wait_output($run, qr/being rolled out already/);
    $t->verb('ep', 'promote', { reason => 'looks well' });
    $ctl->finish($run);
    is($run->{status}, DONE, $run->{err});
    like($run->{out}, qr/^ep: v2 is being rolled out already/);
    like($run->{out}, qr/looks well\nep: v2 promoted; v2 is stable\n\z/);
};

subtest 'a release that is stable is a success' => sub {
    for my $args ([], [ '--wait' ], [ '-s', 'direct' ],
                  [ @canary, '--rule', 'error_rate 1%', '--wait' ])
    {
        my $run = $ctl->run(@update, @$args);

        is($run->{status}, DONE, "@$args");
        is($run->{out}, "ep: v2 is stable already\n");
        is($run->{err}, '');
    }
    is($t->endpoint('ep')->{phase}, 'idle');

    $t->api_post('endpoints/ep/rollout',
                 { release => 'v1', strategy => 'direct' });
};

subtest 'the one that was rolled back is tried again' => sub {
    is($ctl->run(@update)->{status}, DONE);
    is($ctl->run('rollback', 'ep')->{out}, "ep: v2 rolled back; v1 is stable\n",
       'what a verb has done is told');
    is($ctl->run(@update)->{status}, DONE);
    is($ctl->run('promote', 'ep')->{out}, "ep: v2 promoted; v2 is stable\n");
    $t->api_post('endpoints/ep/rollout',
                 { release => 'v1', strategy => 'direct' });
};


# What is not known, or not yet.

subtest 'a reload may be on its way' => sub {
    my $run = $ctl->start(qw(update endpoint ep --release v3));

    $t->reload($http =~ s/##V3##/canary_release v3 model_v3;/r);
    $ctl->finish($run);

    is($run->{status}, DONE, $run->{err});
    like($run->{out}, qr/^ep: progressing, 10%/);
    is($t->endpoint('ep')->{canary}, 'v3');
    idle('ep');
};

subtest 'or not' => sub {
    my $run = $ctl->run(qw(update endpoint ep --release v9));

    is($run->{status}, FAILED);
    like($run->{err}, qr{"v9".*\(400\)});
    is($run->{out}, '');
};

subtest 'the endpoints that there are' => sub {
    for my $args ([ 'status', 'none' ], [ 'update', 'endpoint', 'none' ],
                  [ 'pause', 'none' ], [ 'events', 'none' ],
                  [ 'events', 'none', '--follow' ], [ 'approve', 'none' ],
                  [ 'update', 'endpoint', 'none', '--wait' ],
                  [ 'status', 'none', '--watch' ], [ 'failures', 'none' ])
    {
        my $run = $ctl->run(@$args);

        is($run->{status}, FAILED, "@$args");
        like($run->{err}, qr/\(404\)\n  The endpoints there are: ep, other\n/);
    }
};


# Where and how long.

subtest 'a socket' => sub {
    my $socket = $t->dir . '/api.sock';
    my $run = $ctl->run({ env => { CANARY_URL => undef } }, '--unix-socket',
                        $socket, 'list');

    is($run->{status}, DONE, $run->{err});
    like($run->{out}, qr/^ep +idle /m);

    $run = $ctl->run('--unix-socket', $t->dir . '/nowhere', '--url',
                     'http://host.invalid/canary/', 'list');
    is($run->{status}, FAILED, 'without anybody there');
    like($run->{err}, qr{no answer from http://host.invalid/canary/ at \S+/nowhere: });
};

subtest 'a time that is over' => sub {
    my $run = $ctl->run(@update, '--wait', '--timeout', '1s');

    is($run->{status}, TIMED_OUT);
    like($run->{err}, qr/the rollout goes on/);
    like($run->{err}, qr/^canaryctl: it is not done within --timeout$/m);
    is($t->endpoint('ep')->{phase}, 'progressing', 'it does');
    idle('ep');

    is($ctl->run('--timeout', '100ms', 'status', 'ep', '--watch')->{status},
       TIMED_OUT, 'of a watch');
    is($ctl->run('events', '--follow', '--timeout', '0.1')->{status},
       TIMED_OUT, 'of a stream');
    is($ctl->run('--timeout', '5m', 'list')->{status}, DONE, 'or not over');
};

subtest 'a write whose answer does not come' => sub {
    $t->{backends}{v1}->on('/hangs/', mode => 'hang');

    my $run = $ctl->run('--unix-socket', $t->dir . '/api.sock', '--url',
                        'http://localhost/hangs/', '--timeout', '0.5',
                        'pause', 'ep');
    is($run->{status}, TIMED_OUT);
    like($run->{err}, qr/--timeout\nWhether it was done is not known/);
};

$t->finish;


sub idle ($name) {
    $t->verb($name, 'rollback') if $t->endpoint($name)->{phase} ne 'idle';

    return;
}

sub parameters ($rule) {
    return { rule => $rule->{rule},
             map { $_->{name} => $_->{value} } $rule->{rule_parameters}->@* };
}
