# What fails one at a time: allocations of shared memory, descriptors,
# connections, the space on the disk, and writes in the middle of which all is
# killed. Nothing that was acknowledged is lost, stable serves, and it goes on
# when there is again what was missing.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Canary::Test;
use List::Util qw(sum0);
use Test::More;

use constant {
    KILLS  => $ENV{TEST_CANARY_KILLS} // 10,
    SPREAD => 0.06,    # seconds in which a write is killed
    SPARE  => 64,      # more allocations than one change can make
};

my $library = faults_library();

needs('faults', 'speed');

my $t = Canary::Test->new(workers => 1, timeout => 240 + 3 * KILLS);
my $faults = $t->dir . '/faults';
my $token = 0;

my %server = map {
    $_ => $t->backend($_)->on('/hang', mode => 'hang')
} qw(v1 v2);

start();

subtest 'each allocation that a start makes fails' => sub {
    needs('module');

    my $refused = 0;
    for my $n (1 .. SPARE) {
        my $name = "e$n";
        $t->reload(config($n), gone => 1);
        break($n);
        my $answer = $t->api_post("endpoints/$name/rollout", a_rollout());
        my $failed = failures();
        repair();
        last if !$failed;

        # What is only good to have may be missing.

        my $endpoint = $t->endpoint($name);
        if ($answer->status == 503) {
            $refused++;
            is($endpoint->{phase}, 'idle', "allocation $n: nothing changed");
            like($answer->json->{detail}, qr/too small|memory|full/, 'why');
            is(requests($n, 10)->{v1}, 10, 'stable serves');
            is($t->start_rollout($name)->{phase}, 'progressing',
               'and then it does start');

        } else {
            is($answer->status, 201, "allocation $n: it starts all the same");
        }
        is(requests($n, 10)->{v2}, 5, 'and is counted as it should be');
        $t->verb($name => 'rollback');
    }
    cmp_ok($refused, '>', 0, "$refused of them are a refusal");
    $t->reload(config(0), gone => 1);
};

subtest 'failed attempts for which there is no memory' => sub {
    needs('module');

    $server{v2}->on('/bad', status => 500);
    $t->start_rollout('ep', steps => [ 0.5, 0.6 ]);

    break(0);
    my %status;
    $status{ $t->get('/bad')->status }++ for 1 .. 4;
    is_deeply(\%status, { 200 => 2, 500 => 2 }, 'are answered as ever');
    is($t->endpoint('ep')->{rules}[0]{value}, 2, 'and count for the rules');
    is_deeply(told(), [], 'but none is kept');
    cmp_ok(failures(), '>', 0, 'for want of memory');
    repair();

    $t->get('/bad?again') for 1 .. 4;
    is_deeply(told(), [ '/bad', '/bad' ], 'with memory those that follow are');
    is($t->endpoint('ep')->{rules}[0]{value}, 4, 'and all count');
    $t->verb(ep => 'rollback');
};

subtest 'each allocation of a reload fails' => sub {
    needs('module');

    $t->start_rollout('ep', steps => [ 0.5, 0.6 ]);
    my $tried = 0;
    for my $n (1 .. SPARE) {
        break($n);
        my $reason = eval {
            $t->reload(config(100 + $n), fails => 1);
        };
        my $failed = failures();
        repair();
        last if !$failed;

        # What is only remembered may have given way.

        $tried++;
        if (defined $reason) {
            like($reason, qr/too small/, "allocation $n: it is refused");

        } else {
            is(keys %{ requests(100 + $n, 10) }, 1,
               "allocation $n: the new endpoint serves");
        }
        is($t->endpoint('ep')->{weight}, 0.5, 'nothing else has changed');
    }
    cmp_ok($tried, '>', 0, "$tried times");
    $t->reload(config(0), gone => 1);
    is($t->endpoint('ep')->{weight}, 0.5, 'the rollout goes on');
    $t->verb(ep => 'rollback');
};

subtest 'each allocation of a start of nginx fails' => sub {
    needs('module');

    $t->api_post('endpoints/ep/rollout', { strategy => 'direct' });
    $t->start_rollout('ep', steps => [ 0.5, 0.6 ]);
    $t->stop;
    my $text = $t->read_file('canary/state.json');
    my ($refused, $kept) = (0, 0);

    for my $n (1 .. SPARE) {
        break($n);
        my $started = eval { start() };
        my $failed = failures();
        repair();
        if (!$failed) {
            $t->stop;
            last;
        }

        if ($started) {
            my @serves = keys %{ requests(0, 10) };
            is(scalar(grep { !/^v[12]$/ } @serves), 0,
               "allocation $n: it serves");
            $t->stop;
            $kept += is_kept($text);

        } else {
            $refused++;
            delete $t->{pid};
            is($t->read_file('canary/state.json'), $text,
               "allocation $n: not started, the state file is as it was");
        }
        $t->write_file('canary/state.json', $text);
        start();
        my $endpoint = $t->endpoint('ep');
        is("$endpoint->{phase} $endpoint->{weight} $endpoint->{stable}",
           'progressing 0.5 v2', 'the next start has it all');
        $t->stop;
        $t->write_file('canary/state.json', $text);
    }
    cmp_ok($refused, '>', 0, "$refused times no start");
    cmp_ok($kept, '>', 0, "$kept times the whole file is kept beside it");
    $t->allow_log(qr/canary_zone .* is too small/);
    unlink $t->dir . '/canary/state.json';
    start();
};

subtest 'a write is killed at any point of it' => sub {
    my %seen = (before => 0, after => 0, acknowledged => 0);
    my $step = 0;

    for my $turn (1 .. KILLS) {
        if ($step % 90 == 0) {
            $t->verb(ep => 'rollback') if $step;
            $t->start_rollout('ep', steps => [ map { $_ / 100 } 1 .. 99 ]);
            $step = 1;
        }
        slow_down();
        my $asked = $t->client('api')->start(method => 'POST',
            uri => '/canary/endpoints/ep/rollout/advance');
        select undef, undef, undef, rand SPREAD;
        $t->crash;
        my $status = $asked->finish->status;
        repair();
        start();

        my $endpoint = $t->endpoint('ep');
        my $now = $endpoint->{step};
        $seen{ $now == $step ? 'before' : 'after' }++;
        $seen{acknowledged}++ if $status == 200;
        ok($now == $step + 1 || $now == $step && $status != 200,
           "turn $turn: step $now after $step, answer $status");
        is($endpoint->{phase}, 'progressing', 'progressing');
        is($endpoint->{weight}, $endpoint->{steps}[ $now - 1 ],
           'at the weight of that step');
        $step = $now;
    }
    note join ', ', map { "$seen{$_} $_" } sort keys %seen;
    $t->verb(ep => 'rollback');
    $t->allow_log(qr/exited on signal 9/);
};

SKIP: {
    skip 'no tmpfs can be mounted here', 1 unless mounted();

    subtest 'a disk that is full' => sub {
        $t->start_rollout('ep', steps => [ 0.2, 0.5 ]);
        fill();
        my $refused = $t->api_post('endpoints/ep/rollout/advance');
        is($refused->status, 503, 'advance: 503');
        like($refused->json->{detail}, qr/No space left on device/, 'why');
        is($t->endpoint('ep')->{weight}, 0.2, 'nothing has changed');
        my $paused = $t->verb(ep => 'pause');
        ok(exists $paused->{durable} && !$paused->{durable},
           'pause takes effect, and is not in the file');
        $t->crash;

        # The end of a block that the file of events has may be room enough.
        my ($event) = $t->read_file('canary/events.jsonl') =~ /.*\n(.+)\n/s;
        start();
        is($t->endpoint('ep')->{phase},
           $event =~ /"verb":"pause"/ ? 'paused' : 'progressing',
           'a crash: what was in the files');
        is($t->endpoint('ep')->{weight}, 0.2, 'at its weight');
        unlink $t->dir . '/canary/filler';
        ok($t->wait_for(sub {
            $t->api_post('endpoints/ep/rollout/advance')->status == 200
        }, 10, 'a write'), 'with room it goes on');
        $t->verb(ep => 'rollback');
    };

    $t->stop;
    unmount();
    start();
}

SKIP: {
    skip(lacks('prlimit'), 1) if lacks('prlimit');

    subtest 'the helper has no descriptors left' => sub {
        $t->start_rollout('ep', steps => [ 0.2, 0.5 ]);
        limit($t->helper_pid, descriptors($t->helper_pid));
        my $refused = $t->api_post('endpoints/ep/rollout/advance');
        is($refused->status, 503, 'advance: 503');
        like($refused->json->{detail}, qr/Too many open files/, 'why');
        is($t->endpoint('ep')->{weight}, 0.2, 'nothing has changed');
        limit($t->helper_pid, 1024);
        ok($t->wait_for(sub {
            $t->api_post('endpoints/ep/rollout/advance')->status == 200
        }, 10, 'a write'), 'with descriptors it goes on');
        $t->verb(ep => 'rollback');
    };

    subtest 'a worker has no descriptors left' => sub {
        my @rules = rule(error_5xx_rate => 0.1, confidence => 'off',
                         min_requests => 1);

        $t->start_rollout('ep', steps => [ 0.5, 0.6 ], rules => \@rules);
        my ($worker) = $t->worker_pids;
        my $open = () = glob "/proc/$worker/fd/*";
        my @clients = map { $t->client } 1 .. 20;
        $_->get('/') for @clients;
        $t->wait_for(sub {
            (() = glob "/proc/$worker/fd/*") <= $open + @clients
        }, 10, 'the connections to the backends to be closed');
        my $attempts = attempts();
        my %status;

        # A 500 closes its connection, so that there is a descriptor again;
        # and what was still open when they were counted may be closed since.
        ok($t->wait_for(sub {
            limit($worker, descriptors($worker));
            $status{ (shift @clients)->get('/')->status }++;
            limit($worker, 1024);
            return $status{500} || !@clients;
        }, 10, 'a client to be refused') && $status{500},
           'requests cannot be proxied');
        is($t->endpoint('ep')->{phase}, 'progressing',
           'which is no fault of the canary');
        is(attempts() - $attempts, $status{200} // 0, 'nor an attempt');
        is($t->get('/')->status, 200, 'with descriptors it serves');
        $t->allow_log(qr/\(24: Too many open files\)/);
        $t->verb(ep => 'rollback');
    };
}

subtest 'a worker has no connections left' => sub {
    $t->reload(config(0), events => 'worker_connections 24;', gone => 1);
    $t->start_rollout('ep', steps => [ 0.5, 0.6 ], rules => [
        rule(error_5xx_rate => 0.1, confidence => 'off',
             min_requests => 1) ]);
    my @clients = map { $t->client } 1 .. 30;
    $_->start(uri => '/hang') for @clients;
    $t->wait_for(sub {
        $t->error_log =~ /worker_connections are not enough/
    }, 10, 'the last connection to be taken');
    my %status;
    $status{ $t->get('/')->status // 0 }++ for 1 .. 10;
    $_->close for @clients;
    ok($status{500} || $status{0}, 'requests fail');
    is($t->endpoint('ep')->{phase}, 'progressing',
       'which is no fault of the canary');
    ok($t->wait_for(sub { $t->get('/')->status == 200 }, 10, 'an answer'),
       'with connections it serves');
    $t->allow_log(qr/worker_connections are not enough/);
    $t->verb(ep => 'rollback');
    $t->reload(config(0), events => '', gone => 1);
};

$t->finish;


END { unmount() if $t && $t->{mounted} && $t->{mounted} == $$ }


# With an endpoint more, of that number.

sub config($n) {
    my $more = $n ? <<"EOC" : '';
    upstream e$n {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }
EOC
    my $location = $n ? "location = /$n { proxy_pass http://e$n; }" : '';

    return <<"EOC";
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }
    $more
    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_set_header Connection close;    # or it is kept, from 1.29.7 on
        location / { proxy_pass http://ep; }
        $location
    }
    %%API%%
EOC
}


sub a_rollout() {
    return { canary_strategy => { progress_steps => [0.5], rules => [
        rule(failed_requests_max => 1_000_000) ] } };
}


sub start() {
    local $ENV{LD_PRELOAD} = $library;
    local $ENV{CANARY_FAULTS} = $faults;

    return $t->start(config(0));
}


# The nth allocation fails that a process makes from now on.

sub break($n) {
    unlink "$faults.log";

    return put("slab $n " . ++$token);
}


# Each part of a write takes its time.

sub slow_down() {
    return put(map { "$_ 0 4" } qw(open write fsync rename dirsync));
}


sub put(@lines) {
    $t->write_file('faults.tmp', join '', map { "$_\n" } @lines);
    rename "$faults.tmp", $faults or die "$faults: $!";

    return;
}


sub repair() { return unlink $faults }


sub failures() {
    return scalar(() = $t->read_file('faults.log') =~ /^slab$/mg);
}


# What is told of failed attempts of the canary.

sub told() {
    return [ map { $_->{uri} }
             $t->api_get('endpoints/ep/failures')->json->{failures}->@* ];
}


# Was the state file kept beside the one that was written since?

sub is_kept($text) {
    my @kept = glob $t->dir . '/canary/state.json.bad-*';
    my $same = grep { ($t->read_file($_ =~ s{.*/}{canary/}r)) eq $text } @kept;

    unlink @kept;
    my $state = $t->read_file('canary/state.json');
    ok($same || $state =~ /"weight":0.5/, 'what was acknowledged is there');

    return $same;
}


sub mounted() {
    return 0 if $> != 0;

    $t->stop;
    my $path = $t->dir . '/canary';
    my $mounted = system("mount -t tmpfs -o size=64k,mode=700 tmpfs "
                         . "'$path' 2>/dev/null") == 0;
    $t->{mounted} = $$ if $mounted;
    start();

    return $mounted;
}


sub unmount() {
    local $?;
    delete $t->{mounted};

    return system('umount', '-l', $t->dir . '/canary');
}


sub fill() {
    open my $out, '>', $t->dir . '/canary/filler' or die "filler: $!";
    1 while defined syswrite $out, 'x' x 4096;

    return;
}


sub limit($pid, $n) {
    return system('prlimit', "--nofile=$n:", '--pid', $pid) == 0
        || die "prlimit: $?";
}


# The first that is free.

sub descriptors($pid) {
    my $n = 0;

    $n++ while -l "/proc/$pid/fd/$n";

    return $n;
}


sub attempts() {
    return sum0(map { $t->totals(ep => $_)->{attempts} // 0 } qw(v1 v2));
}


sub requests($n, $count) {
    return $t->load(connections => 1, count => $count, by_body => 1,
                    request => { uri => $n ? "/$n" : '/' })->result->{bodies};
}
