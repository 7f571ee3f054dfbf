#!/usr/bin/perl

# Releases without a live server: canary_unavailable, and a stable release that
# the canary stands in for.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new(workers => 1);
my %server = map { $_ => $t->backend($_) } qw(v1 v2 s1 s2);

# The last endpoint has another patience after a reload.
my $http = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream dead     { server 127.0.0.1:%%PORT_v2%% down; }

    upstream capped { zone capped 64k; server 127.0.0.1:%%PORT_v2%% max_conns=1; }

    upstream breaks {
        server 127.0.0.1:%%PORT_s1%% max_fails=1 fail_timeout=1s;
        server 127.0.0.1:%%PORT_s2%% max_fails=1 fail_timeout=1s;
    }

    upstream away {
        canary_release     v1 model_v1;
        canary_release     v2 dead;
        canary_unavailable %%300ms%%;
    }

    upstream halts {
        canary_release      v1 model_v1;
        canary_release      v2 dead;
        canary_unavailable  %%300ms%%;
        canary_on_violation halt;
    }

    upstream forced {
        canary_release     v1 model_v1;
        canary_release     v2 dead;
        canary_unavailable %%300ms%%;
        canary_force       $http_x_release;
        canary_exclude     $http_x_probe;
    }

    # whose attempts are looked at when they begin
    upstream warms {
        canary_release     v1 model_v1;
        canary_release     v2 dead;
        canary_unavailable %%300ms%%;
        canary_warmup      1h;
    }

    upstream watched {
        canary_release     v1 model_v1;
        canary_release     v2 dead;
        canary_unavailable %%300ms%%;
    }

    upstream keyed {
        canary_release     v1 model_v1;
        canary_release     v2 dead;
        canary_unavailable %%300ms%%;
        canary_key         $request_id once=1h;
    }

    upstream patient {
        canary_release v1 model_v1;
        canary_release v2 dead;
    }

    upstream busy {
        canary_release     v1 model_v1;
        canary_release     v2 capped;
        canary_unavailable 5s;
    }

    upstream stable {
        canary_release v1 breaks;
        canary_release v2 model_v2;
    }

    upstream ever {
        canary_release     v1 model_v1;
        canary_release     v2 dead;
        canary_unavailable EVER;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;

        add_header X-Release $canary_release always;
        add_header X-Reason  $canary_reason  always;

        location /away    { proxy_pass http://away; }
        location /warms   { proxy_pass http://warms; }
        location /keyed   { proxy_pass http://keyed; }
        location /watched { proxy_pass http://watched; }
        location /halts   { proxy_pass http://halts; }
        location /forced  { proxy_pass http://forced; }
        location /patient { proxy_pass http://patient; }
        location /busy    { proxy_pass http://busy; }
        location /stable  { proxy_pass http://stable; }
        location /ever    { proxy_pass http://ever; }
    }

    %%API%%
EOC

$t->start($http =~ s/EVER/0/r);


subtest 'a canary that stays away is rolled back' => sub {
    $t->start_rollout($_) for qw(patient ever forced away);

    ask_until('/away', sub { phase('away') eq 'idle' });

    my ($event, $started) = $t->events('away');
    my $reason = qr/^no live upstreams in v2 for \d+m?s$/;

    is($event->{type}, 'rolled_back', 'type');
    is_deeply($event->{actor}, { name => 'unavailable', address => undef },
              'actor');
    like($event->{reason}, $reason, 'reason');
    is_deeply($event->{figures}, {}, 'no rule decided it');
    is($started->{type}, 'started', 'nothing else happened');
    cmp_ok(seconds_of($event) - seconds_of($started), '>=', 0.299,
           'not before its time');

    my $last = $t->endpoint('away')->{last_rollout};
    is($last->{result}, 'rolled_back', 'last_rollout');
    like($last->{reason}, $reason, 'tells it too');

    my $canary = $t->totals(away => 'v2');
    is_deeply($canary, { no_live => $canary->{no_live} }, 'no attempts');
};

subtest 'not by requests that are no evidence, nor with more patience' => sub {
    is(phase($_), 'progressing', "$_ goes on") for qw(forced patient ever);
    cmp_ok($t->totals($_ => 'v2')->{no_live}, '>', 1, "$_ was met")
        for qw(forced patient ever);
};

subtest 'also where it is asked more of attempts' => sub {
    for my $endpoint (qw(warms keyed watched)) {
        $t->start_rollout($endpoint, rules => [
            $endpoint eq 'watched' ? rule(abandoned_rate => 0.1)
                                   : rule(error_rate => 0.1)
        ]);
        ask_until("/$endpoint", sub { phase($endpoint) eq 'idle' });
        like(($t->events($endpoint))[0]{reason}, qr/^no live upstreams in v2 /,
             "$endpoint: rolled back");
    }

};

subtest 'a reload changes it at once' => sub {
    $t->reload($http =~ s/EVER/300ms/r);

    ask_until('/ever', sub { phase('ever') eq 'idle' });
    is(($t->events('ever'))[0]{reason}, 'no live upstreams in v2 for 300ms',
       'rolled back');
};

subtest 'the next rollout counts anew' => sub {
    $t->start_rollout('away', release => 'v2');

    # Its first request is yet to come, however long that takes.
    $t->wait_for(sub { age('away') > 0.5 }, 10, 'some time to pass');
    is(phase('away'), 'progressing', 'what was met before is forgotten');

    ask_until('/away', sub { phase('away') eq 'idle' });
    is(scalar(grep { $_->{type} eq 'rolled_back' } $t->events('away')), 2,
       'it falls as the first one did');
};

subtest 'canary_on_violation halt' => sub {
    $t->start_rollout('halts', on_violation => 'halt');
    ask_until('/halts', sub { phase('halts') eq 'halted' });

    my ($event) = $t->events('halts');
    is($event->{type}, 'halted', 'halted');
    is($event->{actor}{name}, 'unavailable', 'by it');
    is($event->{to}{weight}, 0.5, 'at its weight');

    $t->verb(halts => 'resume');
    ask_until('/halts', sub { phase('halts') eq 'halted' });

    is_deeply([map { $_->{type} } $t->events('halts')],
              [qw(halted resumed halted started)], 'and once more');
};

subtest 'paused, and at 100 %' => sub {
    $t->start_rollout('away', release => 'v2');
    $t->verb(away => 'pause');
    ask_until('/away', sub { phase('away') eq 'idle' });
    is(($t->events('away'))[0]{from}{phase}, 'paused', 'from paused');

    $t->start_rollout('away', release => 'v2', steps => [1]);
    ask_until('/away', sub { phase('away') eq 'idle' });
    is(($t->events('away'))[0]{from}{phase}, 'baking', 'from baking');
};

# One attempt at a time: who comes meanwhile meets no live server.
subtest 'a canary at its max_conns that answers' => sub {
    $server{v2}->set(delay_ms => 100);
    $t->start_rollout('busy', steps => [0.9]);

    while (age('busy') < 5.5) {
        my $first = $t->load(connections => 4, count => 20,
                             request => { uri => '/busy' });
        is($first->result->{statuses}{200}, 20, 'served') or last;
    }

    $server{v2}->set;

    my $canary = $t->totals(busy => 'v2');
    cmp_ok($canary->{no_live}, '>', 10, 'many met no live server');
    cmp_ok($canary->{'2xx'}, '>', 10, 'others were answered');
    is(phase('busy'), 'progressing', 'the rollout goes on');
};

my $served = 0;

subtest 'stable is away: the canary serves, and no step is taken' => sub {
    $t->start_rollout('stable', steps => [0.5, 0.9]);
    ask_stable() for 1 .. 10;

    $server{$_}->set(mode => 'close') for qw(s1 s2);
    $t->wait_for(sub {
        ask_stable();
        of_type('stable_unavailable');
    }, 20, 'stable_unavailable');

    my ($event) = of_type('stable_unavailable');
    is_deeply($event->{actor}, { name => 'controller', address => undef },
              'actor');
    is($event->{reason}, 'no live upstreams in v1: v2 serves its requests',
       'reason');
    is_deeply($event->{from}, $event->{to}, 'nothing changes');
    is_deeply($event->{figures}, {}, 'no figures yet');

    $t->api_patch('endpoints/stable/rollout', {
        canary_strategy => { progress_interval_seconds => 0.05 },
    });
    ask_stable() for 1 .. 100;

    my $endpoint = $t->endpoint('stable');
    is($endpoint->{step}, 1, 'a step that is due is not taken');
    is($endpoint->{next_step_in_seconds}, 0, 'for some time');
    is($endpoint->{waiting_for}{rule}, undef, 'it waits for no rule');
    like($endpoint->{waiting_for}{reason}, qr/^stable has no live upstreams/,
         'but for stable');
};

subtest 'stable is back' => sub {
    $server{$_}->set for qw(s1 s2);
    $t->wait_for(sub {
        ask_stable();
        of_type('stable_available');
    }, 30, 'stable_available');

    my ($event) = of_type('stable_available');
    is($event->{actor}{name}, 'controller', 'actor');
    is($event->{figures}{served}, $served, 'what the canary served for it');
    cmp_ok($event->{figures}{seconds}, '>', 0, 'for some time');
    like($event->{reason}, qr/^v1 answers again: v2 served $served of its /,
         'reason');
    is(scalar of_type('stable_unavailable'), 1, 'one event');
    is(scalar of_type('stable_available'), 1, 'and one more');

    $t->wait_for(sub {
        ask_stable();
        $t->endpoint('stable')->{step} > 1;
    }, 10, 'the next step');
};

subtest 'events outlast a restart' => sub {
    my @before = $t->events('stable');

    $t->stop;
    $t->start($http =~ s/EVER/0/r);

    my %before = map { $_->{id} => $_ } @before;
    my @after = grep { $before{$_->{id}} } $t->events('stable');
    is_deeply(\@after, \@before, 'as they were');
};

subtest 'without a rollout nothing is told' => sub {
    $t->verb(stable => 'rollback');
    my @before = $t->events('stable');

    $server{$_}->set(mode => 'close') for qw(s1 s2);
    $t->wait_for(sub {
        $t->get('/stable');
        ($t->totals(stable => 'v1')->{no_live} // 0) > $served + 5;
    }, 20, 'no live server');

    is_deeply([$t->events('stable')], \@before, 'no event');
};

$t->finish;


sub phase($endpoint) {
    return $t->endpoint($endpoint)->{phase};
}


sub seconds_of($event) {
    my @clock = $event->{time} =~ /T(\d+):(\d+):([\d.]+)Z$/;

    return 3600 * $clock[0] + 60 * $clock[1] + $clock[2];
}


# Seconds since the interval of an hour began.

sub age($endpoint) {
    return 3600 - $t->endpoint($endpoint)->{next_step_in_seconds};
}


# Asks, and those that are to be left alone as well, until something is true.

sub ask_until($uri, $condition) {
    my %failed;

    $t->wait_for(sub {
        for (1 .. 4) {
            my $status = $t->get($uri)->status;
            $failed{$status}++ if $status != 200;
        }

        for my $other (qw(patient ever)) {
            $t->get("/$other") for 1 .. 2;
        }

        $t->get('/forced', headers => { 'X-Release' => 'v2' });
        $t->get('/forced', headers => { 'X-Probe' => 1 }) for 1 .. 2;

        return $condition->();
    }, 20, $uri);

    is_deeply(\%failed, {}, 'no user sees an error');

    return;
}


# A request whose stable has no live server is the canary's by fallback.

sub ask_stable() {
    my $answer = $t->get('/stable');

    $served++ if $answer->header('X-Reason') eq 'fallback'
                 && $answer->header('X-Release') eq 'v2';

    return;
}


sub of_type($type) {
    return grep { $_->{type} eq $type } $t->events('stable');
}
