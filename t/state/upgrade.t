# Two nginx with one state file: a binary upgrade, there and back, and a
# second nginx that was pointed to it by mistake.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Canary::Test;
use Test::More;

needs('speed');

my $t = Canary::Test->new(timeout => 240);

$t->backend('v1');
$t->backend('v2');

my $config = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://ep; }
    }
    %%API%%
EOC

my @steps = map { $_ / 50 } 1 .. 49;

SKIP: {
    skip 'no way to become the reaper of orphans', 3
        unless $t->start_orphan($config);

    subtest '20 advances during one binary upgrade' => sub {
        $t->start_rollout('ep', steps => \@steps);

        my $old = $t->master_pid;
        my $load = $t->load(connections => 4, keepalive => 0);
        my $new = $t->upgrade;
        my ($done, $refused) = (0, 0);

        while ($done < 20) {
            if ($done == 7 && $t->master_pid == $old) {
                $t->kill(QUIT => $old);
                $t->turn_to($new);
            }
            my $answer = $t->api_post('endpoints/ep/rollout/advance', {},
                                      timeout => 15);
            my $status = $answer->status // 0;
            $status == 200 ? $done++ : $refused++;
            select undef, undef, undef, 0.02 if $status != 200;
            ok($status == 200 || $status == 503, "answered $status")
                or diag $answer->body;
            die 'refused too often' if $refused > 500;
        }

        $t->wait_end($old);
        my $endpoint = $t->endpoint('ep');
        is($endpoint->{step}, 21, "20 done and $refused refused: 20 steps");
        ok(!exists $endpoint->{durable}, 'in the file');

        my $result = $load->stop;
        is($result->{statuses}{200}, $result->{requests},
           'no request has failed');
    };

    subtest 'there and back' => sub {
        my $old = $t->master_pid;
        my $before = $t->endpoint('ep');
        my $new = $t->upgrade;

        retire($old, $new);
        $t->wait_for(sub { !exists $t->endpoint('ep')->{durable} }, 15,
                     'the new one to have the file');
        is($t->verb(ep => 'advance')->{step}, $before->{step} + 1,
           'it goes on');
        is($t->verb(ep => 'pause')->{phase}, 'paused', 'and is paused');
        my @events = $t->events('ep');

        kill HUP => $old;
        $t->turn_to($old);
        $t->wait_for(sub { $t->worker_pids == 2 && $t->helper_pid }, 10,
                     'the workers of the old one');
        kill QUIT => $new;
        $t->wait_end($new);
        $t->wait_for(sub { !exists $t->endpoint('ep')->{durable} }, 15,
                     'the old one to have the file');

        my $after = $t->endpoint('ep');
        is($after->{phase}, 'paused', 'what the new one did is kept: phase');
        is($after->{step}, $before->{step} + 1, 'step');
        is_deeply([ map { $_->{id} } $t->events('ep') ],
                  [ map { $_->{id} } @events ], 'events');
        is($t->verb(ep => 'rollback')->{phase}, 'idle', 'and it goes on');
    };

    subtest 'one after the other' => sub {
        my $old = $t->master_pid;
        my $new = $t->upgrade;

        retire($old, $new);
        $t->wait_for(sub { !exists $t->endpoint('ep')->{durable} }, 15,
                     'the new one to have the file');
        $t->start_rollout('ep', steps => [0.3]);
        kill QUIT => $new;
        $t->wait_end($new);
        kill HUP => $old;
        $t->turn_to($old);
        $t->wait_for(sub { $t->worker_pids == 2 && $t->helper_pid }, 10,
                     'the workers of the old one');
        $t->wait_for(sub { $t->endpoint('ep')->{phase} eq 'progressing' }, 10,
                     'the rollout that it has not seen');
        is($t->endpoint('ep')->{weight}, 0.3, 'at its weight');
        is($t->verb(ep => 'pause')->{phase}, 'paused', 'and it goes on');
        $t->verb(ep => 'rollback');
    };

    $t->stop;
}

subtest 'a second nginx on the same path' => sub {
    my $second = Canary::Test->new(timeout => 240);
    my $path = 'canary_state_path ' . $t->dir . '/canary;';
    my $ports = $config =~ s/%%PORT_(v\d)%%/$t->port($1)/ger;

    $t->start($config);
    $t->start_rollout('ep', steps => [ 0.2, 0.5, 0.7 ]);
    $second->start($path . $ports, as => $t);

    my $wait = sub ($weight) {
        return ok($t->wait_for(sub {
            $second->endpoint('ep')->{weight} == $weight
        }, 10, 'it to follow'), "it follows: $weight");
    };

    $wait->(0.2);
    $t->wait_for(sub { exists $second->endpoint('ep')->{durable} }, 10,
                 'the lock to be refused');
    my $endpoint = $second->endpoint('ep');
    ok(!$endpoint->{durable}, '"durable": false');
    like($endpoint->{waiting_for}{reason}, qr/another nginx, process \d+,/,
         'waiting_for tells why');
    is($second->load(connections => 1, count => 50, by_body => 1)
           ->result->{bodies}{v2}, 10, 'it serves');

    my $refused = $second->api_post('endpoints/ep/rollout/advance');
    is($refused->status, 503, 'it takes no step');
    like($refused->json->{detail}, qr/another nginx/, 'and says why');

    $t->verb(ep => 'advance');
    $wait->(0.5);

    my $paused = $second->verb(ep => 'pause');
    is($paused->{phase}, 'paused', 'pause has effect there');
    ok(!$paused->{durable}, 'not in the file');
    is($t->endpoint('ep')->{phase}, 'progressing', 'of the first');

    $t->verb(ep => $_) for qw(pause resume);
    is($t->verb(ep => 'advance')->{weight}, 0.7, 'which goes on');
    is($second->endpoint('ep')->{phase}, 'paused', 'alone');

    my @said = $second->error_log =~ /(\[warn.*another nginx.*)/g;
    is(scalar @said, 1, 'one line in the log');
    $t->stop;

    $t->wait_for(sub { !exists $second->endpoint('ep')->{durable} }, 10,
                 'the second one to have the file');
    is($second->endpoint('ep')->{phase}, 'paused', 'what was paused is so');
    is($second->endpoint('ep')->{weight}, 0.7, 'at the weight of the file');
    my @ids = map { $_->{id} } $second->events('ep');
    is("@ids", join(' ', sort { $b <=> $a } keys %{ { map { $_ => 1 } @ids } }),
       'event numbers rise, over both');
    is($second->verb(ep => 'resume')->{phase}, 'progressing', 'goes on');

    $second->stop;
    $second->start;
    is($second->endpoint('ep')->{phase}, 'progressing',
       'after a restart as well');
    is($second->stop, 0, 'the second ends');
};

SKIP: {
    my $library = faults_library();

    skip(lacks('faults'), 1) if lacks('faults');

    subtest 'a reload just when the file is taken over' => sub {
        my $second = Canary::Test->new(timeout => 240);
        my $path = 'canary_state_path ' . $t->dir . '/canary;';
        my $ports = $config =~ s/%%PORT_(v\d)%%/$t->port($1)/ger;
        my $faults = $second->dir . '/faults';

        unlink $t->dir . '/canary/state.json';
        $t->start;
        $t->start_rollout('ep', steps => [ 0.2, 0.5 ]);

        local $ENV{LD_PRELOAD} = $library;
        local $ENV{CANARY_FAULTS} = $faults;
        $second->start($path . $ports, as => $t);
        $second->wait_for(sub { exists $second->endpoint('ep')->{durable} },
                          10, 'the lock to be refused');

        # What happens now is not seen before the lock is had.

        my $helper = $second->helper_pid;
        $second->kill(STOP => $helper);
        $t->verb(ep => 'advance');
        $t->stop;
        $second->write_file('faults', "read 0 1500\n");
        $second->kill(CONT => $helper);
        $second->wait_for(sub { $second->read_file('faults.log') =~ /read/ },
                          10, 'the file to be read');

        # The next helper comes when this one has read it.

        $second->write_file('faults', "lock 0 3000\n");
        $second->reload;
        unlink $faults;

        $second->wait_for(sub { !exists $second->endpoint('ep')->{durable} },
                          10, 'the second one to have the file');
        is($second->endpoint('ep')->{weight}, 0.5,
           'nothing that the first one acknowledged is lost');
        is($second->stop, 0, 'the second ends');
    };
}

$t->finish;


# The workers of the old one end; its master stays, for the way back.

sub retire($old, $new) {
    kill WINCH => $old;
    $t->wait_for(sub {
        !$t->worker_pids && !$t->old_worker_pids && !$t->helper_pid;
    }, 15, 'the old workers to end');
    $t->turn_to($new);

    return;
}
