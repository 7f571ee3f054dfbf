# What is acknowledged is on the disk; what a disk that is slow, broken or
# full changes.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Canary::Test;
use Canary::Util qw(patience);
use Carp qw(croak);
use Errno qw(EIO ENOSPC EACCES);
use Test::More;

use constant ENDPOINTS => 8;

my $library = faults_library();

needs('faults', 'processes');

my $t = Canary::Test->new(timeout => 240);
my $faults = $t->dir . '/faults';

my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

my $endpoints = join '', map { <<"EOC" } 1 .. ENDPOINTS;
    upstream e$_ {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }
EOC

my $config = <<"EOC";
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }
    $endpoints
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://ep; }
        location /api/v1/ { canary_verta_api write=on; }
    }
    %%API%%
EOC

start_faulty();

subtest 'the file is on the disk before the answer' => sub {
    settle();
    forget();
    $t->start_rollout('ep', steps => [ 0.2, 0.4, 0.6 ]);
    is_deeply([ calls() ], [qw(flush dirsync fsync rename dirsync)],
              'the event, fsync of the file, rename, fsync of the directory');
    forget();
    $t->verb(ep => 'advance');
    is_deeply([ calls() ], [qw(flush fsync rename dirsync)], 'each time');
    forget();
    $t->verb(ep => 'rollback');
    is_deeply([ calls() ], [qw(flush fsync rename dirsync)],
              'for what takes effect at once, too');
    forget();
    $t->endpoint('ep');
    is($t->api_post('endpoints/ep/rollout/advance')->status, 409, 'a 409');
    is_deeply([ calls() ], [], 'not for what changes nothing');
};

for my $fault ([ open => EACCES ], [ write => ENOSPC ], [ fsync => EIO ],
               [ rename => EIO ], [ dirsync => EIO ]) {
    my ($call, $error) = @$fault;

    subtest "a $call that fails" => sub {
        $t->start_rollout('ep', steps => [ 0.2, 0.4, 0.6 ]);
        break("$call $error 0");

        my $before = $t->endpoint('ep');
        my $refused = $t->api_post('endpoints/ep/rollout/advance');
        is($refused->status, 503, 'advance: 503');
        local $! = $error;
        like($refused->json->{detail}, qr/nothing was changed: .*\Q$!\E/,
             'which says why');

        my $endpoint = $t->endpoint('ep');
        is($endpoint->{$_}, $before->{$_}, "no change: $_")
            for qw(phase weight step generation);
        like($endpoint->{waiting_for}{reason}, qr/cannot be written/,
             'waiting_for says so');

        is($t->api_patch('endpoints/ep/rollout', { weight => 0.5 })->status,
           503, 'PATCH: 503');
        is($t->api_post('endpoints/ep/rollout/promote')->status, 503,
           'promote: 503');
        is($t->api_post('endpoints/e1/rollout', { strategy => 'direct' })
               ->status, 503, 'direct: 503');

        my $paused = $t->verb(ep => 'pause');
        is($paused->{phase}, 'paused', 'pause takes effect');
        is(false($paused->{durable}), 1, '"durable": false');
        is($t->api_post('endpoints/ep/rollout/resume')->status, 503,
           'resume: 503');
        is(false($t->verb(ep => 'rollback')->{durable}), 1, 'rollback too');
        is(requests(10)->{v2}, undef, 'and no request goes to the canary');
        is($t->api_post('endpoints/ep/rollout',
                        { release => 'v2' })->status, 400, 'a bad body: 400');
        is(false($t->endpoint('ep')->{durable}), 1, 'GET tells it as well');

        repair();
        is($t->endpoint('ep')->{phase}, 'idle', 'in the file when it is back');
        is($t->endpoint('e1')->{stable}, 'v1', 'and nothing that was refused');
    };
}

subtest "updates of Verta's client" => sub {
    my $base = '/api/v1/deployment/workspace/personal/endpoints';
    my ($id) = map { $_->{id} }
        grep { $_->{creator_request}{path} eq '/ep' }
        @{ $t->get($base)->json->{endpoints} };
    my $stage = "$base/$id/stages/$id";
    my $update = sub ($build) {
        return $t->request(method => 'PUT', uri => "$stage/update",
            body => qq({"build_id": $build, "strategy": "rollout"}));
    };

    settle();
    forget();
    is($update->(2)->status, 200);
    is_deeply([ calls() ], [qw(flush fsync rename dirsync)],
              'on the disk before the answer');
    forget();
    is($update->(2)->status, 200, 'sent again');
    is_deeply([ calls() ], [], 'nothing to write');
    is($update->(1)->status, 200);

    break('fsync ' . EIO . ' 0');
    my $before = $t->endpoint('ep')->{generation};
    my $refused = $update->(2);

    is($refused->status, 500, 'which the client does not send again');
    local $! = EIO;
    like($refused->json->{message}, qr/has not begun: .*\Q$!\E/);
    is($t->endpoint('ep')->{generation}, $before);
    is($t->get($stage)->json->{components}[0]{build_id}, 1);
    repair();

    $t->start_rollout('ep', steps => [0.2]);
    break('fsync ' . EIO . ' 0');
    is($t->request(method => 'DELETE', uri => "$stage/update")->status, 200,
       'an update is stopped in any case');
    is($t->endpoint('ep')->{weight}, 0);
    repair();
};

subtest 'the log says it once' => sub {
    my $log = length $t->error_log;

    $t->start_rollout('ep', steps => [0.2]);
    break('fsync ' . EIO . ' 0');
    $t->api_post('endpoints/ep/rollout/advance') for 1 .. 3;
    $t->verb(ep => 'rollback');
    repair();

    my $text = substr $t->error_log, $log;
    my @lines = $text =~ /(\[err.*cannot be written.*)/g;
    is(scalar @lines, 1, 'that it cannot be written');
    like($lines[0], qr/fsync\(\) of "state.json.new" failed \(5: /, 'why');
    @lines = $text =~ /(is written again)/g;
    is(scalar @lines, 1, 'and that it can');
};

subtest 'no step is taken while the disk refuses' => sub {
    $t->start_rollout('ep', steps => [ map { $_ / 10 } 2 .. 9 ],
        interval => 0.2, rules => [
            rule(error_5xx_rate => 0.5, confidence => 'off',
                 min_requests => 1) ]);
    break('write ' . ENOSPC . ' 0');
    $t->wait_for(sub {
        requests(20);
        ($t->endpoint('ep')->{waiting_for}{reason} // '') =~ /cannot be wri/;
    }, 10, 'a step that fails');
    my $step = $t->endpoint('ep')->{step};
    requests(200);
    pause_for(1);
    is($t->endpoint('ep')->{step}, $step, 'it holds, five intervals long');
    repair();
    $t->wait_for(sub {
        requests(20);
        $t->endpoint('ep')->{step} > $step;
    }, 10, 'it to go on');
    $t->verb(ep => 'rollback');
};

subtest 'a broken rule does not wait for the disk' => sub {
    $t->start_rollout('ep', steps => [0.5], rules => [
        rule(error_5xx_rate => 0.1, confidence => 'off',
             min_requests => 5) ]);
    break('fsync 0 3000');
    my $asked = advance();
    wait_until_busy();
    $v2->set(status => 500);
    my $before = $v2->requests;
    requests(40);
    is($v2->requests - $before, 5, 'the canary falls at its fifth attempt');
    is($t->endpoint('ep')->{phase}, 'idle', 'and is rolled back');
    my $beats = $t->endpoint('ep')->{controller}{heartbeat_age_ms};
    cmp_ok($beats, '<', patience(500), 'the control loop goes on');

    my $answer = $asked->finish;
    is($answer->status, 409, 'the advance that waited is cancelled');
    like($answer->json->{detail}, qr/cancelled before it took effect/, 'so');
    $v2->set;
    repair();
    is($t->endpoint('ep')->{phase}, 'idle', 'and stays so');
};

subtest 'a shared outage does not disturb what is being written' => sub {
    $t->start_rollout('ep', steps => [ 0.5, 0.6, 0.7 ], rules => [
        rule(error_5xx_rate => 0.1, confidence => 'off',
             min_requests => 5) ]);
    break('fsync 0 -1');
    my $asked = advance();
    wait_until_busy();
    $_->set(status => 500) for $v1, $v2;
    requests(40);
    like(($t->events('ep'))[0]{reason}, qr/^holding: /, 'the rollout holds');
    is($t->endpoint('ep')->{weight}, 0.5, 'at its weight');
    unlink $faults;

    my $answer = $asked->finish;
    is($answer->status, 200, 'the advance is done when the disk has it');
    is($answer->json->{weight}, 0.6, 'its weight');
    ok(!exists $answer->json->{durable}, 'in the file');

    my @events = $t->events('ep');
    is(join(', ', map { $_->{reason} =~ s/:.*//r } @events[ 0 .. 2 ]),
       'advanced to the next step, holding, rollout of v2 started',
       'the events in the order in which they took effect');
    my @ids = map { $_->{id} } @events;
    is_deeply(\@ids, [ sort { $b <=> $a } @ids ], 'with rising numbers');

    $_->set for $v1, $v2;
    settle();
    $t->crash;
    start_faulty();
    is_deeply([ $t->events('ep') ], \@events, 'and all of them in the file');
    $t->verb(ep => 'rollback');
};

subtest 'a change takes effect when the disk has it' => sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.5 ]);
    break('fsync 0 1500');
    my $asked = advance();
    wait_until_busy();
    is($t->endpoint('ep')->{weight}, 0.2, 'not before');
    is($t->get('/')->status, 200, 'others are served');
    my $answer = $asked->finish;
    is($answer->status, 200, 'it is answered');
    is($answer->json->{weight}, 0.5, 'when it has taken effect');
    cmp_ok($answer->json->{next_step_in_seconds}, '>', 3599,
           'its interval begins then');
    repair();
    $t->verb(ep => 'rollback');
};

subtest 'five seconds are a refusal' => sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.5 ]);
    break('fsync 0 7000');
    my $answer = $t->api_post('endpoints/ep/rollout/advance', {},
                              timeout => 15);
    is($answer->status, 503, 'refused');
    like($answer->json->{detail}, qr/within 5 seconds/, 'why');
    is($t->endpoint('ep')->{weight}, 0.2, 'no change');
    my $stopped = $t->verb(ep => 'pause');
    is(false($stopped->{durable}), 1, 'pause is not in the file');
    repair(15);
    is($t->endpoint('ep')->{weight}, 0.2, 'nor is there one later');
    is($t->endpoint('ep')->{phase}, 'paused', 'the pause is');
    $t->verb(ep => 'rollback');
};

subtest 'several changes share one fsync' => sub {
    settle();
    break('fsync 0 300');
    forget();
    my @asked = map { $t->client('api')->start(method => 'POST',
        uri => "/canary/endpoints/e$_/rollout", body => '{"canary_strategy":'
        . '{"rules":[{"rule":"failed_requests_max","rule_parameters":'
        . '[{"name":"threshold","value":100}]}]}}') } 1 .. ENDPOINTS;
    is($_->finish->status, 201, 'started') for @asked;
    my @fsyncs = grep { $_ eq 'fsync' } calls();
    cmp_ok(scalar @fsyncs, '<=', 3, @fsyncs . ' for ' . ENDPOINTS);
    repair();
    $t->verb("e$_" => 'rollback') for 1 .. ENDPOINTS;
};

subtest 'changes of one endpoint wait for each other' => sub {
    $t->start_rollout('ep', steps => [ map { $_ / 20 } 1 .. 19 ]);
    my @asked = map { advance() } 1 .. 10;
    is($_->finish->status, 200, 'advanced') for @asked;
    is($t->endpoint('ep')->{step}, 11, 'ten steps');
    $t->verb(ep => 'rollback');
};

subtest 'a client that goes away' => sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.5 ]);
    break('fsync 0 1000');
    my $asked = advance();
    wait_until_busy();
    $asked->close;
    undef $asked;
    ok($t->wait_for(sub { $t->endpoint('ep')->{weight} == 0.5 }, 10,
                    'the change'), 'what it asked for takes effect');
    repair();
    $t->verb(ep => 'rollback');
};

subtest 'a worker that dies while it waits' => sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.5, 0.7 ]);
    break('fsync 0 1000');
    my $asked = advance();
    wait_until_busy();
    $t->kill(KILL => $t->worker_pids);
    $t->wait_for(sub {
        (eval { $t->endpoint('ep')->{weight} } // 0) == 0.5
    }, 10, 'what was asked');
    is(scalar(grep { $_->{reason} eq 'advanced to the next step' }
           ($t->events('ep'))[0 .. 0]), 1, 'it happened once');
    repair();
    is($t->endpoint('ep')->{step}, 2, 'and no more');
    $t->verb(ep => 'rollback');
};

subtest 'a helper that dies while it writes' => sub {
    for my $fault ('fsync 0 1000', 'rename 0 1000', 'dirsync 0 1000') {
        $t->start_rollout('ep', steps => [ 0.2, 0.5, 0.7 ]);
        my $generation = $t->endpoint('ep')->{generation};
        break($fault);
        my $asked = advance();
        wait_until_busy();
        unlink $faults;
        $t->kill(KILL => $t->helper_pid);
        my $answer = $asked->finish;
        is($answer->status, 200, "$fault: the next one does it");
        is($answer->json->{weight}, 0.5, 'the change');
        is($answer->json->{generation}, $generation + 1, 'once');
        $t->verb(ep => 'rollback');
    }
};

# Workers that end wait no longer than half a second for the next helper.

subtest 'a reload while a change is being written' => sub {
    needs('speed');
    $t->start_rollout('ep', steps => [ 0.2, 0.5, 0.7 ]);
    my $answer = in_time(sub {
        break('fsync 0 1000');
        my $asked = advance();
        wait_until_busy();
        $t->reload;
        return $asked->finish;
    });
    is($answer->status, 200, 'the change is done all the same');
    is($answer->json->{weight}, 0.5, 'its weight');
    repair();
    is($t->endpoint('ep')->{step}, 2, 'once');
    is(false($t->endpoint('ep')->{durable}), 0, 'in the file');
};

subtest 'a reload with another size of the zone meanwhile' => sub {
    needs('speed');
    break('fsync 0 1000');
    my $asked = advance();
    wait_until_busy();
    $t->reload("canary_zone zone=canary:20m; $config");
    my $answer = $asked->finish;
    is($answer->status, 503, 'the change is refused');
    like($answer->json->{detail}, qr/nginx has been reloaded/, 'why');
    is($t->endpoint('ep')->{step}, 2, 'no change');
    repair();
    is($t->verb(ep => 'advance')->{step}, 3, 'the next one is done');
    $t->stop;
    $t->start($config);
    is($t->endpoint('ep')->{step}, 3, 'and is in the file');
    $t->verb(ep => 'rollback');
    restart_faulty();
};

subtest 'a reload that takes the release away meanwhile' => sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.5, 0.7 ]);
    $t->verb(ep => 'rollback');
    break('fsync 0 1000');
    my $asked = $t->client('api')->start(method => 'POST',
        uri => '/canary/endpoints/ep/rollout',
        body => '{"strategy":"direct","release":"v2"}');
    wait_until_busy();
    $t->reload($config =~ s/(upstream ep \{.*?)canary_release v2 model_v2/
        $1canary_release v3 model_v2/sr);
    my $answer = $asked->finish;
    is($answer->status, 409, 'the change is cancelled');
    repair();
    is($t->endpoint('ep')->{stable}, 'v1', 'stable is what it was');
    $t->reload($config);
};

subtest 'a shutdown writes what is left' => sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.5 ]);
    break('fsync ' . EIO . ' 0');
    is(false($t->verb(ep => 'pause')->{durable}), 1, 'not in the file');
    unlink $faults;
    $t->stop;
    $t->start;
    is($t->endpoint('ep')->{phase}, 'paused', 'it is now');
    $t->verb(ep => 'rollback');
};

$t->allow_log(qr/exited on signal 9/);
$t->finish;


sub start_faulty() {
    local $ENV{LD_PRELOAD} = $library;
    local $ENV{CANARY_FAULTS} = $faults;

    return $t->start($config);
}


sub restart_faulty() {
    $t->stop;

    return start_faulty();
}


# Asks for the next step, and does not wait for the answer.

sub advance() {
    return $t->client('api')->start(method => 'POST',
        uri => '/canary/endpoints/ep/rollout/advance');
}


sub break($text) {
    forget();
    $t->write_file('faults.tmp', "$text\n");
    rename "$faults.tmp", $faults or die "$faults: $!";

    return;
}


# The answer to a write that a reload comes into. On a machine that needs more
# than five seconds for that nothing is changed, and it is asked again.

sub in_time($ask) {
    for my $try (1 .. 20) {
        my $answer = $ask->();

        return $answer if $answer->status != 503
            || $answer->json->{detail} !~ /not written within 5 seconds/;
        diag("too slow at the $try. time");
        repair();
    }

    croak 'a reload never takes less than five seconds';
}


# Until a call that takes its time has begun to.

sub wait_until_busy() {
    return $t->wait_for(sub { grep { /\.\.\.$/ } log_lines() }, 10,
                        'a slow call');
}


# The disk is back, and the file is written.

sub repair($timeout = 10) {
    unlink $faults;
    $t->wait_for(sub {
        my $endpoint = $t->endpoint('ep');
        !exists $endpoint->{durable}
            && ($endpoint->{waiting_for}{reason} // '') !~ /written/;
    }, $timeout, 'the file to be written');

    return;
}


# Until nothing is left to write.

sub settle() {
    my $calls = -1;

    $t->wait_for(sub {
        my $now = () = calls();
        my $quiet = $now == $calls;
        $calls = $now;
        pause_for(patience(0.1));
        return $quiet;
    }, 10, 'quiet');

    return;
}


sub forget() { return unlink "$faults.log" }


sub calls() { return grep { !/\.\.\.$/ } log_lines() }


sub log_lines() {
    return -e "$faults.log" ? split /\n/, $t->read_file('faults.log') : ();
}


sub false($value) { return defined $value && !$value ? 1 : 0 }


sub pause_for($seconds) { return select undef, undef, undef, $seconds }


sub requests($n) {
    return $t->load(connections => 1, count => $n, by_body => 1)
        ->result->{bodies};
}
