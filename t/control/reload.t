#!/usr/bin/perl

# A reload of nginx changes what the new configuration says, and nothing else.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use List::Util qw(sum0);
use Test::More;

use Canary::Test;

use constant DEPLOYMENTS => $ENV{TEST_CANARY_DEPLOYMENTS} // 100;

needs('processes');

my $t = Canary::Test->new;
my %backend = map { $_ => $t->backend($_) } qw(v1 v2 v3 v4);

$t->start(config());

subtest 'eight reloads under load' => sub {
    my @steps = map { $_ / 10 } 1 .. 10;
    my @configs = (
        { workers => 4 },
        { upstreams => 20 },
        { releases => [qw(v1 v2 v3)] },
        { releases => [qw(v3 v2 v1)], endpoints => [qw(more and yet)] },
        { workers => 1, upstreams => 5 },
        { endpoints => [qw(more)] },
        { workers => 3, releases => [qw(v2 v1)] },
        {},
    );

    my ($before, $lost) = (seen(), lost());
    my $load = $t->load(connections => 4, by => ['X-Pid']);
    $t->start_rollout('ep', interval => 0.25, steps => \@steps, bake => 0,
                      rules => [ rule(error_rate => 0.1,
                                      min_requests => 5,
                                      confidence => 'off') ]);

    for my $config (@configs) {
        $load->wait_requests(500);
        reload(%$config);
    }

    $t->wait_for(sub { $t->endpoint('ep')->{phase} eq 'idle' }, 40,
                 'the promotion');
    my $result = $load->stop;

    is($result->{failed}, 0, 'no request is lost');
    is_deeply($result->{statuses}, { 200 => $result->{requests} },
              'none has an error');
    cmp_ok(scalar keys %{ $result->{by}{'X-Pid'} }, '>=', 9,
           'workers of all configurations served');
    is(seen() - $before, $result->{requests}, 'the backends saw them once');
    is(lost(), $lost, 'and no attempt is missing in the totals');

    is_history((map { "progressing $_" } @steps[0 .. 8]), 'baking 1',
               'idle 0');
    is($t->endpoint('ep')->{stable}, 'v2', 'v2 is stable');
    make_stable('v1');
};

subtest 'a reload in the middle of a step' => sub {
    $t->start_rollout('ep', steps => [0.2, 0.5], interval => 3600,
                      rules => [ rule(error_rate => 0.1,
                                      min_requests => 10,
                                      confidence => 'off') ]);
    requests(100);
    $t->wait_for(sub {
        my $endpoint = $t->endpoint('ep');
        return $endpoint->{rules}[0]{verdict} eq 'passing'
            && $endpoint->{next_step_in_seconds} < 3600;
    }, 10, 'a moment and some attempts');

    my ($before, @events) = ($t->endpoint('ep'), $t->events('ep'));
    reload(workers => 3, upstreams => 3, gone => 1);
    my $after = $t->endpoint('ep');

    is_same($after, $before);
    is_deeply($after->{rules}, $before->{rules}, 'the evidence is kept');
    cmp_ok($after->{next_step_in_seconds}, '<=',
           $before->{next_step_in_seconds}, 'the clock goes on');
    cmp_ok($after->{next_step_in_seconds}, '>', 3000, 'where it was');
    is_deeply([ $t->events('ep') ], \@events, 'no event');

    # A reload in each step.

    my $load = $t->load(connections => 2, rate => 400);
    patch(progress_interval_seconds => 0.5);
    for my $step (2, 3) {
        $t->wait_for(sub { $t->endpoint('ep')->{step} >= $step }, 20,
                     "step $step");
        reload(workers => $step);
    }
    is($t->verb(ep => 'rollback')->{stable}, 'v1', 'rolled back');
    is($load->stop->{failed}, 0, 'no request is lost');
    is_history('progressing 0.2', 'progressing 0.2', 'progressing 0.5',
               'baking 1', 'idle 0');
};

subtest 'a paused clock stands still' => sub {
    $t->start_rollout('ep');
    $t->wait_for(
        sub { $t->endpoint('ep')->{next_step_in_seconds} < 3600 }, 10,
        'a moment');
    my $before = $t->verb(ep => 'pause');
    reload();

    my $after = $t->endpoint('ep');
    is_same($after, $before);
    is($after->{next_step_in_seconds}, $before->{next_step_in_seconds},
       'so many seconds are left');
    $t->verb(ep => 'rollback');
};

subtest 'attempts of old workers' => sub {
    $backend{v4}->set(mode => 'hang');
    reload(releases => [qw(v1 v4)], workers => 1, gone => 1);
    $t->start_rollout('ep', rules => [ rule(failed_requests_max => 0) ]);

    my @clients = map { $t->client->start(uri => '/') } 1 .. 4;
    $t->wait_for(sub { $backend{v4}->requests == 2 }, 10,
                 'two requests on the canary');

    reload(releases => [qw(v1 v4)], upstreams => 1);
    ok($t->old_worker_pids > 0, 'an old worker waits');
    is($t->endpoint('ep')->{phase}, 'progressing', 'the rollout goes on');
    is($t->totals('ep', 'v4')->{attempts}, undef, 'nothing is counted yet');

    # The old worker sees the failure; the new ones route by what it does.

    $backend{v4}->stop;
    $t->wait_for(sub { !$t->old_worker_pids }, 10, 'the old workers to end');
    is_last('v4', qr/^failed_requests_max 1 > 0 /);
    is($t->totals('ep', 'v4')->{failed}, 2, 'what they finish is counted');
    is(requests(20)->{v1}, 20, 'v1 serves all');

    reload(gone => 1);
};

subtest 'attempts that a reload cuts off' => sub {
    $backend{v2}->on('/hang', mode => 'hang');
    reload(main => 'worker_shutdown_timeout 100ms;', workers => 1, gone => 1);
    $t->start_rollout('ep', rules => [ rule(failed_requests_max => 0) ]);

    my ($before, $totals) = ($backend{v2}->requests, $t->totals('ep', 'v2'));
    my @clients = map { $t->client->start(uri => '/hang') } 1 .. 4;
    $t->wait_for(sub { $backend{v2}->requests - $before == 2 }, 10,
                 'two requests on the canary');

    reload(main => '', gone => 1);
    is($t->endpoint('ep')->{phase}, 'progressing', 'they are no failures');
    is_deeply($t->totals('ep', 'v2'), $totals, 'and nobody counts them');
    is($t->endpoint('ep')->{rules}[0]{attempts}, 0, 'they are no evidence');
    $t->verb(ep => 'rollback');
};

subtest 'the split is exact over reloads' => sub {
    $t->start_rollout('ep', steps => [0.01]);

    my $canary = 0;
    for my $workers (2, 2, 4, 4, 1, 1, 3, 2, 2, 2) {
        reload(workers => $workers, gone => 1);
        $canary += requests(50)->{v2} // 0;
    }
    cmp_ok(abs($canary - 5), '<=', 4, "$canary of 500 at 1 %");

    $t->set_weight(ep => 0.37);
    $canary = 0;
    for my $workers (2, 4, 2, 2, 1, 2) {
        reload(workers => $workers, gone => 1);
        $canary += requests(50)->{v2};
    }
    cmp_ok(abs($canary - 111), '<=', 4, "$canary of 300 at 37 %");
    $t->verb(ep => 'rollback');
};

for my $case ([ 'another size', 'zone=canary:8m' ],
              [ 'a larger one', 'zone=canary:32m' ],
              [ 'another name', 'zone=other:32m' ],
              [ 'another name and size', 'zone=canary:16m' ])
{
    my ($name, $zone) = @$case;

    subtest "canary_zone: $name" => sub {
        $t->start_rollout('ep', steps => [0.2, 0.5], rules => [
            rule(error_rate => 0.5, min_requests => 10, confidence => 'off'),
            rule(failed_requests_max => 5) ]);
        $backend{v2}->next_requests(3, status => 500);
        requests(100);

        my $lost = lost();
        my $before = $t->endpoint('ep');
        my @events = $t->events('ep');
        is($before->{rules}[1]{value}, 3, 'three errors');

        reload(zone => $zone, gone => 1);
        my $after = $t->endpoint('ep');

        is_same($after, $before);
        is_deeply($after->{last_rollout}, $before->{last_rollout},
                  'the last rollout');
        is_deeply([ $t->events('ep') ], \@events, 'the events');
        is($after->{rules}[1]{value}, 3, 'what was spent of the budget');
        is(lost(), $lost, 'the totals');

        requests(100);
        is(lost(), $lost, 'which go on');
        $t->wait_for(
            sub { $t->endpoint('ep')->{rules}[0]{verdict} eq 'passing' }, 10,
            'evidence in the new zone');

        is($t->verb(ep => 'advance')->{step}, 2, 'it can be advanced');
        my ($event) = $t->events('ep');
        is($event->{id}, $events[0]{id} + 1, 'event numbers go on');
        $t->verb(ep => 'rollback');
    };
}

subtest 'an interval goes on in another zone' => sub {
    $t->start_rollout('ep', steps => [0.2, 0.5], interval => 3600);
    $t->wait_for(sub {
        $t->endpoint('ep')->{next_step_in_seconds} < 3599;
    }, 30, 'a second of it');
    $t->verb(ep => 'pause');
    reload(zone => 'zone=canary:24m', gone => 1);
    my $left = $t->verb(ep => 'resume')->{next_step_in_seconds};
    cmp_ok($left, '<', 3599, 'from where it was paused');

    reload(zone => 'zone=canary:16m', gone => 1);
    cmp_ok($t->endpoint('ep')->{next_step_in_seconds}, '<=', $left,
           'and where it was not');
    $t->verb(ep => 'rollback');
};

subtest 'a zone that has no room for what runs' => sub {
    my @more = map { "more$_" } 1 .. 8;
    my ($least) = reload(fails => 1, zone => 'zone=canary:64k',
                         endpoints => \@more) =~ /needs about (\d+)k/;

    reload(endpoints => \@more, gone => 1);
    $t->start_rollout($_, steps => [0.5]) for @more;

    my $zone = 'zone=canary:' . ($least + 64) . 'k';
    like(reload(fails => 1, zone => $zone, endpoints => \@more),
         qr/too small for 9 endpoints beside what is in use: rollouts/,
         'is refused');
    is_deeply([ map { $t->endpoint($_)->{phase} } @more ],
              [ ('progressing') x 8 ], 'they go on');

    reload(zone => 'zone=canary:5m', endpoints => \@more, gone => 1);
    is_deeply([ map { $t->endpoint($_)->{phase} } @more ],
              [ ('progressing') x 8 ], 'and in one that has it');

    $t->allow_log(qr/the canary_zone is too small for/);
    reload(zone => $zone, gone => 1);
    reload(endpoints => \@more, gone => 1);
    is_deeply([ map { $t->endpoint($_)->{phase} } @more ], [ ('idle') x 8 ],
              'those that are not configured end, whether they fit or not');
};

subtest 'the split is exact while the zone changes' => sub {
    $t->start_rollout('ep', steps => [0.02]);

    my $canary = 0;
    for my $size (1 .. 8) {
        reload(zone => 'zone=canary:' . (16 + $size % 2) . 'm', gone => 1);
        $canary += requests(50)->{v2} // 0;
    }
    cmp_ok(abs($canary - 8), '<=', 2, "$canary of 400 at 2 %");
    $t->verb(ep => 'rollback');
};

subtest 'a zone that changes under load' => sub {
    my $load = $t->load(connections => 4, by => ['X-Backend']);

    $t->start_rollout('ep', interval => 0.25, bake => 0,
                      steps => [0.25, 0.5, 0.75],
                      rules => [ rule(error_rate => 0.1,
                                      min_requests => 5,
                                      confidence => 'off') ]);
    for my $size (20 .. 23) {
        $load->wait_requests(50);
        reload(zone => "zone=canary:${size}m");
    }
    $t->wait_for(sub { $t->endpoint('ep')->{phase} eq 'idle' }, 40,
                 'the promotion');

    is($load->stop->{failed}, 0, 'no request is lost');
    is_history('progressing 0.25', 'progressing 0.5',
               'progressing 0.75', 'baking 1', 'idle 0');
    make_stable('v1');
};

subtest 'the canary is no longer configured' => sub {
    $t->start_rollout('ep', steps => [0.5]);
    reload(releases => [qw(v1 v3)], gone => 1);

    my $endpoint = $t->endpoint('ep');
    is($endpoint->{phase}, 'idle', 'the rollout is over');
    is($endpoint->{stable}, 'v1', 'v1 is stable');
    is($endpoint->{canary}, undef, 'there is no canary');
    is_last('v2', qr/^the canary is no longer configured$/);
    is_event('progressing', 0.5, qr/^the canary is no longer configured$/);
    is(requests(20)->{v1}, 20, 'and serves all');

    reload(gone => 1);
    is($t->endpoint('ep')->{phase}, 'idle', 'it does not come back');
    is_deeply([ map { $_->{role} } @{ $t->endpoint('ep')->{releases} } ],
              [ 'stable', undef ], 'when its release does');
};

subtest 'stable is no longer configured, in a rollout' => sub {
    $t->start_rollout('ep', steps => [0.5]);
    reload(releases => [qw(v3 v2)], gone => 1);

    my $endpoint = $t->endpoint('ep');
    is($endpoint->{phase}, 'idle', 'the rollout is over');
    is($endpoint->{stable}, 'v3', 'the first release is stable');
    is_last('v2', qr/^the stable release is no longer configured$/);
    is_event('progressing', 0.5,
             qr/^the stable release is no longer configured$/);
    is(requests(20)->{v3}, 20, 'and serves all');
};

subtest 'stable is no longer configured, without a rollout' => sub {
    my $last = $t->endpoint('ep')->{last_rollout};
    reload(releases => [qw(v1 v2)], gone => 1);

    is($t->endpoint('ep')->{stable}, 'v1', 'the first release is stable');
    is_event('idle', 0, qr/^the stable release is no longer configured$/);
    is_deeply($t->endpoint('ep')->{last_rollout}, $last,
              'that was no rollout');
    is(requests(20)->{v1}, 20, 'and serves all');
};

subtest 'the order of the releases does not matter' => sub {
    reload(releases => [qw(v2 v1)], gone => 1);
    is($t->endpoint('ep')->{stable}, 'v1', 'v1 is stable as before');
    is(requests(20)->{v1}, 20, 'and serves all');
    reload(gone => 1);
};

subtest 'the endpoint is no longer configured' => sub {
    reload(endpoints => ['more']);
    $t->start_rollout('more', steps => [0.5]);
    reload(gone => 1);
    is($t->api_get('endpoints/more')->status, 404, 'it is not there');

    reload(endpoints => ['more'], gone => 1);
    my $endpoint = $t->endpoint('more');
    is($endpoint->{phase}, 'idle', 'its rollout is over');
    is($endpoint->{last_rollout}{result}, 'rolled_back', 'rolled back');
    is($endpoint->{last_rollout}{reason},
       'the endpoint is no longer configured', 'because of that');
    reload(gone => 1);
};

subtest 'reloads that fail change nothing' => sub {
    reload(endpoints => ['more'], gone => 1);
    $t->start_rollout('ep', steps => [0.5]);
    $t->start_rollout('more', steps => [0.5]);
    my ($before, $lost, @events)
        = ($t->endpoint('ep'), lost(), $t->events('ep'));

    my $same = sub {
        is_same($t->endpoint('ep'), $before);
        is_deeply([ $t->events('ep') ], \@events, 'no event');
        is($t->endpoint('more')->{phase}, 'progressing', 'nor elsewhere');
        is_share('nginx serves');
        is(lost(), $lost, 'and counts');
    };

    like(reload(fails => 1, server => 'bogus;'), qr/unknown directive/,
         'a mistake elsewhere');
    $same->();

    like(reload(fails => 1, releases => [qw(v3 v1 v9)]), qr/"model_v9"/,
         'an unknown upstream');
    $same->();

    like(reload(fails => 1, zone => 'zone=canary:64k'),
         qr/zone "canary" of 64k is too small .* needs about \d+k/,
         'a zone that is too small');
    $same->();

    # This is found out when all of the new configuration has been set up.

    $t->allow_log(qr/bind\(\) to .* failed/, qr/still could not bind/);
    reload(fails => 1, releases => [qw(v3 v1)], endpoints => [qw(more new)],
           server => 'listen 127.0.0.1:%%PORT_v3%%;');
    $t->wait_for(sub { $t->error_log =~ /still could not bind/ }, 10,
                 'nginx to give up');
    pass('a port that is taken');
    $same->();

    # Nor is there a trace of it that the next one would stumble over.

    reload(new => [qw(v2 v1)], gone => 1);
    is_same($t->endpoint('ep'), $before);
    is_deeply([ $t->events('ep') ], \@events, 'no event');
    is($t->endpoint('new')->{stable}, 'v2', 'of a new one the first release '
       . 'is stable, not what was first where it failed');
    is(scalar(my @none = $t->events('new')), 0, 'from the beginning');

    reload(endpoints => ['more'], gone => 1);
    is($t->endpoint('more')->{phase}, 'idle',
       'one that was not there any more has been rolled back');

    $t->verb(ep => 'rollback');
    reload(gone => 1);
};

subtest 'fifty reloads that fail, with a new name each' => sub {
    $t->start_rollout('ep', steps => [0.5]);
    my ($before, @events) = ($t->endpoint('ep'), $t->events('ep'));
    my $refused = 0;

    for my $n (1 .. 50) {
        my $reason = reload(fails => 1, names => [ "x$n", 'v1' ],
                            server => 'listen 192.0.2.1:80;');
        $refused++ if $reason =~ /bind\(\) to 192\.0\.2\.1:80 failed/;
    }

    is($refused, 50, 'at what is set up last');
    is_same($t->endpoint('ep'), $before);
    is_deeply([ $t->events('ep') ], \@events, 'no event');

    reload(names => [ 'v1', 'v2', map { "y$_" } 1 .. 14 ], gone => 1);
    is($t->endpoint('ep')->{phase}, 'progressing',
       'their names are in nobody\'s way');
    $t->verb(ep => 'rollback');
    reload(gone => 1);
};

subtest 'nginx -t changes nothing' => sub {
    $t->start_rollout('ep', steps => [0.5]);
    my ($before, @events) = ($t->endpoint('ep'), $t->events('ep'));
    my $files = files();

    for my $config ({ releases => [qw(v3 v1)] }, { endpoints => ['more'] },
                    { zone => 'zone=canary:8m' }, { server => 'bogus;' })
    {
        my ($accepted) = $t->check(config(%$config));
        is($accepted, $config->{server} ? 0 : 1, 'checked');
    }

    is_same($t->endpoint('ep'), $before);
    is_deeply([ $t->events('ep') ], \@events, 'no event');
    is_deeply(files(), $files, 'no file');
    is_share('nginx serves');
    $t->verb(ep => 'rollback');
};

subtest 'a strategy in nginx.conf is that of the next rollout' => sub {
    my $first = 'canary_interval 10s; canary_step 20%;
                 canary_rule error_rate 10%; canary_bake 5s;';
    my $then = 'canary_interval 1h; canary_step 1% 50%;
                canary_rule error_5xx_rate 5% min_requests=7;
                canary_on_violation halt; canary_on_undecided advance;';

    reload(strategy => $first);
    is($t->api_post('endpoints/ep/rollout')->status, 201, 'a rollout');
    $t->verb(ep => 'pause');
    my $before = $t->endpoint('ep');

    reload(strategy => $then, gone => 1);
    my $after = $t->endpoint('ep');
    is_same($after, $before);
    is_deeply($after->{strategy}, $before->{strategy}, 'keeps its strategy');
    is_deeply($after->{steps}, [0.2, 0.4, 0.6, 0.8, 1], 'its steps');
    is($after->{rules}[0]{rule}, 'error_rate', 'its rules');
    cmp_ok($t->verb(ep => 'advance')->{weight}, '==', 0.4, 'takes its steps');
    $t->verb(ep => 'rollback');

    my $strategy = $t->endpoint('ep')->{strategy}{canary_strategy};
    is($strategy->{rules}[0]{rule}, 'error_5xx_rate', 'what comes next');
    is($t->api_post('endpoints/ep/rollout')->status, 201, 'the next rollout');
    $after = $t->endpoint('ep');
    is_deeply($after->{steps}, [0.01, 0.5, 1], 'has the new steps');
    is($after->{rules}[0]{rule}, 'error_5xx_rate', 'and the new rules');
    is($after->{strategy}{canary_strategy}{on_violation}, 'halt',
       'and all the rest');

    reload(gone => 1);
    is($t->endpoint('ep')->{rules}[0]{rule}, 'error_5xx_rate',
       'also when nginx.conf has none any more');
    $t->verb(ep => 'rollback');
};

subtest 'deployments of releases with new names' => sub {
    my $load = $t->load(connections => 2, rate => 100);
    my $stable = 'v1';
    my $wrong = 0;

    # Three of them each time; the zone remembers 48 of an endpoint.

    for my $n (1 .. DEPLOYMENTS) {
        reload(workers => 1, names => [ $stable, "a$n", "b$n", "c$n" ]);

        $stable = "b$n";
        make_stable($stable);
        $wrong++ if $t->get('/')->header('X-Release') ne $stable;
    }

    is($wrong, 0, 'each served when it was stable');
    is($load->stop->{failed}, 0, 'no request is lost');

    my $endpoint = $t->endpoint('ep');
    is($endpoint->{last_rollout}{release}, $stable, 'up to the last');
    is($endpoint->{releases}[$_]{attempts}, 0, 'nothing is inherited')
        for 1, 3;

    $t->start_rollout('ep', release => 'a' . DEPLOYMENTS, steps => [0.5]);
    is_deeply([ sort map { $t->get('/')->header('X-Release') } 1 .. 2 ],
              [ 'a' . DEPLOYMENTS, $stable ], 'and a rollout is possible');
    $t->verb(ep => 'rollback');
};

subtest 'more names than can be told apart, while old workers live' => sub {
    my $names = sub ($set) { [ 'v1', map { "$set$_" } 2 .. 16 ] };
    my @clients;

    $backend{v1}->on('/late', mode => 'hang');
    reload(names => $names->('a'), gone => 1);
    for my $set (qw(b c)) {
        push @clients, hold();
        reload(names => $names->($set));
    }
    push @clients, hold();

    like(reload(fails => 1, names => $names->('d')),
         qr/no place for release "d\d+" of "ep": .* 48 .*nginx\.conf:\d+/,
         'there is an end to it');
    is($t->endpoint('ep')->{releases}[1]{name}, 'c2', 'nothing changed');
    is($t->get('/')->header('X-Release'), 'v1', 'stable serves');

    $_->close for @clients;
    $t->wait_for(sub { !$t->old_worker_pids }, 10, 'the old workers to end');
    reload(names => $names->('d'), gone => 1);
    is($t->endpoint('ep')->{releases}[15]{name}, 'd16',
       'it works when they are gone');
    is($t->get('/')->header('X-Release'), 'v1', 'stable serves');
};

$t->finish;


# An endpoint "ep" at / and what else is asked for: endpoints (names of
# more), new (the releases of one more), upstreams (a number of unused ones),
# releases (of ep), names (the same, but all releases are at v1), strategy,
# zone, server (directives).

sub config(%opt) {
    my $releases = releases(@{ $opt{releases} // [qw(v1 v2)] });
    $releases =~ s/model_\w+/model_v1/g
        if $opt{names} && ($releases = releases(@{ $opt{names} }));

    my @more = map { "upstream $_ { ${\ releases('v1', 'v2') } }\n" }
        @{ $opt{endpoints} // [] };
    push @more, "upstream new { ${\ releases(@{ $opt{new} }) } }\n"
        if $opt{new};
    push @more, map { "upstream unused_$_ { server 127.0.0.1:1; }\n" }
        1 .. $opt{upstreams} // 0;

    my $zone = $opt{zone} ? "canary_zone $opt{zone};" : '';
    my $strategy = $opt{strategy} // '';
    my $server = $opt{server} // '';

    return <<~EOC;
        $zone
        upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 32; }
        upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 32; }
        upstream model_v3 { server 127.0.0.1:%%PORT_v3%%; keepalive 32; }
        upstream model_v4 { server 127.0.0.1:%%PORT_v4%%; keepalive 32; }

        @more
        upstream ep {
            $releases
            $strategy
        }

        server {
            listen 127.0.0.1:%%PORT_http%%;
            $server
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream off;
            add_header X-Pid \$pid;
            add_header X-Release \$canary_release;

            location / { proxy_pass http://ep; }
        }
        %%API%%
        EOC
}


sub releases(@names) {
    return join ' ', map { "canary_release $_ model_$_;" } @names;
}


sub reload(%opt) {
    my %reload = map { $_ => delete $opt{$_} }
        grep { exists $opt{$_} } qw(fails gone main);

    return $t->reload(config(%opt), workers => $opt{workers} // 2, %reload);
}


# Who answered $n requests, each on a connection of its own.

sub requests($n) {
    my $result = $t->load(connections => 1, count => $n, by_body => 1,
                          close => 1)->result;

    is($result->{requests}, $n, "$n answers") if $result->{failed};

    return $result->{bodies};
}


# At 50 %, by two workers.

sub is_share($test_name) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return cmp_ok(abs(requests(40)->{v2} - 20), '<=', 2, $test_name);
}


# A request that its worker will not get rid of.

sub hold() {
    my $before = $backend{v1}->requests;
    my $client = $t->client->start(uri => '/late');

    $t->wait_for(sub { $backend{v1}->requests > $before }, 10,
                 'a request on its way');

    return $client;
}


sub make_stable($release) {
    return if $t->endpoint('ep')->{stable} eq $release;

    my $response = $t->api_post('endpoints/ep/rollout',
                                { strategy => 'direct', release => $release });
    die "$release: ", $response->body unless $response->status == 201;

    return;
}


sub patch(%parts) {
    my $response = $t->api_patch('endpoints/ep/rollout',
                                 { canary_strategy => \%parts });

    is($response->status, 200, 'changed') or diag($response->body);

    return;
}


# Requests that v1 and v2 have seen, and those of them that are in no total.

sub seen() {
    return sum0(map { $_->requests } @backend{qw(v1 v2)});
}

sub lost() {
    return seen() - sum0(map { $t->totals('ep', $_)->{attempts} // 0 }
                         qw(v1 v2));
}


sub files() {
    return { map { $_ => $t->read_file("canary/$_") }
             map { s{.*/}{}r } glob $t->dir . '/canary/*' };
}


# What a reload may not change.

sub is_same($after, $before) {
    for my $key (qw(generation phase stable canary weight step steps)) {
        is_deeply($after->{$key}, $before->{$key}, "the same $key");
    }

    return;
}


# The phases and weights of the last events.

sub is_history(@expected) {
    my @events = map { "$_->{to}{phase} $_->{to}{weight}" }
        reverse $t->events('ep');

    splice @events, 0, -@expected if @events > @expected;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is(join(', ', @events), join(', ', @expected), 'the events');
}


# The last event: the configuration ended what was going on.

sub is_event($phase, $weight, $reason) {
    my ($event) = $t->events('ep');

    is($event->{actor}{name}, 'configuration', 'the event: who');
    is($event->{from}{phase}, $phase, 'from');
    cmp_ok($event->{from}{weight}, '==', $weight, 'at');
    is($event->{to}{phase}, 'idle', 'to');
    like($event->{reason}, $reason, 'why');

    return;
}


sub is_last($release, $reason) {
    my $endpoint = $t->endpoint('ep');
    my $last = $endpoint->{last_rollout};

    is($endpoint->{phase}, 'idle', 'the rollout is over');
    is($last->{release}, $release, 'last_rollout: the release');
    is($last->{result}, 'rolled_back', 'its result');
    like($last->{reason}, $reason, 'its reason');

    return;
}
