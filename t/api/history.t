#!/usr/bin/perl

# The course of a rollout: GET endpoints/NAME/history.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use List::Util qw(sum0);
use Test::More;

use Canary::Test;

my $t = Canary::Test->new(workers => 2);
my %backend = map { $_ => $t->backend($_) } qw(v1 v2);

my $http = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream ep {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / {
            proxy_pass           http://ep;
            proxy_next_upstream  off;
        }
    }

    %%API%%
EOC

$t->start($http);


subtest 'no rollout, no points' => sub {
    my $response = $t->api_get('endpoints/ep/history');

    is($response->status, 200);
    is($response->body, qq({"seconds":5,"points":[]}\n));
    is($t->api_post('endpoints/ep/history')->status, 405);
    is($t->api_get('endpoints/none/history')->status, 404);
};

subtest 'what stable and canary did' => sub {
    $t->start_rollout('ep', steps => [0.5, 1]);
    $backend{v2}->on('/none', status => 404);
    $backend{v2}->on('/bad', status => 503);
    $backend{v2}->set(delay_ms => 30);

    $t->get($_) for ('/') x 8, ('/none') x 4, ('/bad') x 4;
    $t->wait_for(sub { total(stable => 'attempts') == 8
                       && total(canary => 'attempts') == 8 }, 30);

    is(total(stable => $_), 0, "$_ of stable") for qw(4xx 5xx);
    is(total(canary => '4xx'), 2);
    is(total(canary => '5xx'), 2);

    my ($point) = grep { $_->{canary}{attempts} } points();

    is($point->{weight}, 0.5);
    like($point->{time}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    ok($point->{canary}{p99_ms} >= 29, 'latency of the canary');
    ok($point->{canary}{p50_ms} <= $point->{canary}{p99_ms});
    $backend{v2}->set(delay_ms => 0);

    # A point in which nothing happens, and one of another weight.

    my $n = points();

    $t->verb(ep => 'advance');
    $t->wait_for(sub { points() >= $n + 3 }, 60);

    my $last = (points())[-1];

    is_deeply($last->{canary}, { attempts => 0, '4xx' => 0, '5xx' => 0,
                                 p50_ms => undef, p99_ms => undef });
    is($last->{weight}, 1);

    my @times = map { $_->{time} } points();

    is_deeply(\@times, [ sort @times ], 'oldest first');
};

subtest 'a reload, a killed control loop, another size of the zone' => sub {
    my $n = points();
    my $before = total(canary => 'attempts');

    $t->reload;
    $t->get('/') for 1 .. 6;
    $t->wait_for(sub { total(canary => 'attempts') == $before + 6 }, 30);
    ok(points() > $n, 'it goes on');

    if (!lacks('processes')) {
        $t->allow_log(qr/exited on signal 9/);
        $n = points();
        $t->kill(KILL => $t->helper_pid);
        $t->wait_for(sub { points() > $n }, 60, 'points of the next one');
    }

    $n = points();
    $t->reload("canary_zone zone=canary:8m;\n$http");
    ok(points() >= $n, 'it is taken along');
    $before = total(canary => 'attempts');
    $t->wait_for(sub { $t->get('/'); total(canary => 'attempts') > $before },
                 60);
    ok(total(canary => 'attempts') < $before + 1_000_000,
       'by the counters of the new zone');
};

subtest 'the end of a rollout is in its last point' => sub {
    $t->verb(ep => 'rollback');
    $t->start_rollout('ep', steps => [0.5],
        rules => [ rule(error_5xx_rate => 0.1, confidence => 'off',
                        min_requests => 10) ]);
    is(scalar points(), 0, 'those of the rollout before are gone');

    $t->get('/') for 1 .. 8;
    $backend{v2}->set(status => 500);
    $t->wait_for(sub { $t->get('/'); $t->endpoint('ep')->{phase} eq 'idle' });
    $t->wait_for(sub { total(canary => '5xx') == failures() });

    my $last = (points())[-1];
    my $n = points();

    is($last->{weight}, 0.5, 'the weight that it had');
    ok($last->{canary}{'5xx'} >= 1);

    $t->get('/') for 1 .. 4;
    is(scalar points(), $n, 'and after it comes nothing');
};

subtest 'one that is over before the control loop looks' => sub {
    needs('processes');

    my $helper = $t->helper_pid;

    $t->start_rollout('ep', steps => [0.5],
        rules => [ rule(error_5xx_rate => 0.1, confidence => 'off',
                        min_requests => 4) ]);
    $t->kill(STOP => $helper);
    $t->wait_for(sub { $t->get('/'); $t->endpoint('ep')->{phase} eq 'idle' });
    $t->kill(CONT => $helper);

    $t->wait_for(sub { total(canary => '5xx') == failures() });
    is((points())[-1]{weight}, 0.5);
};

subtest 'a restart' => sub {
    $t->stop;
    $t->start($http);
    is(scalar points(), 0);
    is($t->endpoint('ep')->{last_rollout}{result}, 'rolled_back');
    is($t->endpoint('ep')->{last_rollout}{by}, 'controller');
};

$t->finish;


sub points() {
    return @{ $t->api_get('endpoints/ep/history')->json->{points} };
}


sub total($role, $what) {
    return sum0(map { $_->{$role}{$what} } points());
}


sub failures() {
    return scalar @{ $t->api_get('endpoints/ep/failures')->json->{failures} };
}
