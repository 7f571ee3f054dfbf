#!/usr/bin/perl

# Processes that are killed or stopped: the rollout goes on, or holds, but is
# never in a state that nobody brought about.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use List::Util qw(shuffle sum0);
use Test::More;

use Canary::Test;

use constant {
    KILLS => $ENV{TEST_CANARY_ENDURANCE} ? 100 : 20,
    STALE => 500,    # ms: from then on the helper is not relied on
};

my $seed = $ENV{TEST_CANARY_SEED} // 20261122;
srand $seed;

needs('speed');

my $t = Canary::Test->new(timeout => 180 + 3 * KILLS);
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

$v2->on('/hang', mode => 'hang');

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 32; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 32; }

    upstream ep {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_interval 100ms;
        canary_step     2.5%;
        canary_rule     error_5xx_rate 10% min_requests=5 confidence=off;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_next_upstream off;
        proxy_read_timeout 1h;
        location / { proxy_pass http://ep; }
    }

    %%API%%
EOC

processes();

$t->allow_log(qr/process \d+ exited on signal 9/,
              qr/shared memory zone "canary" was locked by \d+/);

subtest KILLS . " processes are killed under load, seed $seed" => sub {
    my $lost = lost();
    my $load = $t->load(connections => 4);
    my @steps = map { 0.025 * $_ } 1 .. 40;
    my $seen = { step => 0, generation => 0 };

    is($t->api_post('endpoints/ep/rollout')->status, 201, 'a rollout');

    for my $turn (1 .. KILLS) {
        kill_one(shuffle processes());
        $seen = is_sound(whole_endpoint(), $seen);
        $load->wait_requests(20);
    }

    wait_until_idle(60);
    my $result = $load->stop;
    my $endpoint = $t->endpoint('ep');

    is($endpoint->{stable}, 'v2', 'in the end v2 is promoted');
    is_history((map { "progressing $_" } @steps[0 .. 38]), 'baking 1',
               'idle 0');
    is_deeply([ keys %{ $result->{statuses} } ], [200],
              'what is answered is answered well');

    # Of those on their way in a killed worker nobody knows.

    $lost = lost() - $lost;
    cmp_ok($lost, '>=', 0, 'nothing is counted twice');
    cmp_ok($lost, '<=', $result->{failed} + $result->{retried},
           'nor is anything not counted but what a kill cut off');
};

subtest 'workers are killed while the rollout changes' => sub {
    my $before = ($t->events('ep'))[0]{id};
    my $writes = $t->load(port => 'api', connections => 3, request => {
        method => 'POST',
        uri    => sub ($n) {
            my $verb = (qw(/rollback /advance /pause /resume), '')[$n % 5];

            return "/canary/endpoints/ep/rollout$verb";
        },
    });

    for my $turn (1 .. KILLS) {
        $writes->wait_requests(10);
        kill_one(shuffle $t->worker_pids);
        is_sound(whole_endpoint());
    }

    my $result = $writes->stop;
    is_deeply([ grep { !/^(?:200|201|409)$/ } keys %{ $result->{statuses} } ],
              [], 'each write is done, or does not apply');

    my @events = reverse $t->events('ep');
    my @ids = map { $_->{id} } @events;
    is_deeply(\@ids, [ sort { $a <=> $b } @ids ], 'event numbers rise');
    cmp_ok($ids[-1] - $before, '>=', KILLS, 'some have happened');
    is(scalar(keys %{ { map { $_ => 1 } @ids } }), scalar @ids,
       'each is there once');

    my @breaks = grep {
        state_of($events[$_]{from}) ne state_of($events[ $_ - 1 ]{to})
    } 1 .. $#events;
    is(scalar @breaks, 0, 'each event begins where the one before ended');

    my ($last, $endpoint) = ($events[-1], $t->endpoint('ep'));
    is(state_of($last->{to}), state_of($endpoint), 'as does what is now');
    $t->api_post('endpoints/ep/rollout/rollback');
    is($t->endpoint('ep')->{phase}, 'idle', 'it can be rolled back');
};

subtest 'attempts in flight in a killed worker are taken out' => sub {
    make_stable('v1');
    $t->start_rollout('ep', interval => 0.05, rules => [
        rule(error_5xx_rate => 0.1, min_requests => 10,
             confidence => 'off') ]);

    my $before = $v2->requests;
    my @hung = map { $t->client->start(uri => '/hang') } 1 .. 40;
    $t->wait_for(sub { $v2->requests - $before >= 18 }, 10,
                 'hanging requests on the canary');
    $t->wait_for(sub { $t->endpoint('ep')->{next_step_in_seconds} == 0 }, 10,
                 'the end of the interval');

    my $endpoint = $t->endpoint('ep');
    my $rule = $endpoint->{rules}[0];
    cmp_ok($rule->{attempts}, '>=', 18, 'they are attempts');
    like($endpoint->{waiting_for}{reason}, qr/in flight/,
         'that the step waits for');

    kill_one($_) for $t->worker_pids;
    $t->wait_for(sub { $t->endpoint('ep')->{rules}[0]{attempts} == 0 }, 5,
                 'the attempts to be taken out');

    $endpoint = $t->endpoint('ep');
    is($endpoint->{step}, 1, 'they count neither for the release');
    is($endpoint->{rules}[0]{verdict}, 'undecided', 'nor against it');

    requests(40);
    $t->wait_for(sub { $t->endpoint('ep')->{phase} eq 'baking' }, 5,
                 'the step');
    $t->verb(ep => 'rollback');
};

subtest 'a killed helper is replaced' => sub {
    start_passing();
    my $old = $t->helper_pid;

    for my $turn (1 .. 3) {
        kill_one($t->helper_pid);
        $t->wait_for(sub { heartbeat() < STALE }, 10, 'a new heartbeat');
        my $step = $t->endpoint('ep')->{step};
        requests(100);
        $t->wait_for(sub { $t->endpoint('ep')->{step} > $step }, 10,
                     'the next step');
    }

    isnt($t->helper_pid, $old, 'by another');
    $t->verb(ep => 'rollback');
};

subtest 'without the helper no step is taken' => sub {
    start_passing();

    my $helper = stop_helper();
    my $step = $t->endpoint('ep')->{step};
    my $age = heartbeat();
    requests(200);
    $t->wait_for(sub { heartbeat() > $age + 1000 }, 10, 'the age to rise');

    my $endpoint = $t->endpoint('ep');
    is($endpoint->{phase}, 'progressing', 'the rollout holds');
    is($endpoint->{step}, $step, 'at its step');
    is($endpoint->{rules}[0]{verdict}, 'passing', 'though its rules pass');
    cmp_ok($endpoint->{controller}{heartbeat_age_ms}, '>', 1000,
           'the age of the heartbeat says why');

    $t->kill(CONT => $helper);
    $t->wait_for(sub { $t->endpoint('ep')->{step} > $step }, 10,
                 'it to go on with the helper');
    $t->wait_for(sub { heartbeat() < STALE }, 10, 'a heartbeat');
    $t->verb(ep => 'rollback');
};

subtest 'a bad canary is rolled back without the helper' => sub {
    $v2->set(status => 500);
    $t->start_rollout('ep', rules => [
        rule(error_5xx_rate => 0.1, min_requests => 10,
             confidence => 'off') ]);

    my $helper = stop_helper();
    my $before = $v2->requests;
    requests(100);
    is($v2->requests - $before, 10, 'ten attempts, as ever');
    is_last(qr/^error_5xx_rate (?:0\.9|1) > 0\.1 after 10 attempts$/);

    my ($event) = $t->events('ep');
    is($event->{actor}{name}, 'error_5xx_rate', 'by the rule');

    $t->kill(CONT => $helper);
    $v2->set;
};

subtest 'nor does a slow one need it, if a worker sees an error' => sub {
    $v2->set(delay_ms => 300);
    $t->start_rollout('ep', rules => [
        rule(latency_avg_max => 200, min_requests => 10, confidence => 'off') ]);

    my $helper = stop_helper();

    requests(40);
    is($t->endpoint('ep')->{rules}[0]{verdict}, 'failing', 'it is too slow');
    is($t->endpoint('ep')->{phase}, 'progressing', 'which nobody looks at');

    $v2->next_requests(1, status => 500);
    requests(2);
    is_last(qr/^latency_avg_max \d+(?:\.\d+)?ms > 200ms after \d+ attempts$/);

    $t->kill(CONT => $helper);
    $v2->set;
};

subtest 'without the helper a rollout can be stopped, and nothing else' => sub {
    $t->start_rollout('ep', steps => [0.2, 0.4], rules => [
        rule(error_rate => 0.1, min_requests => 10, confidence => 'off') ]);

    my $helper = stop_helper();

    my $refused = $t->api_post('endpoints/ep/rollout/advance');
    is($refused->status, 503, 'advance needs the state file');
    like($refused->json->{detail}, qr/not written within 5 seconds/, 'why');

    my $paused = $t->verb(ep => 'pause');
    is($paused->{phase}, 'paused', 'pause takes effect');
    ok(!$paused->{durable}, 'and is not in the file');
    is(requests(50)->{v2}, 10, 'as the weight was');

    my $rolled_back = $t->verb(ep => 'rollback');
    is($rolled_back->{phase}, 'idle', 'so does rollback');
    is(requests(50)->{v2}, undef, 'and what it does');

    $t->kill(CONT => $helper);
    $t->wait_for(sub { !exists $t->endpoint('ep')->{durable} }, 10,
                 'the helper to write it');
};

$t->stop;
$t->finish;


# Kills the first of them and waits until nginx has replaced it.

sub kill_one($pid, @others) {
    $t->kill(KILL => $pid);
    $t->wait_for(sub { !grep { $_ == $pid } processes() }, 10,
                 "the end of $pid");

    return;
}


# Two workers and the helper, as soon as they are there.

sub processes() {
    return @{ $t->wait_for(sub {
        my @pids = ($t->worker_pids, $t->helper_pid // ());

        return @pids == 3 && \@pids;
    }, 10, 'all processes') };
}


# The endpoint, though a worker that is killed answers nothing.

sub whole_endpoint() {
    return $t->wait_for(sub { eval { $t->endpoint('ep') } }, 10,
                        'the API to answer');
}


# Nothing of it contradicts the rest, or goes back.

sub is_sound($endpoint, $before = undef) {
    my ($phase, $weight, $step) = @$endpoint{qw(phase weight step)};
    my $idle = $phase eq 'idle';
    my %sound = (
        canary => defined $endpoint->{canary} eq !$idle,
        stable => $endpoint->{stable} =~ /^v[12]$/,
        roles  => ($endpoint->{canary} // '') ne $endpoint->{stable},
        weight => abs($weight
            - ($step ? $endpoint->{steps}[ $step - 1 ] : 0)) < 1e-9,
        step   => $idle ? $step == 0 : $step > 0,
        full   => ($weight == 1) <= ($phase =~ /^(?:baking|paused|halted)$/),
        baking => ($phase eq 'baking') <= ($weight == 1),
    );

    if ($before && !$idle) {
        $sound{progress} = $step >= $before->{step};
        $sound{generation}
            = $endpoint->{generation} >= $before->{generation};
    }

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(join(' ', grep { !$sound{$_} } sort keys %sound), '',
       "$phase, step $step, weight $weight: sound");

    return $endpoint;
}


sub state_of($part) { return "$part->{phase} $part->{weight}" }


sub wait_until_idle($timeout) {
    return $t->wait_for(sub { whole_endpoint()->{phase} eq 'idle' }, $timeout,
                        'the rollout to end');
}


sub heartbeat() { return $t->endpoint('ep')->{controller}{heartbeat_age_ms} }


# Stops the helper, but not just when it holds the lock: a process that is
# stopped then stops all others.

sub stop_helper() {
    my $helper = $t->helper_pid;

    $t->wait_for(sub {
        $t->kill(STOP => $helper);
        return 1 if $t->api_get('endpoints', timeout => 2)->status == 200;
        $t->kill(CONT => $helper);
        return 0;
    }, 20, 'the helper to be stopped');
    $t->wait_for(sub { heartbeat() > STALE }, 10, 'a heartbeat that is old');

    return $helper;
}


# 40 steps of 1 s at least, whose rules pass with the next requests.

sub start_passing() {
    return $t->start_rollout('ep', interval => 0.3,
        steps => [ map { $_ / 40 } 20 .. 39 ],
        rules => [ rule(error_5xx_rate => 0.1, min_requests => 5,
                        confidence => 'off') ]);
}


sub make_stable($release) {
    return if $t->endpoint('ep')->{stable} eq $release;

    return is($t->api_post('endpoints/ep/rollout', { strategy => 'direct',
                  release => $release })->status, 201, "$release is stable");
}


# Who answered $n requests.

sub requests($n) {
    return $t->load(connections => 1, count => $n, by_body => 1)
        ->result->{bodies};
}


# Requests that the backends have seen and that are in no total.

sub lost() {
    return $v1->requests + $v2->requests
        - sum0(map { $t->totals('ep', $_)->{attempts} // 0 } qw(v1 v2));
}


sub is_history(@expected) {
    my @events = map { "$_->{to}{phase} $_->{to}{weight}" }
        reverse $t->events('ep');

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is(join(', ', @events), join(', ', @expected), 'the events');
}


sub is_last($reason) {
    my $endpoint = $t->endpoint('ep');

    is($endpoint->{phase}, 'idle', 'the rollout is over');
    is($endpoint->{last_rollout}{result}, 'rolled_back', 'rolled back');
    like($endpoint->{last_rollout}{reason}, $reason, 'the reason');

    return;
}
