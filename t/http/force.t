#!/usr/bin/perl

# canary_force: a request that names its release gets it, and proves nothing.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new(workers => 1);
my %server = map { $_ => $t->backend($_) } qw(v1 v2 v3 v4);

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream model_v3 { server 127.0.0.1:%%PORT_v3%%; }
    upstream model_v4 {
        server 127.0.0.1:%%PORT_v4%% max_fails=0;
        server 127.0.0.1:%%PORT_v3%% max_fails=0 backup;
    }
    upstream dead     { server 127.0.0.1:%%PORT_v1%% down; }

    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_release v3 model_v3;
        canary_release v4 model_v4;
        canary_release v5 dead;
        canary_force   $http_x_release;
    }

    upstream keyed {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_key     $arg_u;
        canary_force   $http_x_release;
    }

    upstream stable_dead {
        canary_release v1 dead;
        canary_release v2 model_v2;
        canary_force   $http_x_release;
    }

    map $http_x_tester $tester {
        yes     canary;
        default "";
    }

    upstream mapped {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_force   $tester;
    }

    upstream odd {
        canary_release canary model_v1;
        canary_release stable model_v2;
        canary_force   $http_x_release;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_next_upstream error timeout http_500;

        add_header X-Release $canary_release always;
        add_header X-Role    $canary_role    always;
        add_header X-Reason  $canary_reason  always;
        add_header X-Phase   $canary_phase   always;

        location /            { proxy_pass http://ep; }
        location /keyed       { proxy_pass http://keyed; }
        location /stable_dead { proxy_pass http://stable_dead; }
        location /mapped      { proxy_pass http://mapped; }
        location /odd         { proxy_pass http://odd; }
    }

    %%API%%
EOC


subtest 'no rollout' => sub {
    is_served('v3', '/', 'v3', role => '', reason => 'force',
              phase => 'idle');
    is_served('v2', '/', 'v2', role => '', reason => 'force');
    is_served('v1', '/', 'v1', role => 'stable', reason => 'force');
    is_served('stable', '/', 'v1', role => 'stable', reason => 'force');
    is_served('canary', '/', 'v1', role => 'stable', reason => 'weight');

    $t->is_totals(ep => 'v3', { attempts => 1, '2xx' => 1 }, 'counted');
};

$t->start_rollout('ep', release => 'v2', steps => [0.5],
                  rules => [ rule(failed_requests_max => 0),
                             rule(error_5xx_rate => 0.1, confidence => 'off',
                                  min_requests => 1),
                             rule(error_rate => 0.1, confidence => 'off',
                                  min_requests => 1) ]);

subtest 'in a rollout' => sub {
    for (1 .. 4) {
        is_served('v1', '/', 'v1', role => 'stable', reason => 'force');
        is_served('v2', '/', 'v2', role => 'canary', reason => 'force');
        is_served('v3', '/', 'v3', role => '', reason => 'force',
                  phase => 'progressing');
        is_served('stable', '/', 'v1', role => 'stable', reason => 'force');
        is_served('canary', '/', 'v2', role => 'canary', reason => 'force');
    }
};

subtest 'what names no release has no effect' => sub {
    for my $name ('', 'v6', 'v', 'v11', 'V1', 'canar', 'canary2', 'Stable',
                  'v1,v2', "\xff")
    {
        my @got = map { ask('/', $name) } 1 .. 20;
        my $canary = grep { $_->header('X-Backend') eq 'v2' } @got;
        my $by_weight = grep { $_->header('X-Reason') eq 'weight' } @got;

        is($canary, 10, "'$name': half of them");
        is($by_weight, 20, 'by weight');
    }
};

subtest 'the split is not disturbed' => sub {
    my @forced = qw(v2 canary v3 v1 v2 v2 stable);
    my (@got, $sequence);

    for my $n (0 .. 99) {
        ask('/', $forced[$n % @forced]) for 1 .. $n % 4;
        push @got, ask('/')->header('X-Backend');
    }

    is(scalar(grep { $_ eq 'v2' } @got), 50, 'half of the others');
    $sequence = join ' ', map { join '', @got[2 * $_, 2 * $_ + 1] } 0 .. 49;
    like($sequence, qr/^(?:v1v2 ?|v2v1 ?)+$/, 'and one of each two of them');
};

subtest 'totals, and no evidence' => sub {
    my %before = map { $_ => $t->totals(ep => $_) } qw(v1 v2);

    $server{v2}->set(status => 500);
    is(ask('/', 'v2')->status, 500, 'an error is passed on') for 1 .. 10;
    $server{v2}->set(status => 404);
    is(ask('/', 'canary')->status, 404, 'so is this') for 1 .. 10;
    $server{v2}->set(mode => 'close');
    is(ask('/', 'v2')->status, 502, 'a failure too') for 1 .. 10;
    $server{v2}->set;
    is(ask('/', 'v1')->status, 200, 'stable') for 1 .. 10;

    my %expected = %{ $before{v2} };
    $expected{attempts} += 30;
    $expected{$_} += 10 for qw(4xx 5xx failed);
    $t->is_totals(ep => 'v2', \%expected, 'counted, and no fallbacks');

    %expected = %{ $before{v1} };
    $expected{$_} += 10 for qw(attempts 2xx);
    $t->is_totals(ep => 'v1', \%expected, "stable's too");

    # One more that is evidence: all before it has been looked at then.
    ask('/') for 1, 2;
    my $now = judged('ep', 151);

    is($now->{phase}, 'progressing', 'no rule is broken');
    for my $index (1, 2) {
        my $name = $now->{rules}[$index]{rule};

        is($now->{rules}[$index]{attempts}, 151,
           "$name: those that nobody forced");
        cmp_ok($now->{rules}[$index]{value}, '==', 0, "$name: all good");
    }
    cmp_ok($now->{rules}[0]{value}, '==', 0, 'the budget is whole');
    cmp_ok(abs($now->{served_weight} - 0.5), '<', 0.01,
           'served_weight is that of the others');
};

subtest 'never on another release' => sub {
    $server{v2}->set(mode => 'refuse');
    my $before = $server{v1}->requests;

    is(ask('/', $_)->status, 502, $_) for qw(v2 canary);
    is(ask('/', 'v5')->status, 502, 'nor without a live peer');
    is_served('v5', '/', undef, release => 'v5', role => '',
              reason => 'force');

    is($server{v1}->requests, $before, 'stable is not asked');
    is($t->totals(ep => 'v1')->{fallbacks}, undef, 'no fallback');
    $t->is_totals(ep => 'v5', { attempts => 2, failed => 2, no_live => 2 },
                  'what met no live peer is counted');
    $server{v2}->set;
};

subtest 'but on the next server of the same one' => sub {
    $server{v4}->set(mode => 'close');
    is_served('v4', '/', 'v3', release => 'v4', reason => 'force');
    $t->is_totals(ep => 'v4', { attempts => 2, failed => 1, '2xx' => 1 },
                  'two attempts');
};

subtest 'stable without a live peer' => sub {
    $t->start_rollout('stable_dead');

    my $before = $server{v2}->requests;
    is(ask('/stable_dead', 'stable')->status, 502, 'is not left either');
    is($server{v2}->requests, $before, 'the canary is not asked');
    is_served('canary', '/stable_dead', 'v2', role => 'canary',
              reason => 'force');
};

subtest 'before a key' => sub {
    $t->start_rollout('keyed');

    for my $n (1 .. 10) {
        is_served('v1', "/keyed?u=$n", 'v1', reason => 'force');
        is_served('canary', "/keyed?u=$n", 'v2', reason => 'force');
    }
    is(ask('/keyed?u=1', 'nobody')->header('X-Reason'), 'key',
       'what names no release leaves it to the key');
};

subtest 'by another variable' => sub {
    my %yes = (headers => { 'X-Tester' => 'yes' });

    is($t->get('/mapped', %yes)->header('X-Reason'), 'weight', 'no rollout');
    $t->start_rollout('mapped', steps => [0.01]);
    for (1 .. 5) {
        my $response = $t->get('/mapped', %yes);
        is($response->header('X-Backend'), 'v2', 'a tester');
        is($response->header('X-Reason'), 'force', 'by force');
    }
    my $others = grep { $t->get('/mapped')->header('X-Backend') eq 'v2' }
        1 .. 100;
    cmp_ok($others, '<=', 2, "$others of 100 others");
};

subtest 'releases that are called like roles' => sub {
    is_served('canary', '/odd', 'v1', release => 'canary', role => 'stable',
              reason => 'force');
    is_served('stable', '/odd', 'v2', release => 'stable', role => '',
              reason => 'force');
};

subtest 'after a rollback' => sub {
    $t->verb(ep => 'rollback');
    is_served('v2', '/', 'v2', role => '', reason => 'force',
              phase => 'idle');
    is_served('canary', '/', 'v1', role => 'stable', reason => 'weight');
};

$t->finish;


sub ask($uri, $name = undef) {
    state $client = $t->client;

    return $client->get($uri, headers => defined $name
                                         ? { 'X-Release' => $name } : {});
}


# Whom a request is served by that names a release, and what it is told.

sub is_served($name, $uri, $backend, %told) {
    my $response = ask($uri, $name);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($response->header('X-Backend'), $backend // '', "$uri, $name");
    for my $what (sort keys %told) {
        is($response->header('X-' . ucfirst $what), $told{$what},
           "$name: $what");
    }

    return;
}


# What the rules have seen, as soon as that many attempts have been judged.

sub judged($endpoint, $attempts) {
    my $seen;

    eval {
        $t->wait_for(sub {
            $seen = $t->endpoint($endpoint);
            return ($seen->{rules}[1]{attempts} // 0) >= $attempts;
        }, 5)
    };

    return $seen;
}
