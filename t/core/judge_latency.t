#!/usr/bin/perl

# Rules about latency with confidence: what is too slow, what hangs, and what
# is only slow beside quick errors.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

my @endpoints = qw(named hung left mixed mean good_mean p50 p90 p95 p99 good);
my @upstreams = map { <<~EOC } @endpoints;
    upstream $_ {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_interval 10m;
        canary_step     50%;
        canary_rule     latency_p90_max 250ms;
    }
    EOC
my @locations = map { "location /$_ { proxy_pass http://$_; }" } @endpoints;

$t->start(<<"EOC");
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 64; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 64; }

    @upstreams

    server {
        listen 127.0.0.1:%%PORT_http%% reuseport;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_next_upstream error timeout http_500;
        proxy_read_timeout 10s;
        @locations
    }

    %%API%%
EOC


subtest 'names and numbers' => sub {
    my @rules = map { rule("latency_${_}_max" => 1000) } qw(p50 p90 p95 p99);

    $rules[1] = { rule_id => 1006, rule_parameters =>
                  [ { name => 'threshold', value => '1000' } ] };

    my $endpoint = $t->start_rollout('named', rules => \@rules);
    my @shown = @{ $endpoint->{strategy}{canary_strategy}{rules} };

    is_deeply([ map { $_->{rule} } @{ $endpoint->{rules} } ],
              [ map { "latency_${_}_max" } qw(p50 p90 p95 p99) ],
              'by name and by number');
    is_deeply([ map { $_->{rule_id} } @shown ], [ undef, 1006, undef, undef ],
              'the number is shown');
    is_deeply([ map { $_->{needs} } @{ $endpoint->{rules} } ],
              [ 6, 37, 76, 385 ], 'what each needs');
    is_deeply($_->{bounds}, [ 0, undef ], 'nothing is known yet')
        for @{ $endpoint->{rules} };

    is_served(requests(named => 100));
    $endpoint = $t->wait_for(sub {
        my $now = $t->endpoint('named');
        return $now->{rules}[1]{verdict} eq 'passing' ? $now : 0;
    });
    is_deeply([ map { $_->{verdict} } @{ $endpoint->{rules} } ],
              [ qw(passing passing undecided undecided) ], 'after 50');
    is($endpoint->{waiting_for}{rule}, 'latency_p95_max', 'the next');
    is($endpoint->{waiting_for}{attempts}, 26, 'needs 26 more');

    my ($p50) = @{ $endpoint->{rules} };
    cmp_ok($p50->{bounds}[0], '<=', $p50->{value}, 'the median is above');
    cmp_ok($p50->{bounds}[1], '>=', $p50->{value}, 'and below');
    cmp_ok($p50->{bounds}[1], '<', 1000, 'and far below the limit');
    $t->verb(named => 'rollback');
};

# Its first timeout would come after 10 s.

subtest 'a hung canary falls at its limit' => sub {
    $v2->set(mode => 'hang');
    $t->start_rollout('hung', rules => undef);

    my $load = load('hung', connections => 100, rate => 100);
    wait_until_idle('hung');
    is_rolled_back('hung',
        qr/^latency_p90_max > 250ms: \d+ of \d+ attempts took longer$/);
    is_deeply($t->totals(hung => 'v2'), {}, 'while all of them wait');

    is_served($load->stop);
    my $hung = $t->totals(hung => 'v2');
    is($hung->{timeouts}, $hung->{attempts}, 'as they did to the end');
    cmp_ok($hung->{attempts}, '>=', 4, 'some had to');
    cmp_ok($hung->{attempts}, '<', 100, 'not one of each connection');
};

subtest 'also if clients go away' => sub {
    $t->start_rollout('left', rules => undef);

    # One after the other, none waits for longer than half a second.

    my $turns = 0;
    while ($t->endpoint('left')->{phase} eq 'progressing' && $turns++ < 60) {
        my @waiting = map { $t->client->start(uri => '/left') } 1 .. 4;
        Canary::Util::pause(0.5);
        $_->close for @waiting;
    }

    is_rolled_back('left',
        qr/^latency_p90_max > 250ms: (\d+) of \1 attempts took longer$/);
    cmp_ok($t->totals(left => 'v2')->{aborted}, '>', 0, 'they gave up');
    $v2->set;
};

# Quick errors are over when slow successes have hardly begun.

subtest 'quick errors and slow successes' => sub {
    $v2->set(delay_ms => 150, nth => { n => 50, status => 500,
                                       delay_ms => 0 });
    $t->start_rollout('mixed', steps => [0.9], interval => 3600,
                      rules => [ rule(error_5xx_rate => 0.1,
                                      burst_seconds => 0),
                                 rule(error_rate => 0.1),
                                 rule(latency_p90_max => 1000) ]);

    is_served(requests(mixed => 500, connections => 20));
    my $endpoint = $t->wait_for(sub {
        my $now = $t->endpoint('mixed');
        return $now->{waiting_for} ? 0 : $now;
    });
    is($endpoint->{phase}, 'progressing', 'it goes on');
    is_deeply([ map { $_->{verdict} } @{ $endpoint->{rules} } ],
              [ ('passing') x 3 ], 'all rules pass');
    cmp_ok($t->totals(mixed => 'v2')->{'5xx'}, '>=', 8, 'with some errors');
    $t->verb(mixed => 'rollback');
    $v2->set;
};

subtest 'the mean' => sub {
    $v2->set(delay_ms => 400);
    $t->start_rollout('mean', rules => [ rule(latency_avg_max => 200) ]);

    my $load = load('mean', connections => 16);
    wait_until_idle('mean');
    is_served($load->stop);
    is_rolled_back('mean', qr/^latency_avg_max [\d.]+ms > 200ms after/);

    $v2->set(delay_ms => 5);
    start_quick('good_mean', rule(latency_avg_max => 1000));
    $load = load('good_mean', connections => 4);
    wait_until_idle('good_mean');
    is_served($load->stop);
    is($t->endpoint('good_mean')->{last_rollout}{result}, 'promoted',
       'a good one is promoted');
};

# Of ten attempts two are slow: too many for p90 and above, not for p50.

subtest 'quantiles' => sub {
    for my $quantile (qw(p50 p90 p95 p99)) {
        $v2->set(nth => { n => 5, delay_ms => 450 });
        $t->start_rollout($quantile, rules => [
            rule("latency_${quantile}_max" => 300, burst_seconds => 0) ]);
        my $load = load($quantile, connections => 16);

        if ($quantile eq 'p50') {
            $t->wait_for(sub {
                $t->endpoint('p50')->{rules}[0]{attempts} >= 200 }, 20);
            is($t->endpoint('p50')->{phase}, 'progressing', 'p50 holds');
            is($t->endpoint('p50')->{rules}[0]{verdict}, 'passing', 'passes');
            $load->stop;
            next;
        }

        wait_until_idle($quantile);
        is_served($load->stop);
        is_rolled_back($quantile,
            qr/^latency_${quantile}_max\ (?:[\d.]+ms\ >\ 300ms\ after
               \ |>\ 300ms:\ \d+\ of\ )\d+\ attempts/x);
    }
    $t->verb(p50 => 'rollback');
    $v2->set;
};

subtest 'a good one is promoted by all of them' => sub {
    $v2->set(nth => { n => 1000, delay_ms => 450 });
    start_quick('good', map { rule("latency_${_}_max" => 300) }
                        qw(p50 p90 p95 p99));

    my $load = load('good', connections => 4);
    wait_until_idle('good');
    is_served($load->stop);
    is($t->endpoint('good')->{last_rollout}{result}, 'promoted', 'promoted');
};

$t->finish;


sub start_quick($endpoint, @rules) {
    return $t->start_rollout($endpoint, steps => [0.5], interval => 0.2,
                             bake => 0, rules => \@rules);
}


sub load($endpoint, %opt) {
    return $t->load(request => { uri => "/$endpoint" }, %opt);
}


sub requests($endpoint, $n, %opt) {
    return load($endpoint, count => $n, %opt)->result;
}


# No request was lost and none had an error.

sub is_served($result) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($result->{failed}, 0, 'no request is lost');

    return is_deeply([ keys %{ $result->{statuses} } ], [200],
                     'no user sees an error');
}


sub wait_until_idle($endpoint) {
    return $t->wait_for(sub { $t->endpoint($endpoint)->{phase} eq 'idle' }, 20,
                        "the rollout of $endpoint to end");
}


sub is_rolled_back($endpoint, $reason) {
    my $now = $t->endpoint($endpoint);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($now->{phase}, 'idle', 'the rollout is over');
    is($now->{last_rollout}{result}, 'rolled_back', 'rolled back');
    like($now->{last_rollout}{reason}, $reason, 'the reason');

    return;
}
