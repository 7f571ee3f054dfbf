# The file of events: what it has and when, what may be done to it, and what
# is made of it after a restart.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Canary::Test;
use Digest::SHA qw(sha256_hex);
use Errno qw(EIO ENOSPC);
use JSON::PP;
use POSIX qw(mkfifo);
use Test::More;

use constant FULL => 16 << 20;

my $library = faults_library();

needs('faults');

my $json = JSON::PP->new->utf8->canonical;

my $t = Canary::Test->new(timeout => 240);
my $faults = $t->dir . '/faults';
my $dir = $t->dir . '/canary';
my $file = "$dir/events.jsonl";

$t->backend('v1');
$t->backend('v2');

my $config = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
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

start();

subtest 'a line for each event, as the API has it' => sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.4, 0.6 ]);
    $t->start_rollout('other');
    $t->verb(ep => 'advance');
    $t->verb(other => 'rollback', { reason => "caf\x{e9}" });
    $t->verb(ep => 'rollback');

    my @lines = events_in_file();
    is(join(' ', map { $_->{id} } @lines), '1 2 3 4 5', 'in their order');

    for my $name (qw(ep other)) {
        my $body = $t->api_get("endpoints/$name/events")->body;
        my @texts = map { $_->{text} }
            reverse grep { $_->{endpoint} eq $name } @lines;
        like($body, qr/\Q[@{[ join ',', @texts ]}]\E/, "those of $name");
    }
    is((stat $file)[2] & 07777, 0600, 'for nobody else to read');
    unlike($t->read_file('canary/state.json'), qr/"actor"/,
           'the state file has none');
};

subtest 'it is on the disk before the state file is written' => sub {
    my $inode = (stat $file)[1];
    my $before = $t->read_file('canary/events.jsonl');

    settle();
    $t->start_rollout('ep');
    is_deeply([ calls() ], [qw(flush fsync rename dirsync)], 'in that order');
    my $after = $t->read_file('canary/events.jsonl');
    is(index($after, $before), 0, 'nothing of it is written again');
    is(substr($after, length $before) =~ tr/\n//, 1, 'but one line more');
    is((stat $file)[1], $inode, 'in the same file');
    $t->verb(ep => 'rollback');
};

subtest 'renamed by whoever rotates logs' => sub {
    rename $file, "$file-20261130" or die;
    $t->start_rollout('ep');
    is(join(' ', types()), 'start', 'a new file is begun');
    is((stat $file)[2] & 07777, 0600, 'with its mode');

    rename $file, "$file-20261201" or die;
    $t->write_file('canary/events.jsonl', '');
    chmod 0640, $file;
    $t->verb(ep => 'pause');
    is(join(' ', types()), 'pause', 'or the one that was created is taken');
    is((stat $file)[2] & 07777, 0640, 'as it is');

    my @events = $t->events('ep');
    restart();
    is(ids(), $events[0]{id}, 'after a restart what is there is shown');
    is($t->endpoint('ep')->{phase}, 'paused', 'and nothing else is lost');
    $t->verb(ep => 'rollback');
};

subtest 'renamed when it is full' => sub {
    my @before = $t->events('ep');
    my $line = '{"void":0' . ' ' x 60_000 . "}\n";
    append($line x (1 + FULL / length $line));

    $t->start_rollout('ep');
    cmp_ok(-s "$file.1", '>', FULL, 'the old one is kept beside it');
    is(join(' ', types()), 'start', 'and a new one begun');
    $t->verb(ep => 'rollback');
    my @events = $t->events('ep');
    restart();
    is_deeply([ $t->events('ep') ], \@events, 'both are read');
    is(scalar @events, @before + 2, 'all of them');
};

subtest 'both gone' => sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.4 ]);
    $t->verb(ep => 'advance');
    my $before = $t->endpoint('ep');
    my ($last) = $t->events('ep');
    $t->stop;
    unlink $file, "$file.1";
    start();
    is(ids(), '', 'no events');
    my $after = $t->endpoint('ep');
    is($after->{$_}, $before->{$_}, $_) for qw(phase weight step generation);
    $t->verb(ep => 'rollback');
    is(ids(), $last->{id} + 1, 'but their numbers go on');
};

subtest 'the next number is above both files' => sub {
    my ($last) = $t->events('ep');
    $t->stop;
    $t->write_file('canary/events.jsonl.1', "{\"void\":5000}\n");
    start();
    $t->start_rollout('ep');
    is(($t->events('ep'))[0]{id}, 5001, 'of a void one, too');
    $t->verb(ep => 'rollback');
};

subtest 'a last line without its end' => sub {
    my @events = $t->events('ep');
    $t->stop;
    append('{"id":6000,"endpoint":"ep"');
    my $log = length $t->error_log;
    start();
    is_deeply([ $t->events('ep') ], \@events, 'is none');
    unlike(substr($t->error_log, $log), qr/left out/, 'and not worth a word');

    $t->start_rollout('ep');
    like($t->read_file('canary/events.jsonl'),
         qr/^\{"id":6000,"endpoint":"ep"\n\{"id":5003,/m,
         'the next one has a line of its own');
    $t->verb(ep => 'rollback');
    @events = $t->events('ep');

    $t->stop;
    append("nonsense\n{\"state\":{}}\n");
    $log = length $t->error_log;
    start();
    is_deeply([ $t->events('ep') ], \@events, 'lines that are no events');
    like(substr($t->error_log, $log),
         qr/3 lines of .*events\.jsonl.* are no events and are left out/,
         'are counted');
};

for my $case ([ advance => 'void' ], [ pause => 'carried out' ],
              [ rollback => 'carried out' ]) {
    my ($verb, $what) = @$case;

    subtest "killed between the event and the state: $verb is $what" => sub {
        $t->start_rollout('ep', steps => [ 0.2, 0.4, 0.6 ]);
        my $before = $t->endpoint('ep');
        my $lines = () = events_in_file();

        break('open 0 -1');
        my $request = $t->client('api')->start(method => 'POST',
            uri => "/canary/endpoints/ep/rollout/$verb");
        $t->wait_for(sub { events_in_file() > $lines }, 10, 'the event');
        my $event = (events_in_file())[-1];
        is($event->{verb}, $verb, 'the file has it');
        $t->crash;
        unlink $faults;
        start();

        my $after = $t->endpoint('ep');
        if ($what eq 'void') {
            is($after->{$_}, $before->{$_}, $_)
                for qw(phase weight step generation);
            settle();
            my @lines = split /\n/, $t->read_file('canary/events.jsonl');
            is($lines[-1], "{\"void\":$event->{id}}", 'a line says so');
            isnt(($t->events('ep'))[0]{id}, $event->{id}, 'it is not shown');
        } else {
            is($after->{phase}, $verb eq 'pause' ? 'paused' : 'idle', 'phase');
            my ($first, $second) = $t->events('ep');
            is_deeply($first, $json->decode($event->{text}),
                      'the event is what it was');
            is($second->{id}, $event->{id} - 1, 'and is shown once');
        }

        my @shown = $t->events('ep');
        restart();
        is_deeply([ $t->events('ep') ], \@shown, 'so it is from then on');
        is($t->endpoint('ep')->{phase}, $after->{phase}, 'as well as that');

        $t->verb(ep => 'rollback') if $after->{phase} ne 'idle';
        $t->start_rollout('ep');
        is(($t->events('ep'))[0]{id},
           $event->{id} + ($after->{phase} eq 'idle' ? 1 : 2),
           'numbers go on above it');
        $t->verb(ep => 'rollback');
    };
}

for my $fault ([ append => ENOSPC ], [ flush => EIO ]) {
    my ($call, $error) = @$fault;

    subtest "the file cannot be written: $call" => sub {
        $t->start_rollout('ep', steps => [ 0.2, 0.4, 0.6 ]);
        my $log = length $t->error_log;
        break("$call $error 0");

        my $refused = $t->api_post('endpoints/ep/rollout/advance');
        is($refused->status, 503, 'a change is refused');
        like($refused->json->{detail}, qr/"events\.jsonl" failed/, 'and why');
        my $endpoint = $t->endpoint('ep');
        is($endpoint->{weight}, 0.2, 'nothing has changed');
        like($endpoint->{waiting_for}{reason}, qr/"events\.jsonl" failed/,
             'waiting_for says so');
        my $paused = $t->api_post('endpoints/ep/rollout/pause');
        is($paused->status, 200, 'what stops is done');
        ok(!$paused->json->{durable}, 'though it is not durable');

        unlink $faults;
        $t->wait_for(sub { !exists $t->endpoint('ep')->{durable} }, 15,
                     'it to be written');
        settle();
        my $errors = () = substr($t->error_log, $log)
            =~ /\[error\] .*cannot be written/g;
        is($errors, 1, 'the log was told once');

        my @ids = map { $_->{id} } events_in_file();
        my %seen;
        is(scalar(grep { $seen{$_}++ } @ids), 0, 'no event is there twice');
        my @events = $t->events('ep');
        restart();
        is_deeply([ $t->events('ep') ], \@events, 'all of them are there');
        is($t->endpoint('ep')->{phase}, 'paused', 'and what they led to');
        $t->verb(ep => 'rollback');
    };
}

subtest 'a change that was refused when its event was there is void' => sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.4, 0.6 ]);
    break('fsync ' . EIO . ' 0');
    my ($last) = $t->events('ep');
    is($t->api_post('endpoints/ep/rollout/advance')->status, 503, 'refused');
    unlink $faults;
    my $void = $last->{id} + 1;
    $t->wait_for(sub { $t->read_file('canary/events.jsonl')
                       =~ /^\{"void":$void\}$/m }, 15, 'a line that says so');
    $t->verb(ep => 'rollback');
    my @events = $t->events('ep');
    restart();
    is_deeply([ $t->events('ep') ], \@events, 'it is not shown after a restart');
};

for my $case ([ 'a directory', sub { mkdir $file }, sub { rmdir $file } ],
              [ 'a FIFO', sub { mkfifo($file, 0600) }, sub { unlink $file } ],
              [ 'a link', sub { symlink '/tmp/none', $file },
                sub { unlink $file } ]) {
    my ($what, $make, $remove) = @$case;

    subtest "$what in its place" => sub {
        $t->stop;
        rename $file, "$file.saved" or die;
        $make->();
        my $log = length $t->error_log;
        start();
        like(substr($t->error_log, $log),
             qr/open\(\) of "events\.jsonl" in .* not shown/, 'is told');
        is(ids(), '', 'there are no events');
        my $refused = $t->api_post('endpoints/ep/rollout', { strategy =>
            'direct', release => 'v2' });
        is($refused->status, 503, 'nothing begins');
        like($refused->json->{detail}, qr/"events\.jsonl"/, 'and why');
        $remove->();
        $t->stop;
        rename "$file.saved", $file or die;
        start();
        $t->start_rollout('ep');
        $t->verb(ep => 'rollback');
    };
}

subtest 'a state file of before has events in it' => sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.4, 0.6 ]);
    $t->verb(ep => 'advance');
    my %events = map { $_ => [ $t->events($_) ] } qw(ep other);
    $t->stop;

    seal_with_events();
    unlink $file, "$file.1";
    start();
    is_deeply([ $t->events($_) ], $events{$_}, "events of $_") for keys %events;
    settle();
    is(join(' ', map { $_->{id} } events_in_file()),
       join(' ', sort { $a <=> $b } map { $_->{id} } map { @$_ } values %events),
       'and all of them are in the file, once');
    unlike($t->read_file('canary/state.json'), qr/"actor"/,
           'but not in the state file');
    restart();
    is_deeply([ $t->events($_) ], $events{$_}, "later, too: $_")
        for keys %events;
    $t->verb(ep => 'rollback');
};

subtest 'without a state file they are still shown' => sub {
    my @events = $t->events('ep');
    $t->stop;
    unlink "$dir/state.json";
    start();
    is_deeply([ $t->events('ep') ], \@events, 'as they were');
    is($t->endpoint('ep')->{stable}, 'v1', 'on the first release');
    restart();
    is_deeply([ $t->events('ep') ], \@events, 'and once more');
    $t->start_rollout('ep');
    is(($t->events('ep'))[0]{id}, $events[0]{id} + 1, 'their numbers go on');
    $t->verb(ep => 'rollback');
    @events = $t->events('ep');
    restart();
    is_deeply([ $t->events('ep') ], \@events, 'and they stay');
};

subtest 'of two nginx one appends, and the other shows what it did' => sub {
    $t->start_rollout('ep', steps => [ 0.2, 0.4 ]);
    my $ports = $config =~ s/%%PORT_(v\d)%%/$t->port($1)/ger;
    my $second = Canary::Test->new(timeout => 240);

    $second->start("canary_state_path $dir; $ports", as => $t);
    $second->wait_for(sub { exists $second->endpoint('ep')->{durable} }, 20,
                      'the lock to be refused');
    $t->verb(ep => 'advance');
    my @events = $t->events('ep');
    ok($second->wait_for(sub {
        join(' ', map { $_->{id} } $second->events('ep')) eq ids();
    }, 20, 'its events'), 'the other one has its events');
    is_deeply([ $second->events('ep') ], \@events, 'as they are');

    my $before = $t->read_file('canary/events.jsonl');
    is($second->verb(ep => 'pause')->{phase}, 'paused', 'a pause there');
    is($t->verb(ep => 'pause')->{phase}, 'paused', 'and here');
    my $new = substr $t->read_file('canary/events.jsonl'), length $before;
    is($new =~ tr/\n//, 1, 'is one line, of who has the lock');

    $t->stop;
    $second->wait_for(sub { !exists $second->endpoint('ep')->{durable} }, 20,
                      'it to take over');
    is($second->verb(ep => 'rollback')->{phase}, 'idle', 'then it goes on');
    my ($event) = $second->events('ep');
    is((events_in_file())[-1]{id}, $event->{id}, 'and appends itself');
    is($second->stop, 0, 'its end');
    start();
    is_deeply(($t->events('ep'))[0], $event, 'which is read as any other');
};

subtest 'nginx -t writes nothing' => sub {
    $t->stop;
    append('{"id":');
    my $before = $t->read_file('canary/events.jsonl');
    $t->check($config);
    is($t->read_file('canary/events.jsonl'), $before, 'as it was');
    start();
};

$t->stop;
$t->finish;


sub start() {
    local $ENV{LD_PRELOAD} = $library;
    local $ENV{CANARY_FAULTS} = $faults;

    return $t->start($config);
}


sub restart() {
    settle();
    $t->stop;
    return start();
}


sub break($line) {
    $t->write_file('faults.tmp', "$line\n");
    rename "$faults.tmp", $faults or die "$faults: $!";

    return;
}


sub append($text) {
    open my $out, '>>', $file or die "$file: $!";
    print {$out} $text;
    close $out or die "$file: $!";

    return;
}


# Events of the present file: members as in the API, its text, and the verb.

sub events_in_file() {
    return map {
        my $line = $_;
        my $event = $json->decode($line);
        my $text = $line =~ s/,"state":\{"endpoint":.*\z/}/r;
        +{ %$event, text => $text, verb => $event->{state}{event}{verb} };
    } grep { /^\{"id":\d+,.*\}$/ }
        split /\n/, -e $file ? $t->read_file('canary/events.jsonl') : '';
}


sub types() { return map { $_->{verb} } events_in_file() }


sub ids() { return join ' ', map { $_->{id} } $t->events('ep') }


# Until nothing is left to write.

sub settle() {
    my $size = -1;

    $t->wait_for(sub {
        my $now = -s "$faults.log" // 0;
        my $quiet = $now == $size;
        $size = $now;
        select undef, undef, undef, 0.2;
        return $quiet && !exists $t->endpoint('ep')->{durable};
    }, 15, 'quiet');
    unlink "$faults.log";

    return;
}


sub calls() {
    return grep { !/\.\.\.$/ } split /\n/, $t->read_file('faults.log');
}


# As an earlier version has written it.

sub seal_with_events() {
    my %events;
    my %void = map { $_ => 1 }
        $t->read_file('canary/events.jsonl') =~ /^\{"void":(\d+)\}$/mg;
    push @{ $events{ $_->{endpoint} } }, $_->{state}{event}
        for grep { !$void{ $_->{id} } } events_in_file();

    my $state = $json->decode($t->read_file('canary/state.json'))->{state};
    $_->{events} = [ @{ $events{ $_->{name} } // [] } ]
        for @{ $state->{endpoints} };

    my $text = $json->encode($state);
    my $sum = sha256_hex($text);

    return $t->write_file('canary/state.json',
                          "{\"version\":1,\"sha256\":\"$sum\",\"state\":$text}\n");
}
