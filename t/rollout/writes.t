#!/usr/bin/perl

# Many writes at once: who waits for whom, who may not even wait, what does not
# wait, and that nobody else does.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Select;
use Test::More;

use Canary::Test;
use Canary::Util qw(now);

use constant {
    WRITES => 64,          # of an endpoint at once
    HELD   => 4,           # seconds of the five that a write may take
    TRIES  => 20,          # of what has to be done within them

    # What is done to the file: a helper that ends waits for it.
    HANGS => 'fsync 0 -1',
    SLOW  => 'fsync 0 1500',
};

my $library = faults_library();

needs('faults', 'speed');

my $t = Canary::Test->new(timeout => 600);
my $faults = $t->dir . '/faults';
my $rollout = 'endpoints/ep/rollout';
my $verta = '/api/v1/deployment/workspace/personal/endpoints';

my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

my $config = <<'EOC';
    keepalive_requests 10000;
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_rule    failed_requests_max 1000000;
    }
    upstream other {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_rule    failed_requests_max 1000000;
    }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://ep; }
    }
    server {
        listen 127.0.0.1:%%PORT_api%%;
        access_log off;
        location /canary/ { canary_api write=on; }
        location /api/v1/ { canary_verta_api write=on; }
        location = /unrelated { return 200 fine; }
    }
EOC

my @rules = map { my $name = $_; map { rule($name => $_) } 0.9, 0.99 }
    qw(error_4xx_rate error_5xx_rate error_rate);
push @rules, map { my $name = $_; map { rule($name => $_) } 8000, 9000 }
    qw(latency_p50_max latency_p90_max latency_p95_max latency_p99_max);

my $pending;               # the change that the disk does not take
my @asked;                 # and all that was asked for meanwhile
my $witness;               # a connection that is kept

start_faulty(workers => 1, events => 'worker_connections 2048;');

subtest 'more than may wait are refused at once, and nobody else waits' => sub {
    crowd(100);
};

subtest 'two workers have one queue' => sub {
    needs('processes', 'speed');
    restart_faulty(workers => 2);
    crowd(100);
    restart_faulty(workers => 1);
};

subtest 'three hundred at once, each answered once' => sub {
    $t->start_rollout('ep', rules => \@rules);
    disk('fsync 0 20');
    my $before = $t->endpoint('ep')->{generation};
    ask(PATCH => '', qq({"weight":0.4,"reason":"$_"})) for 1 .. 300;
    my %n = finish();
    release();

    is($n{done} + $n{crowded} + $n{late}, 300, 'done, refused or too late: '
       . "$n{done}, $n{crowded}, $n{late}");
    cmp_ok($n{done}, '>=', 1);
    is($t->endpoint('ep')->{generation}, $before + $n{done},
       'what was done is what was told to be');
    is($t->api_patch($rollout, { weight => 0.5 })->status, 200,
       'and it goes on');
    idle();
};

subtest 'they take their turns in the order in which they came' => sub {
    hold_rollout(sub { in_line(patch($_)) for 1 .. 6 });
    my $generation = $t->endpoint('ep')->{generation};
    release();
    my %n = finish();

    my @reasons = map { $_->{reason} } reverse $t->events('ep');
    is_deeply([ grep { /^patch/ } @reasons ],
              [ map { "patch $_" } 1 .. 6 ]);
    is($n{done}, 7);
    is($t->endpoint('ep')->{generation}, $generation + 7, 'each of them');
    idle();
};

subtest 'rollback passes the queue, and cancels all of it' => sub {
    my ($before, $after, $rollback, $again, $served);

    hold_rollout(sub {
        $before = $t->endpoint('ep');
        in_line(patch($_)) for 1 .. 10;
        in_line(post($_)) for qw(advance promote);
        $rollback = in_line(post('rollback'));
        $again = answer(post('rollback'));
        $after = $t->endpoint('ep');
        $served = $t->get('/')->body;
    });
    is($after->{phase}, 'idle', 'it is in force at once');
    is($again->status, 409, 'and does not apply again');
    is($served, 'v1', 'for the next request');
    release();

    my $answer = answer($rollback);
    is($answer->status, 200, 'and answered when it is in the file');
    is($answer->json->{phase}, 'idle');
    for my $asked ($pending, @asked[ 0 .. 11 ]) {
        my $cancelled = answer($asked);
        is($cancelled->status, 409, 'what was there before: 409');
        like($cancelled->json->{detail},
             qr/cancelled before it took effect: "ep" is idle now/, 'why');
        is_deeply($cancelled->json->{applicable}, ['start'], 'what applies');
    }
    is($t->endpoint('ep')->{generation}, $before->{generation} + 1,
       'nothing of it');
    is(($t->events('ep'))[0]{to}{phase}, 'idle', 'nor an event');
    is($t->api_post($rollout, {})->status, 201, 'what comes later counts');
    idle();
};

subtest 'so it does with a queue that is full' => sub {
    my ($answered, $rollback, $phase);

    hold_rollout(sub {
        in_line(map { patch($_) } 1 .. WRITES - 1);
        $answered = answered(@asked);
        $rollback = in_line(post('rollback'));
        $phase = $t->endpoint('ep')->{phase};
    });
    is($answered, 0, 'as many as may wait');
    is($phase, 'idle', 'it is in force');
    release();
    is(answer($rollback)->status, 200);
    my %n = finish();
    is($n{cancelled}, WRITES, 'all of them are cancelled');
};

subtest 'pause too' => sub {
    my ($pause, $phase, $later);

    hold_rollout(sub {
        in_line(patch($_)) for 1 .. 3;
        $pause = in_line(post('pause'));
        $phase = $t->endpoint('ep')->{phase};
        $later = in_line(post('resume'));
    });
    is($phase, 'paused', 'it is in force at once');
    release();
    is(answer($pause)->status, 200);
    is(answer($later)->json->{phase}, 'progressing', 'what came after it');
    my %n = finish();
    is($n{cancelled}, 4, 'what was there before');
    idle();
};

subtest 'rollback of what has not even begun' => sub {
    my $before = $t->endpoint('ep');
    my @events = $t->events('ep');
    my $rollback;

    is($t->api_post("$rollout/rollback")->status, 409,
       'with nothing on its way it does not apply');
    hold_change(sub { }, '', undef, sub {
        in_line(post('')) for 1 .. 2;
        $rollback = in_line(post('rollback'));
    });
    release();

    my $answer = answer($rollback);
    is($answer->status, 200, 'with a start on its way it does');
    is($answer->json->{phase}, 'idle');
    is($answer->json->{generation}, $before->{generation});
    my %n = finish();
    is($n{cancelled}, 3, 'the starts: 409');
    is_deeply([ $t->events('ep') ], \@events, 'nothing has happened');
    is($t->endpoint('ep')->{phase}, 'idle');
    is($t->api_post("$rollout/rollback")->status, 409,
       'and now there is nothing any more');

    if ($t->has_processes) {
        $t->crash;
        start_faulty();
        is($t->endpoint('ep')->{phase}, 'idle', 'nor in the file');
        is($t->endpoint('ep')->{generation}, $before->{generation});
    }
};

my $paused = sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.5 ]);
    $t->verb(ep => 'pause');
};

# What is on its way, and in which phase.

for my $case ([ 'a start', sub { }, '' ],
              [ 'direct', sub { }, '', '{"strategy":"direct"}' ],
              [ 'a resume', $paused, 'resume' ],
              [ 'an advance', $paused, 'advance' ],
              [ 'a promotion', $paused, 'promote' ]) {
    my ($what, $enter, $verb, $body) = @$case;

    subtest "pause does not let $what happen that is on its way" => sub {
        my ($before, $pause);

        hold_change(sub {
            $enter->();
            $before = $t->endpoint('ep');
        }, $verb, $body, sub { $pause = in_line(post('pause')) });
        release();
        is(answer($pause)->status, 200);
        is(answer($pending)->status, 409);

        my $endpoint = $t->endpoint('ep');
        is($endpoint->{$_}, $before->{$_}, "as before: $_")
            for qw(phase weight generation stable);
        is($t->api_post("$rollout/pause")->status, 409,
           'a second pause has nothing to stop');
        idle();
    };
}

subtest 'a broken rule cancels what waits, too' => sub {
    hold_rollout(sub {
        in_line($_) for post('promote'), patch(1);
        $v2->set(status => 500);
        $t->wait_for(sub {
            $t->get('/');
            return $t->endpoint('ep')->{phase} eq 'idle';
        }, 60, 'the trip');
        $v2->set;
    }, rules => [ rule(failed_requests_max => 5) ]);
    release();
    my %n = finish();
    is($n{cancelled}, 3, 'all of them: 409');
    is($t->endpoint('ep')->{stable}, 'v1', 'nothing of it happens');
};

subtest 'If-Match is looked at when the turn comes' => sub {
    my @writes;

    hold_rollout(sub {
        my $now = $t->endpoint('ep')->{generation};
        @writes = map { in_line(patch_if($_)) } $now, $now + 1;
    });
    release();
    is(answer($pending)->status, 200);
    is(answer($writes[0])->status, 412, 'what it was: 412');
    is(answer($writes[1])->status, 200, 'what it has become: 200');
    idle();

    hold_rollout(sub {
        my $now = $t->endpoint('ep')->{generation};
        @writes = map { in_line($_) } patch_if($now), patch(2);
        in_line(post('rollback'));
    });
    release();
    is(answer($writes[0])->status, 412, '412 comes before 409');
    is(answer($writes[1])->status, 409);
    finish();
};

subtest 'a client that leaves the queue leaves its place' => sub {
    my $answered;

    hold_rollout(sub {
        in_line(map { patch($_) } 1 .. WRITES - 1);
        $_->close for splice @asked, 10, 5;
        $t->wait_for(sub {
            in_line(map { patch($_) } 1 .. 5);
            my @refused = grep { answered($_) } @asked;
            my %refused = map { $_ => 1 } @refused;
            @asked = grep { !$refused{$_} } @asked;
            return @asked >= WRITES - 1;
        }, 60, 'the places');
        in_line(my @more = map { patch($_) } 1 .. 2);
        $answered = answered(@more);
        in_line(post('rollback'));
    });
    is($answered, 2, 'others take them, and no more than them');
    release();
    my %n = finish();
    is($n{cancelled}, WRITES, 'those that waited');
};

subtest 'so does a worker that dies' => sub {
    needs('processes', 'speed');
    my ($answered, @new);

    hold_rollout(sub {
        in_line(map { patch($_) } 1 .. WRITES - 1);
        $answered = answered(@asked);
        my @old = $t->worker_pids;
        $t->kill(KILL => @old);
        $t->wait_for(sub {
            my @now = $t->worker_pids;
            return @now && $now[0] != $old[0]
                && eval { ping()->status == 200 };
        }, 60, 'another worker');
        @asked = ();
        in_line(map { patch($_) } 1 .. WRITES);
        in_line(post('rollback'));
    });
    is($answered, 0, 'the queue was full');
    release();
    my %n = finish();
    is($n{crowded}, 1, 'with what is still pending one is too many');
    is($n{cancelled}, WRITES - 1, 'the others had a place');
};

subtest 'a reload while they wait' => sub {
    needs('processes', 'speed');
    my $before;

    hold_rollout(sub {
        $before = $t->endpoint('ep')->{generation};
        in_line(patch($_)) for 1 .. 20;
        $t->reload;
        patch(21);
    }, disk => SLOW);
    release();
    my %n = finish();
    is($n{done} + $n{late}, 22, "all are answered: $n{done} done");
    is($t->endpoint('ep')->{generation}, $before + $n{done}, 'and counted');
    $t->wait_for(sub { !$t->old_worker_pids }, 60, 'the end of the old worker');
    idle();
};

subtest 'a reload that takes the release away while a start waits' => sub {
    needs('processes', 'speed');
    my ($start, $reloaded);

    hold_change(sub { $t->reload($config, gone => 1) if $reloaded++ }, '',
                '{"strategy":"direct"}', sub {
        $start = in_line(post(''));
        $t->reload($config =~ s/(ep \{.*?)canary_release v2 model_v2/
            $1canary_release v3 model_v2/sr);
    }, SLOW);
    release();
    is(answer($pending)->status, 409, 'what was pending');
    my $answer = answer($start);
    is($answer->status, 503, 'what waited in the old worker');
    like($answer->json->{detail}, qr/nginx has been reloaded/, 'why');
    is($t->endpoint('ep')->{phase}, 'idle');
    $t->reload($config, gone => 1);
};

subtest 'a reload with another zone while they wait' => sub {
    needs('processes', 'speed');
    my $before;
    my $size = 20;

    hold_rollout(sub {
        $before = $t->endpoint('ep')->{generation};
        in_line(patch($_)) for 1 .. 3;
        my $zone = 'canary_zone zone=canary:' . $size++ . 'm;';
        $t->reload("$zone $config");
    }, disk => SLOW);
    for my $asked ($pending, @asked) {
        my $answer = answer($asked);
        is($answer->status, 503, 'refused');
        like($answer->json->{detail}, qr/nginx has been reloaded/, 'why');
    }
    release();
    is($t->endpoint('ep')->{generation}, $before, 'nothing has changed');
    idle();
    $t->stop;
    start_faulty();
};

subtest 'nginx ends while they wait' => sub {
    needs('processes', 'speed');
    hold_rollout(sub { in_line(patch($_)) for 1 .. 6 });
    $t->kill(QUIT => $t->master_pid);
    release();
    my %n = finish();
    is($n{done} + $n{late}, 7, 'each is answered');
    is($t->stop, 0, 'and nginx ends');
    start_faulty();
    idle();
};

subtest 'a step of the control loop passes the queue' => sub {
    needs('speed');
    $t->start_rollout('ep', steps => [ map { $_ / 10 } 1 .. 9 ],
        interval => 0.3, rules => [
            rule(error_5xx_rate => 0.5, confidence => 'off',
                 min_requests => 1) ]);
    disk('fsync 0 30');
    my $bake = 0;
    my $ask = sub {
        my $seconds = 3600 + ++$bake;
        return ask(PATCH => '',
                   qq({"canary_strategy":{"bake_seconds":$seconds}}));
    };
    my $round = 0;
    $ask->() for 1 .. 30;

    while ($t->endpoint('ep')->{step} < 4 && $round++ < 40) {
        answer(shift @asked), $t->get('/'), $ask->() for 1 .. 30;
    }
    cmp_ok($t->endpoint('ep')->{step}, '>=', 4, 'three steps are taken');
    my %n = finish();
    release();
    cmp_ok($n{done}, '>', 0, 'and the writes go on');
    idle();
};

subtest "updates of Verta's client take their turns" => sub {
    my ($id) = map { $_->{id} }
        grep { $_->{creator_request}{path} eq '/ep' }
        @{ $t->get($verta, port => 'api')->json->{endpoints} };
    my $stage = "$verta/$id/stages/$id";
    my ($waits, $stop, $phase, $answer);
    my @reasons = (qr/^rollout of v2 started/, qr/^replaced by another/,
                   qr/^patch 1/);

    for my $case ([ 'DELETE' ], [ 'PUT', 1 ]) {
        my $generation = $t->endpoint('ep')->{generation};
        hold_change(sub { }, '', undef, sub {
            $waits = in_line(update($stage, PUT => 2));
            $stop = in_line(update($stage, @$case));
        });
        release();
        is(answer($stop)->status, 200, "@$case: what stops does not wait");
        is(answer($pending)->status, 409, 'the start that was pending');
        $answer = answer($waits);
        is($answer->status, 409, 'and the one that waited');
        like($answer->json->{message}, qr/was cancelled/, 'why');
        is($t->endpoint('ep')->{generation}, $generation, 'nothing happened');
    }
    is($t->get($stage, port => 'api')->json->{status}, 'active',
       'to the stable build: it is no failed update any more');

    hold_rollout(sub {
        in_line(map { patch($_) } 1 .. WRITES - 1);
        $answer = answer(update($stage, PUT => 2));
        $stop = in_line(update($stage, 'DELETE'));
        $phase = $t->endpoint('ep')->{phase};
    });
    is($answer->status, 503, 'one too many');
    like($answer->json->{message}, qr/64 writes .* wait already/, 'why');
    is($phase, 'idle', 'DELETE is in force');
    release();
    is(answer($stop)->status, 200);
    finish();

    hold_rollout(sub {
        in_line(patch(1));
        $waits = in_line(update($stage, PUT => 2));
    });
    release();
    is(answer($waits)->status, 200, 'an update to another rollout');
    my %n = finish();
    is($n{done}, 3, 'is done, after those that came before');
    like(($t->events('ep'))[$_]{reason}, $reasons[$_]) for 0 .. 2;
    idle();
};

subtest 'endpoints do not wait for each other' => sub {
    my ($other, $answered);

    hold_rollout(sub {
        in_line(map { patch($_) } 1 .. WRITES - 1);
        $other = in_line(post('', undef, 'other'));
        $answered = answered($other);
        in_line(post('rollback'));
    });
    is($answered, 0, 'another has a queue of its own');
    release();
    is(answer($other)->status, 201, 'and its write is done');
    finish();
    idle();
};

$t->allow_log(qr/exited on signal 9/);
$t->finish;


sub start_faulty(%opt) {
    local $ENV{LD_PRELOAD} = $library;
    local $ENV{CANARY_FAULTS} = $faults;

    undef $witness;

    return $t->start($config, %opt);
}


sub restart_faulty(%opt) {
    $t->stop;

    return start_faulty(%opt);
}


# So many writes while the disk does not answer: as many as may, wait; the
# others are refused, and who asks for something else is answered. What took
# longer than a write may is tried again.

sub crowd($n) {
    for my $try (1 .. TRIES) {
        $t->start_rollout('ep', rules => \@rules);
        disk(HANGS);

        my $before = $t->endpoint('ep')->{generation};
        my $begun = now();
        ask(PATCH => '', qq({"weight":0.4,"reason":"$_"})) for 1 .. $n;
        $t->wait_for(sub { answered(@asked) >= $n - WRITES }, 60, 'refusals');

        my $served = grep { ping()->body eq 'fine' } 1 .. 20;
        my $answered = answered(@asked);
        my $quick = now() - $begun < HELD;

        release();
        my %n = finish();
        my $after = $t->endpoint('ep')->{generation};
        idle();
        next unless $quick || $try == TRIES;

        is($answered, $n - WRITES, 'those are refused that may not wait');
        is($n{crowded}, $n - WRITES, 'which says why');
        is($served, 20, 'others are served meanwhile');
        is($n{done} + $n{late}, WRITES, 'the rest is answered, too');
        is($after, $before + $n{done}, 'what was done is told to be');
        return;
    }
}


# An advance that is pending, since the disk does not answer, and what happens
# then.

sub hold_rollout($then, %opt) {
    my $disk = delete $opt{disk} // HANGS;

    return hold_change(
        sub { $t->start_rollout('ep', steps => [ 0.2, 0.5, 0.7 ], %opt) },
        'advance', undef, $then, $disk);
}


sub hold_change($enter, $verb, $body, $then, $disk = HANGS) {
    for my $try (1 .. TRIES) {
        $enter->();
        disk($disk);

        my $begun = now();
        $pending = post($verb, $body);
        @asked = ();
        $t->wait_for(sub { $t->read_file('faults.log') =~ /\.\.\./ }, 60,
                     'the write of it');
        $then->();
        return if now() - $begun < HELD;

        release();
        finish();
        idle();
    }

    die 'this machine is too slow';
}


sub disk($text) {
    @asked = ();
    unlink "$faults.log";
    $t->write_file('faults.tmp', "$text\n");
    rename "$faults.tmp", $faults or die "$faults: $!";

    return;
}


sub release() { return unlink $faults }


# Back to where each of these tests begins.

sub idle() {
    release();

    for my $name (qw(ep other)) {
        my $uri = "endpoints/$name/rollout";

        $t->wait_for(sub {
            my $endpoint = $t->endpoint($name);
            my $rolling = $endpoint->{phase} ne 'idle';

            return 1 if !$rolling && $endpoint->{stable} eq 'v1';
            $t->api_post($rolling ? ("$uri/rollback") : ($uri,
                { release => 'v1', strategy => 'direct' }));
            return 0;
        }, 60, "$name to be idle");
    }

    return;
}


# Writes: each on a connection of its own, which the worker knows already.

sub post($verb, $body = undef, $endpoint = 'ep') {
    return ask(POST => $verb, $body, endpoint => $endpoint, known => 1);
}


sub patch($n, @headers) {
    return ask(PATCH => '', qq({"weight":0.4,"reason":"patch $n"}),
               headers => \@headers, known => 1);
}


sub patch_if($generation) {
    return patch('if', 'If-Match' => qq("$generation"));
}


sub update($stage, $method, $build = undef) {
    my $client = known();
    my $parts = '"progress_step":0.2,"progress_interval_seconds":3600,'
        . '"rules":[{"rule_id":1008,"rule_parameters":'
        . '[{"name":"threshold","value":"0.5"}]}]';

    push @asked, $client;
    return $client->start(
        method => $method, uri => "$stage/update", !$build ? ()
        : (body => qq({"build_id":$build,"strategy":"canary",)
                   . qq("canary_strategy":{$parts}})));
}


sub ask($method, $verb, $body, %opt) {
    my $client = $opt{known} ? known() : $t->client('api');
    my $endpoint = $opt{endpoint} // 'ep';
    my $uri = "/canary/endpoints/$endpoint/rollout";

    push @asked, $client;
    return $client->start(
        method => $method, uri => $verb ? "$uri/$verb" : $uri, timeout => 60,
        headers => $opt{headers} // [], defined $body ? (body => $body) : ());
}


sub known() {
    my $client = $t->client('api');

    $client->get('/unrelated');

    return $client;
}


# When a later request on a known connection has been answered, the worker has
# read those before. Returns the last of them.

sub in_line(@writes) {
    $witness //= known();
    $witness->get('/unrelated');

    return $writes[-1];
}


sub ping() { return $t->get('/unrelated', port => 'api') }


# How many of them have an answer waiting to be read.

sub answered(@clients) {
    my $select = IO::Select->new(map { $_->{socket} // () } @clients);

    return scalar(() = $select->can_read(0));
}


sub answer($client) {
    return $client->{answer} //= $client->finish;
}


# What became of all that was asked for.

sub finish() {
    my %n = map { $_ => 0 } qw(done crowded late cancelled other);

    for my $client ($pending // (), @asked) {
        my $answer = answer($client);
        my $told = $answer->body;

        $n{ $answer->status =~ /^20[01]$/ ? 'done'
            : $answer->status == 409 && $told =~ /cancel/ ? 'cancelled'
            : $told =~ /wait already/ ? 'crowded'
            : $told =~ /nothing was changed/ ? 'late' : 'other' }++;
    }
    undef $pending;
    @asked = ();

    return %n;
}
