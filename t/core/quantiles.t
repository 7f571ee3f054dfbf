#!/usr/bin/perl

# The quantiles of a release's times, as the API shows them.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

use constant {
    SLOW  => 1000,                              # ms
    LIMIT => 900,                               # of what is quick
};

my $t = Canary::Test->new(workers => 2);
my %server = map { $_ => $t->backend($_) } qw(v1 v2);

my $http = <<'EOC';
    %%ZONE%%

    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream header {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_force   $http_x_release;
    }
    upstream response {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_latency response;
        canary_force   $http_x_release;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_next_upstream error timeout http_500;

        location /header   { proxy_pass http://header; }
        location /response { proxy_pass http://response; }

        location /header/timeout {
            proxy_pass http://header;
            proxy_read_timeout 250ms;
            proxy_next_upstream off;
        }
    }

    %%API%%
EOC

my %never = (confidence => 'off', min_requests => 1_000_000);

$t->start(with_zone(''));


subtest 'before the first attempt' => sub {
    is_deeply(latency(header => 'v1'), {}, 'there is no time');
};

subtest 'attempts of which a few are slow' => sub {
    for my $endpoint (qw(header response)) {
        $server{v1}->next_requests(4, delay_ms => SLOW);
        ask($endpoint, 4, 8);
        $server{v1}->set(delay_ms => 20);
        ask($endpoint, 36, 4);
        $server{v1}->set;

        # Of 40 times the 20th is p50, the 36th p90, the 38th p95. With
        # canary_latency response the last ones are counted when their client
        # is gone.
        $t->wait_for(sub { latency($endpoint => 'v1')->{p90} < LIMIT }, 10,
                     "$endpoint: p90 to be of the quick ones");
        my $of = latency($endpoint => 'v1');

        within($of->{p50}, 19.5, LIMIT, "$endpoint: p50 is of the quick ones");
        within($of->{p90}, 19.5, LIMIT, 'and p90, just');
        within($of->{p95}, LIMIT, 30_000, 'p95 is of the slow ones');
        within($of->{p99}, LIMIT, 30_000, 'and p99');
        cmp_ok($of->{p50}, '<=', $of->{p90}, 'in order');
        within($of->{avg}, $of->{p50}, $of->{p99}, 'the mean is between');
    }
};

subtest 'a timeout counts with its time' => sub {
    start('header');
    $server{v2}->set(mode => 'hang');
    is($t->get('/header/timeout')->status, 504, 'a timeout');

    within(latency(header => 'v2')->{p50}, 150, 30_000, 'is there');
    $server{v2}->set;
    roll_back('header');
};

subtest 'what is not in them' => sub {
    start('header');
    $server{v2}->set(status => 500, delay_ms => 10);
    $server{v1}->set(delay_ms => SLOW);
    ask('header', 4, 4);

    my $stable = $t->release(header => 'v1');
    is($stable->{fallbacks}, 4, 'all fell back to stable');
    within($stable->{latency_ms}{avg}, LIMIT, 30_000, 'which took its time');
    is($stable->{latency_ms}{p50}, undef, 'but is no evidence');
    within(latency(header => 'v2')->{p99}, 9.5, LIMIT,
           'that of the canary is');

    $server{v2}->set(delay_ms => SLOW);
    ask('header', 4, 4, headers => { 'X-Release' => 'v2' });

    my $canary = $t->release(header => 'v2');
    is($canary->{responses}{'2xx'}, 4, 'forced requests');
    within($canary->{latency_ms}{p99}, 9.5, LIMIT, 'are none either');
    $_->set for values %server;
    roll_back('header');
};

subtest 'a step begins anew' => sub {
    $server{v2}->set(delay_ms => SLOW);
    start('response', steps => [0.5, 0.6]);
    ask('response', 8, 8);
    all_timed('response', 0);
    within(latency(response => 'v2')->{p50}, LIMIT, 30_000, 'slow at first');

    $t->verb(response => 'advance');
    is(latency(response => 'v2')->{p50}, undef, 'nothing in the next step');

    my $before = $t->release(response => 'v2')->{attempts};
    $server{v2}->set(delay_ms => 5);
    ask('response', 8, 4);
    all_timed('response', $before);
    within(latency(response => 'v2')->{p99}, 4.5, LIMIT, 'then only its own');

    roll_back('response');
    is(latency(response => 'v2')->{p50}, undef, 'nor after the rollout');
};

subtest 'they survive' => sub {
    needs('processes');
    $server{v2}->set(delay_ms => SLOW);
    start('header');
    ask('header', 10, 10);
    my $before = latency(header => 'v2');
    within($before->{p50}, LIMIT, 30_000, 'some');

    $t->reload;
    is_deeply(latency(header => 'v2'), $before, 'a reload');

    $t->allow_log(qr/process \d+ exited on signal 9/);
    my @workers = $t->worker_pids;
    $t->kill(KILL => @workers);
    $t->wait_for(sub {
        my %now = map { $_ => 1 } $t->worker_pids;
        return keys %now == 2 && !grep { $now{$_} } @workers;
    }, 5, 'new workers');
    is_deeply(latency(header => 'v2'), $before, 'a kill');

    $server{v2}->set;
    ask('header', 30, 4);
    within(latency(header => 'v2')->{p50}, 0.001, LIMIT, 'and go on');
    within(latency(header => 'v2')->{p90}, LIMIT, 30_000, 'with what was');

    $t->reload(with_zone('canary_zone zone=canary:8m;'), gone => 1);
    is(latency(header => 'v2')->{p50}, undef, 'but in another zone');
    ask('header', 30, 4);
    within(latency(header => 'v2')->{p90}, 0.001, LIMIT, 'they begin anew');
    roll_back('header');
};

$t->finish;


sub with_zone($directive) {
    return $http =~ s/%%ZONE%%/$directive/r;
}


sub ask($endpoint, $count, $connections, %request) {
    my $result = $t->load(connections => $connections, count => $count,
                          request => { uri => "/$endpoint", %request })
        ->result;

    is($result->{statuses}{200}, $count, "$count requests");

    return;
}


# All goes to the canary.

sub start($endpoint, %opt) {
    return $t->start_rollout($endpoint, steps => [1],
                             rules => [ rule(latency_avg_max => 60_000,
                                             %never) ], %opt);
}


# All attempts on the canary but so many have been counted with their time,
# as its rule tells.

sub all_timed($endpoint, $before) {
    $t->wait_for(sub {
        my $attempts = $t->release($endpoint => 'v2')->{attempts} - $before;
        my $timed = $t->endpoint($endpoint)->{rules}[0]{attempts};

        return $attempts > 0 && $timed == $attempts;
    }, 10, 'all times to be known');

    return;
}


sub roll_back($endpoint) {
    return $t->verb($endpoint => 'rollback');
}


sub latency($endpoint, $release) {
    return $t->release($endpoint => $release)->{latency_ms} // {};
}


sub within($got, $low, $high, $name) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return ok(defined $got && $got >= $low && $got <= $high, $name)
        || diag(explain([$low, $got, $high]));
}
