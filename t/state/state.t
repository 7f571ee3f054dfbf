# What survives a restart, and what becomes of a state file that is no good.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Canary::Test;
use Digest::SHA qw(sha256_hex);
use Fcntl qw(:mode);
use Test::More;

use constant KILLS => $ENV{TEST_CANARY_KILLS} // 20;

my $config = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream model_v3 { server 127.0.0.1:%%PORT_v2%%; }
    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_release v3 model_v3;
    }
    upstream other {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://ep; }
        location /other { proxy_pass http://other; }
    }
    %%API%%
EOC

needs('processes');

my $t = Canary::Test->new(timeout => 180 + 3 * KILLS);

$t->backend('v1');
my $v2 = $t->backend('v2');
$t->start($config);

my $dir = $t->dir . '/canary';
my $file = "$dir/state.json";

subtest 'the file is nobody else\'s business' => sub {
    start(steps => [0.5]);
    is(mode($dir), 0700, 'the directory');
    is(mode($file), 0600, 'the file');
    $t->verb(ep => 'rollback');
};

for my $phase (qw(progressing paused halted baking), 'paused at 100 %') {
    subtest "a restart while $phase" => sub {
        enter($phase);

        my $before = $t->endpoint('ep');
        my @events = $t->events('ep');
        my $start = $t->error_log;
        restart();
        my $after = $t->endpoint('ep');

        is($after->{$_}, $before->{$_}, $_)
            for qw(phase weight step stable canary);
        is_deeply($after->{$_}, $before->{$_}, $_)
            for qw(generation strategy steps last_rollout);
        is_deeply([ $t->events('ep') ], \@events, 'the events');
        ok(!exists $after->{durable}, 'it is in the file');
        is($after->{rules}[0]{attempts}, 0, 'the tests begin anew')
            if $phase ne 'halted';

        my $answers = requests(40);
        my $expected = 40 * $after->{weight};
        cmp_ok(abs(($answers->{v2} // 0) - $expected), '<=', 2,
               'requests go on at that weight');

        $t->verb(ep => 'rollback');
        my ($last) = $t->events('ep');
        is($last->{id}, $events[0]{id} + 1, 'event numbers go on');
    };
}

subtest 'the interval of the step begins anew' => sub {
    start(interval => 3600, steps => [ 0.2, 0.5 ]);
    restart();
    cmp_ok($t->endpoint('ep')->{next_step_in_seconds}, '>', 3590, 'whole');
    $t->verb(ep => 'rollback');
};

subtest 'what is idle stays as it was: stable, the last rollout, totals'
    => sub {
    start();
    $t->verb(ep => 'promote');
    requests(10);
    $t->wait_for(sub { ($t->totals('ep', 'v2')->{'2xx'} // 0) >= 10 }, 5,
                 'the totals');
    my $before = $t->endpoint('ep');
    restart();
    my $after = $t->endpoint('ep');
    is($after->{stable}, 'v2', 'stable');
    is_deeply($after->{last_rollout}, $before->{last_rollout}, 'the last');
    is_deeply($t->totals('ep', $_), totals_of($before, $_), "totals of $_")
        for qw(v1 v2);
    is(requests(10)->{v2}, 10, 'requests go to it');

    is($t->api_post('endpoints/ep/rollout', { strategy => 'direct',
           release => 'v1' })->status, 201, 'a direct rollout');
    restart();
    is($t->endpoint('ep')->{stable}, 'v1', 'survives too');
};

subtest 'a history that is full, and one that goes on' => sub {
    for my $verbs (1, 35, 2) {
        start();
        $t->verb(ep => $_) for map { qw(pause resume) } 1 .. $verbs;
        my $begun = $t->api_post('endpoints/other/rollout', { canary_strategy
            => { rules => [ rule(failed_requests_max => 5) ] } });
        is($begun->status, 201, 'beside another one');
        my @events = $t->events('ep');
        my @other = $t->events('other');
        $t->crash;
        $t->start;
        is_deeply([ $t->events('ep') ], \@events,
                  scalar @events . ' events are as they were');
        is_deeply([ $t->events('other') ], \@other, 'of the other one too');
        $t->verb($_ => 'rollback') for qw(ep other);
    }

    $t->allow_log(qr/exited on signal 9/);
};

subtest 'a budget remembers what it has spent' => sub {
    start(steps => [0.5], rules => [ rule(failed_requests_max => 5) ]);
    $v2->set(status => 500);
    requests(6);
    is($t->endpoint('ep')->{phase}, 'progressing', '3 of 5 spent');
    restart();
    requests(4);
    is($t->endpoint('ep')->{phase}, 'progressing', '5 of 5');
    requests(2);
    is($t->endpoint('ep')->{phase}, 'idle', 'the sixth is too many');
    $v2->set;
};

subtest 'releases that are gone after a restart' => sub {
    start(release => 'v3');
    $t->stop;
    $t->start($config =~ s/canary_release v3 model_v3;//r);
    my $endpoint = $t->endpoint('ep');
    is($endpoint->{phase}, 'idle', 'the rollout is over');
    is($endpoint->{stable}, 'v1', 'stable is what it was');
    is($endpoint->{last_rollout}{release}, 'v3', 'and which it was is known');
    my ($event) = $t->events('ep');
    is($event->{actor}{name}, 'configuration', 'an event says who did it');
    like($event->{reason}, qr/no longer configured/, 'and why');
    $t->stop;
    $t->start($config);
};

subtest 'endpoints that are gone for a while' => sub {
    $t->api_post('endpoints/other/rollout', { strategy => 'direct' });
    is($t->endpoint('other')->{stable}, 'v2', 'a state of its own');
    $t->stop;
    my $without = $config =~ s/upstream other \{.*?\n    \}//sr;
    $t->start($without =~ s/location \/other .*//r);
    is($t->api_get('endpoints/other')->status, 404, 'gone');
    restart();
    $t->stop;
    $t->start($config);
    is($t->endpoint('other')->{stable}, 'v2', 'remembered');
};

subtest 'without the helper process: master_process off' => sub {
    start(steps => [0.5]);
    $t->stop;
    $t->start($config, workers => 0);
    is($t->endpoint('ep')->{weight}, 0.5, 'goes on');
    cmp_ok($t->set_weight(ep => 0.25)->{weight}, '==', 0.25, 'a change');
    $t->stop;
    $t->start($config, workers => 2);
    is($t->endpoint('ep')->{weight}, 0.25, 'survives as well');
    $t->verb(ep => 'rollback');
};

SKIP: {
    my ($nobody, $group) = (getpwnam 'nobody')[0, 3];

    skip('no group of nobody', 1) if !defined $group;

    subtest 'other users of the workers' => sub {
        needs('root', 'processes');
        start(steps => [0.5]);
        is((stat "$dir/state.lock")[4], 0, 'the lock is that of root');
        my $user = "nobody " . getgrgid $group;

        for my $how ('reload', 'restart') {
            $t->stop if $how eq 'restart';
            $how eq 'restart' ? $t->start($config, user => $user)
                : $t->reload($config, user => $user, gone => 1);
            is($t->endpoint('ep')->{phase}, 'progressing', "$how: it goes on");
            is($t->set_weight(ep => 0.3)->{weight}, 0.3, 'and can be changed');
            is((stat $file)[4], getpwnam 'nobody', 'the file is theirs');
            $t->reload($config, user => 'root', gone => 1);
            is($t->set_weight(ep => 0.4)->{weight}, 0.4, 'and back');
            unlink "$dir/state.lock";
        }

        $t->verb(ep => 'rollback');
    };
}

subtest 'nginx -t beside it touches nothing' => sub {
    my @before = stat $file;
    my $text = $t->read_file('canary/state.json');
    my ($accepted, $output) = $t->check($config);
    ok($accepted, 'accepted') or diag $output;
    is_deeply([ (stat $file)[1, 7, 9] ], [ @before[1, 7, 9] ], 'the file');
    is($t->read_file('canary/state.json'), $text, 'what is in it');
    is_deeply([ bad_files() ], [], 'nothing is set aside');
};

subtest 'nothing acknowledged is lost when all processes are killed' => sub {
    my @answers;

    for my $turn (1 .. KILLS) {
        my $answer = random_write();
        select undef, undef, undef, rand() < 0.5 ? 0 : rand 0.05;
        $t->crash;
        $t->start;
        my $found = $t->endpoint('ep');
        push @answers, sprintf '%s %s %s %s', map { $_ // 'none' }
            @$answer{qw(phase weight stable canary)};
        is(sprintf('%s %s %s %s', map { $_ // 'none' }
               @$found{qw(phase weight stable canary)}),
           $answers[-1], "turn $turn: $answers[-1]");
    }

    $t->allow_log(qr/exited on signal 9/);
};

# A number that can be read can be gone on from, as long as one likes.

for my $least (0 .. 3) {
    subtest "numbers that end in $least" => sub {
        make_idle();
        start(steps => [ 0.5, 0.6, 0.7 ]);
        $t->verb(ep => 'pause');
        $t->stop;
        my $value = value_of($t->read_file('canary/state.json'));
        my $last = 9_007_199_254_740_992 - $least;
        $value =~ s/("name":"ep","generation":)\d+/$1$last/;
        $value =~ s/("last_event":)\d+/$1$last/;
        $value =~ s/("generation":$last,"rollout":)\d+/$1 . 4294967295/e;
        $value =~ s/("(?:2xx|failed)":)\d+/$1$last/g;
        $value =~ s/("spent":\{"stable":)\d+/$1$last/g;
        $value =~ s/("time_us":)\d+/$1"9223372036854775808"/g;
        $t->write_file('canary/state.json', sealed($value));
        my @before = bad_files();

        for my $turn (1 .. 2) {
            $t->start;
            is_deeply([ bad_files() ], \@before, "start $turn: it is read");
            my $endpoint = $t->endpoint('ep');
            if ($turn == 1) {
                is($endpoint->{phase}, 'paused', 'where it was');
                is($t->verb(ep => 'resume')->{phase}, 'progressing', 'resume');
                is($t->verb(ep => 'advance')->{weight}, 0.6, 'advance');
                is($t->verb(ep => 'rollback')->{phase}, 'idle', 'rollback');
                is(start(steps => [ 0.3, 0.4 ])->{weight}, 0.3, 'start');
                is(requests(10)->{v2}, 3, 'requests');
            } else {
                is($endpoint->{phase}, 'progressing', 'goes on');
            }
            is($t->verb(ep => 'pause')->{phase}, 'paused', 'pause');
            is($t->verb(ep => 'resume')->{phase}, 'progressing', 'and on');
            my @ids = map { $_->{id} } $t->events('ep');
            is_deeply(\@ids, [ sort { $b <=> $a } @ids ],
                      'numbers of events rise');
            $t->stop;
        }
        unlink $file;
        $t->start;
    };
}

subtest 'a file that cannot be read is set aside' => sub {
    make_idle();
    start(steps => [0.5]);
    $t->stop;
    my $good = $t->read_file('canary/state.json');
    my $deep = '[' x 100_000 . ']' x 100_000;

    my %bad = (
        empty        => [ '', qr/it is empty/ ],
        truncated    => [ substr($good, 0, length($good) / 2),
                          qr/its end is missing/ ],
        'a flipped bit' => [ flipped($good), qr/its checksum is wrong/ ],
        'deep nesting'  => [ sealed($deep), qr/nested deeper than 16/ ],
        'of a later version' => [ $good =~ s/"version":1/"version":2/r,
                          qr/of version 2, this module reads version 1/ ],
        'no state file' => [ "not me\n", qr/does not begin as a state file/ ],
        'a value out of range' => [
            sealed(value_of($good) =~ s/"weight":0.5/"weight":1.5/r),
            qr{/endpoints/\d+/weight has to be a ratio from 0 to 1} ],
        'a generation at its end' => [
            sealed(value_of($good) =~ s/"generation":\d+/"generation":
                "18446744073709551615"/rx),
            qr{/generation has to be a whole number from 0 to 9007199254740992} ],
        'events at their end' => [
            sealed(value_of($good) =~ s/"last_event":\d+/"last_event":
                "18446744073709551614"/rx),
            qr{/last_event has to be a whole number from 0 to 9007199254740992} ],
        'an event after all times' => [
            sealed(value_of($good) =~ s/"events":\[\K\]/an_event() . ']'/er),
            qr{/events/0/time has to be .* from 0 to 253402300799999} ],
    );

    for my $name (sort keys %bad) {
        my ($text, $why) = @{ $bad{$name} };

        $t->write_file('canary/state.json', $text);
        is_set_aside($name, $why, sub ($kept) {
            ok($t->read_file("canary/$kept") eq $text, 'kept as it was');
        });
    }

    unlink $file;
    mkdir $file;
    is_set_aside('a directory', qr/Is a directory/, sub ($kept) {
        ok(-d "$dir/$kept", 'kept as it was');
        rmdir "$dir/$kept";
    });
};

SKIP: {
    skip(lacks('user'), 1) if lacks('user');

    subtest 'a file that may not be read is set aside' => sub {
        chmod 0, $file;
        is_set_aside('forbidden', qr/Permission denied/, sub ($kept) { });
    };
}

subtest 'without files everything begins anew' => sub {
    unlink $file, glob "$dir/events.jsonl*";
    $t->start;
    is($t->endpoint('ep')->{phase}, 'idle', 'idle');
    is($t->endpoint('ep')->{stable}, 'v1', 'on the first release');
    is(scalar $t->events('ep'), 0, 'no events');
};

$t->finish;


sub start(%opt) {
    return $t->start_rollout('ep', release => 'v2', steps => [ 0.2, 0.5 ],
                             %opt);
}


sub restart() {
    $t->stop;
    $t->start;

    return;
}


sub enter($phase) {
    my $halted = $phase eq 'halted';

    start(steps => [ $phase =~ /baking|100/ ? 1 : 0.5 ],
          $halted ? (on_violation => 'halt', rules => [
              rule(error_5xx_rate => 0.1, confidence => 'off',
                   min_requests => 2) ]) : ());
    $t->verb(ep => 'pause') if $phase =~ /paused/;

    if ($halted) {
        $v2->set(status => 500);
        requests(10);
        $v2->set;
        $t->wait_for(sub { !exists $t->endpoint('ep')->{durable} }, 5,
                     'the file');
    }

    return is($t->endpoint('ep')->{phase}, $phase =~ s/ .*//r, $phase);
}


sub make_idle() {
    my $endpoint = $t->endpoint('ep');

    $t->verb(ep => 'rollback') if $endpoint->{phase} ne 'idle';
    $t->api_post('endpoints/ep/rollout',
                 { strategy => 'direct', release => 'v1' })
        if $endpoint->{stable} ne 'v1';

    return;
}


# Something that applies now; returns the endpoint that the answer has.

sub random_write() {
    my $endpoint = $t->endpoint('ep');
    my $phase = $endpoint->{phase};
    my ($other) = grep { $_ ne $endpoint->{stable} } qw(v1 v2);

    if ($phase eq 'idle') {
        return start(release => $other, steps => [ 0.1, 0.2, 0.3 ]);
    }

    my @verbs = $phase eq 'paused' ? qw(resume advance promote rollback)
        : qw(pause advance advance promote rollback);
    my $verb = $verbs[ rand @verbs ];

    return $t->set_weight(ep => 0.25 + int(rand 5) / 10)
        if $phase ne 'baking' && rand() < 0.3;

    return $t->verb(ep => $verb);
}


# Starts with the file as it is.

sub is_set_aside($name, $why, $check) {
    my %before = map { $_ => 1 } bad_files();
    my $log = length $t->error_log;

    $t->start;
    my $endpoint = $t->endpoint('ep');
    my @kept = grep { !$before{$_} } bad_files();
    my @lines = grep { /cannot be read/ }
        split /^/, substr $t->error_log, $log;

    is($endpoint->{phase}, 'idle', "$name: idle");
    is($endpoint->{stable}, 'v1', 'on the first release');
    is(requests(10)->{v1}, 10, 'which serves');
    is(scalar @kept, 1, 'the file is set aside');
    is(scalar @lines, 1, 'one line says so');
    like($lines[0], $why, 'and why');
    like($lines[0], qr/\Q$kept[0]\E/, 'and where it is');
    $check->($kept[0]);

    is($t->start_rollout('ep', release => 'v2')->{phase}, 'progressing',
       'a rollout can be started') if $endpoint->{phase} eq 'idle';
    $t->stop;

    return;
}


sub bad_files() {
    opendir my $in, $dir or die "$dir: $!";

    return sort grep { /\.bad-/ } readdir $in;
}


sub value_of($text) { return $text =~ s/.*?"state":(.*)\}\n\z/$1/sr }


sub sealed($value) {
    return sprintf qq({"version":1,"sha256":"%s","state":%s}\n),
        sha256_hex($value), $value;
}


# As earlier versions had them in the state file.

sub an_event() {
    return '{"id":1,"generation":1,"time":253402300800000,"rollout":1,'
        . '"verb":"start","from":{"phase":"idle","weight":0},'
        . '"to":{"phase":"progressing","weight":0.5},"actor":"api",'
        . '"address":"","reason":"","attempts":0,"rules":[],"judgements":[],'
        . '"stable":null}';
}


sub flipped($text) {
    substr($text, length($text) / 2, 1) ^.= "\x01";

    return $text;
}


sub mode($path) { return S_IMODE((stat $path)[2]) }


sub totals_of($endpoint, $name) {
    my ($release) = grep { $_->{name} eq $name } @{ $endpoint->{releases} };
    my %totals = (%{ $release->{responses} }, map { $_ => $release->{$_} }
        qw(attempts failed timeouts aborted fallbacks));

    return { map { $_ => $totals{$_} } grep { $totals{$_} } keys %totals };
}


sub requests($n) {
    return $t->load(connections => 1, count => $n, by_body => 1)
        ->result->{bodies};
}
