#!/usr/bin/perl

# Rules about errors with confidence: how many bad attempts it takes, and what
# a good release is asked for.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

my @endpoints = qw(one several load good bad late needs clear);
my @upstreams = map { <<~EOC } @endpoints;
    upstream $_ {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_interval 10m;
        canary_step     50%;
        canary_bake     1h;
        canary_rule     error_5xx_rate 10%;
    }
    EOC
my @locations = map { "location /$_ { proxy_pass http://$_; }" } @endpoints;

my $http = <<"EOC";
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 64; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 64; }

    @upstreams

    server {
        listen 127.0.0.1:%%PORT_http%% reuseport;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_next_upstream error timeout http_500;
        @locations
    }

    %%API%%
EOC

$t->start($http);


# A dead canary.

subtest 'burst=0: a dead canary gets 4 attempts' => sub {
    $v2->set(status => 500);
    my $started = start(one => (error_5xx_rate => 0.1, burst_seconds => 0));
    is_deeply(parameters($started), { threshold => 0.1, min_requests => 1,
              confidence => 0.999, burst_seconds => 0 }, 'the rule in full');

    is_served(requests(one => 100));
    is_totals(one => { attempts => 4, '5xx' => 4 });
    is_rolled_back(one => qr/^error_5xx_rate 1 > 0\.1 after 4 attempts$/);

    my ($event) = $t->events('one');
    is($event->{actor}{name}, 'error_5xx_rate', 'by the rule');
    is($event->{from}{weight}, 0.5, 'from half of the requests');
    is_deeply($event->{to}, { phase => 'idle', weight => 0 }, 'to none');

    my ($rule, @more) = @{ $event->{figures}{rules} };
    my $bounds = delete $rule->{bounds};
    is_deeply($rule, { rule => 'error_5xx_rate', threshold => 0.1, value => 1,
                       attempts => 4, verdict => 'failing', needs => 0 },
              'the figures');
    is(scalar @more, 0, 'of the one rule');
    is($event->{type}, 'rolled_back', 'what happened');
    is($event->{release}, 'v2', 'to which release');
    cmp_ok($bounds->[0], '>', 0.1, 'it is above the limit for certain');
    cmp_ok($bounds->[1], '==', 1, 'and perhaps always bad');
    is($event->{figures}{attempts}, 4, 'all attempts');
};

subtest 'with several clients it gets a few more' => sub {
    start(several => (error_5xx_rate => 0.1, burst_seconds => 0));

    is_served(requests(several => 400, connections => 8));

    # Those that were on their way do not count as bad before they are.

    my $failed = $t->totals(several => 'v2')->{'5xx'};
    cmp_ok($failed, '>=', 4, 'not less than 4');
    cmp_ok($failed, '<=', 20, "$failed with 8 at a time");
    is_rolled_back(several => qr/^error_5xx_rate [\d.]+ > 0\.1 after/);
};

subtest 'by default it gets those of half a second' => sub {
    my $load = load('load', connections => 4, rate => 300);
    $load->wait_requests(20);
    start(load => (error_5xx_rate => 0.1));
    wait_until_idle('load');
    $load->wait_requests(20);
    is_served($load->stop);

    # 150 attempts a second, judged in bursts of 100 ms: a second's worth is
    # twice what it needs.

    my $failed = $t->totals(load => 'v2')->{'5xx'};
    cmp_ok($failed, '>', 4, 'a burst is one observation');
    cmp_ok($failed, '<=', 150, "$failed at 150/s");
    is_rolled_back(load => qr/^error_5xx_rate [\d.]+ > 0\.1 after \d+ attempts$/);
};


# Half of what is allowed, and twice.

subtest '5 % of errors are not 10 %' => sub {
    $v2->set(nth => { n => 20, status => 500 });
    start(good => (error_5xx_rate => 0.1), steps => [0.999999], bake => 0);

    is_served(requests(good => 20_000, connections => 8));
    my $totals = $t->totals(good => 'v2');
    cmp_ok($totals->{'5xx'}, '>=', 999, 'a thousand errors');

    my $rule = $t->wait_for(sub {
        my $rule = $t->endpoint('good')->{rules}[0];
        return $rule->{verdict} eq 'passing' ? $rule : 0;
    });
    is($t->endpoint('good')->{phase}, 'progressing', 'it goes on');
    cmp_ok(abs($rule->{value} - 0.05), '<', 1e-4, 'the measured value');
    cmp_ok($rule->{bounds}[0], '<', 0.05, 'the value is above this');
    cmp_ok($rule->{bounds}[0], '>', 0.03, 'which is near');
    cmp_ok($rule->{bounds}[1], '>', 0.05, 'and below this');
    cmp_ok($rule->{bounds}[1], '<', 0.07, 'which is near too');
    is($rule->{needs}, 0, 'it needs no more');

    patch(good => (progress_interval_seconds => 0.1));
    my $load = load('good', connections => 2, rate => 2000);
    wait_until_idle('good');
    $load->stop;        # as stable it has nothing to fall back on
    is($t->endpoint('good')->{last_rollout}{result}, 'promoted', 'promoted');
};

subtest '20 % are' => sub {
    $v2->set(nth => { n => 5, status => 500 });
    start(bad => (error_5xx_rate => 0.1, burst_seconds => 0), steps => [0.5]);

    is_served(requests(bad => 2000));

    my $failed = $t->totals(bad => 'v2')->{'5xx'};
    cmp_ok($failed, '<=', 60, "$failed were enough");
    is_rolled_back(bad => qr/^error_5xx_rate 0\.[12]\d* > 0\.1 after/);
};


# What a release has done does not protect it, nor does a reload forget it.

subtest 'a canary that turns bad' => sub {
    $v2->set;
    start(late => (error_5xx_rate => 0.1, burst_seconds => 0));
    is_served(requests(late => 1000));

    my $before = settled(late => 500);

    SKIP: {
        skip(lacks('processes'), 2) if lacks('processes');

        $t->reload($http, gone => 1);
        is_same_test($before, 'a reload');

        $t->allow_log(qr/exited on signal 9/);
        my ($killed) = $t->worker_pids;
        $t->kill(KILL => $killed);
        $t->wait_for(sub {
            my @pids = $t->worker_pids;
            return @pids == 2 && !grep { $_ == $killed } @pids;
        });
        is_same_test($before, 'a killed worker');
    }

    is_served(requests(late => 1000));
    settled(late => 1000);

    $v2->set(status => 500);
    is_served(requests(late => 100));
    my $failed = $t->totals(late => 'v2')->{'5xx'};
    cmp_ok($failed, '>', 4, 'it takes more than at the beginning');
    cmp_ok($failed, '<=', 12, "$failed of 1000 healthy ones more");
    is_rolled_back(late => qr/^error_5xx_rate\ >\ 0\.1\ of\ late:
                              \ $failed\ of\ 10\d\d\ attempts\ were\ bad$/x);
    $v2->set;
};


# What a good one is asked for.

subtest 'what it waits for is told, and becomes less' => sub {
    my $endpoint = start(needs => (error_5xx_rate => 0.1));
    my ($rule) = @{ $endpoint->{rules} };

    is_deeply($endpoint->{waiting_for},
              { rule => 'error_5xx_rate', attempts => 37, seconds => undef,
                reason => 'no attempt in this step yet' }, 'no attempt yet');
    is($rule->{needs}, 37, 'needs');
    is_deeply($rule->{bounds}, [0, 1], 'nothing is known');
    is($rule->{verdict}, 'undecided', 'the verdict');

    my ($had, $high) = (0, 1);
    for my $more (10, 20, 6) {
        is_served(requests(needs => 2 * $more));
        $had += $more;

        my $needs = 37 - $had;
        my $reason = $needs == 1 ? '1 more clean attempt until '
            : "$needs more clean attempts until ";
        $endpoint = $t->wait_for(sub {
            my $now = $t->endpoint('needs');
            return $now->{waiting_for}{reason} =~ /more/
                && $now->{waiting_for}{attempts} == $needs ? $now : 0;
        });
        is($endpoint->{waiting_for}{reason},
           "${reason}error_5xx_rate can pass", $reason);
        is($endpoint->{rules}[0]{needs}, $needs, 'the rule says so too');
        cmp_ok($endpoint->{rules}[0]{bounds}[1], '<', $high, 'it is lower');
        $high = $endpoint->{rules}[0]{bounds}[1];
    }

    is_served(requests(needs => 2));
    $endpoint = $t->wait_for(sub {
        my $now = $t->endpoint('needs');
        return $now->{rules}[0]{verdict} eq 'passing' ? $now : 0;
    });
    is($endpoint->{waiting_for}, undef, 'nothing more');
    is($endpoint->{rules}[0]{needs}, 0, 'needs');
    $t->verb(needs => 'rollback');
};

subtest 'an error more is worth some attempts' => sub {
    start(clear => (error_5xx_rate => 0.1));
    $v2->next_requests(1, status => 500);
    is_served(requests(clear => 20));

    my $rule = settled(clear => 10);
    cmp_ok($rule->{needs}, '>', 27, "$rule->{needs} instead of 27");

    is_served(requests(clear => 2 * $rule->{needs} - 2));
    $t->wait_for(sub { $t->endpoint('clear')->{rules}[0]{needs} == 1 });
    is_served(requests(clear => 2));
    $t->wait_for(
        sub { $t->endpoint('clear')->{rules}[0]{verdict} eq 'passing' });
    pass('as many as were told');
    $t->verb(clear => 'rollback');
};

$t->finish;


# A rollout with one rule.

sub start($endpoint, $rule, $threshold, @rest) {
    my %rest = @rest;
    my %opt = map { exists $rest{$_} ? ($_ => delete $rest{$_}) : () }
        qw(steps interval bake);

    return $t->start_rollout($endpoint, interval => 600,
                             rules => [ rule($rule => $threshold, %rest) ],
                             %opt);
}


sub parameters($endpoint) {
    my $rule = $endpoint->{strategy}{canary_strategy}{rules}[0];

    return { map { $_->{name} => $_->{value} }
             @{ $rule->{rule_parameters} } };
}


sub patch($endpoint, %parts) {
    my $response = $t->api_patch("endpoints/$endpoint/rollout",
                                 { canary_strategy => \%parts });

    return is($response->status, 200, 'changed') || diag($response->body);
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


sub is_totals($endpoint, $expected) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return $t->is_totals($endpoint, 'v2', $expected, 'attempts of the canary');
}


# The rule once it has counted so many attempts, also those of the last 100 ms:
# for ten looks nothing has changed.

sub settled($endpoint, $n) {
    my ($last, $looks) = ('', 0);

    return $t->wait_for(sub {
        my $rule = $t->endpoint($endpoint)->{rules}[0];
        my $now = join ' ', map { $_ // 'null' } @{ $rule->{bounds} },
            @$rule{qw(attempts needs verdict)};

        $looks = $now eq $last ? $looks + 1 : 0;
        $last = $now;
        Canary::Util::pause(0.02);

        return $rule->{attempts} == $n && $looks >= 10 ? $rule : 0;
    }, 10, "$n attempts");
}


sub is_same_test($before, $what) {
    my $after = $t->endpoint('late')->{rules}[0];

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply($after, $before, "$what keeps the tests");
}


sub wait_until_idle($endpoint) {
    return $t->wait_for(sub { $t->endpoint($endpoint)->{phase} eq 'idle' }, 20,
                        "the rollout of $endpoint to end");
}


sub is_rolled_back($endpoint, $reason) {
    my $now = $t->endpoint($endpoint);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($now->{phase}, 'idle', 'the rollout is over');
    is($now->{stable}, 'v1', 'v1 is stable');
    is($now->{last_rollout}{result}, 'rolled_back', 'rolled back');
    like($now->{last_rollout}{reason}, $reason, 'the reason');

    return;
}
