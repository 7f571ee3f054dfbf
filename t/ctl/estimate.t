#!/usr/bin/perl

# canaryctl estimate: how long a rollout would take, before it is started, as
# nginx itself says it when it is.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use List::Util qw(max sum);
use Test::More;

use Canary::Ctl;
use Canary::Test;

use constant { DONE => 0, FAILED => 1, USAGE => 2 };

needs('speed');

my $t = Canary::Test->new(workers => 2, timeout => 300);
$t->backend($_) for qw(v1 v2);

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream ep {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_interval 1s;
        canary_step     1% 10% 50% 100%;
        canary_bake     1h;
        canary_rule     error_5xx_rate 1%;
        canary_rule     latency_p90_max 250ms;
        canary_rule     latency_avg_max 250ms;
        canary_rule     error_rate 1% baseline=stable;
        canary_rule     error_4xx_rate 5% confidence=off min_requests=70;
        canary_rule     failed_requests_max 5;
    }

    upstream quiet {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_rule     error_5xx_rate 10%;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://ep; }
    }

    %%API%%
EOC

my $ctl = Canary::Ctl->new($t,
    'http://127.0.0.1:' . $t->port('api') . '/canary/');
my @rule = ('-s', 'canary', '-i', 1, '--rule');


subtest 'the strategy of nginx.conf' => sub {
    my $load = $t->load(rate => 100);
    my $estimate = estimate('ep');
    my $started = $t->start_rollout('ep');    # keeps that of nginx.conf
    $load->stop;
    $t->verb('ep', 'rollback');

    cmp_ok($estimate->{attempts_per_second}, '>', 0);
    is_deeply([ map { $_->{attempts} } $estimate->{rules}->@* ],
              [ 385, 37, 50, 50, 70, 0 ], 'what each rule needs');
    is_deeply([ map { $_->{weight} } $estimate->{steps}->@* ],
              [ 0.01, 0.1, 0.5, 1 ]);

    my $rate = $estimate->{attempts_per_second};
    for my $step ($estimate->{steps}->@*) {
        my $least = $step->{weight} < 1 ? 1 : 3600;
        my $seconds = max($least, 385 / ($step->{weight} * $rate));

        is($step->{seconds}, sprintf('%.1f', $seconds) + 0,
           "of the step at $step->{weight}");
    }
    is($estimate->{seconds},
       sprintf('%.1f', sum(map { max($_ < 1 ? 1 : 3600, 385 / ($_ * $rate)) }
                               0.01, 0.1, 0.5, 1)) + 0, 'in all');
    is($t->endpoint('ep')->{last_rollout}{id}, 1, 'nothing was started by it');
};

subtest 'as nginx says it' => sub {
    $t->start_rollout('quiet', steps => [0.5], rules => [
        rule(error_5xx_rate => 0.1), rule(error_4xx_rate => 0.001),
        rule(error_rate => 0), rule(error_rate => 0.05, min_requests => 90),
        rule(latency_p99_max => 250), rule(latency_p50_max => 250),
    ]);
    my @nginx = map { $_->{needs} } $t->endpoint('quiet')->{rules}->@*;
    $t->verb('quiet', 'rollback');

    my $load = $t->load(rate => 100);
    my $estimate = estimate('ep', @rule[0 .. 3], '--steps', '50%',
        map { ('--rule', $_) } 'error_5xx_rate 10%', 'error_4xx_rate 0.1%',
        'error_rate 0', 'error_rate 5% min_requests=90',
        'latency_p99_max 250ms', 'latency_p50_max 250ms');
    $load->stop;

    is_deeply([ map { $_->{attempts} } $estimate->{rules}->@* ], \@nginx,
              'of a rollout that has just begun');
};

subtest 'for people' => sub {
    my $load = $t->load(rate => 100);
    my $run = $ctl->run('estimate', '/ep', @rule, 'error_5xx_rate 10%',
                        qw(--steps 50% --approval step --bake 0));
    $load->stop;

    is($run->{status}, DONE, $run->{err});
    like($run->{out}, qr{^\S+ attempts/s \(\d+ in \d+ s\)$}m);
    like($run->{out}, qr/^error_5xx_rate +37$/m);
    like($run->{out}, qr/^ *1 +50% +\S+ .*interval$/m);
    like($run->{out}, qr/^ *2 +100% +.* bake$/m);
    like($run->{out}, qr/^In all .*, and until somebody approves each step\.$/m);
};

subtest 'what never ends' => sub {
    my $run = $ctl->run('estimate', 'quiet');
    like($run->{out}, qr{^0 attempts/s \(0 in 3\d s\)$}m, 'without traffic');
    like($run->{out}, qr/^In all no end,/m);

    my $load = $t->load(rate => 100);
    my $estimate = estimate('ep', @rule, 'error_5xx_rate 10% confidence=off '
        . 'window=100ms min_requests=1000', '--steps', '1%');
    $load->stop;
    is($estimate->{steps}[0]{seconds}, undef, 'nor with a window that is too short');
    is($estimate->{seconds}, undef);
};

subtest 'what would be refused' => sub {
    my @cases = (
        [ USAGE, ['-s', 'direct'], qr/direct takes no time/ ],
        [ USAGE, [@rule, 'error_rate > 1%'], qr/there is no operator/ ],
        [ FAILED, [@rule, 'error_rate 1% baseline=stable', '--steps', '100%'],
          qr/would be refused/ ],
    );

    for my $case (@cases) {
        my ($status, $args, $message) = @$case;
        my $run = $ctl->run('estimate', 'ep', @$args);

        is($run->{status}, $status, "@$args");
        like($run->{err}, $message);
    }
    is($ctl->run('estimate', 'none')->{status}, FAILED);
};

$t->finish;


sub estimate ($name, @args) {
    my $run = $ctl->run('--json', 'estimate', $name, @args);

    is($run->{status}, DONE, "$name @args$run->{err}");

    return JSON::PP::decode_json($run->{out});
}
