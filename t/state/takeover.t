# What two nginx count is one number: over a binary upgrade, there and back,
# and in a crash. And what is asked for while one gives the file to the other.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Canary::Test;
use Test::More;

my $library = faults_library();

my $t = Canary::Test->new(workers => 1, timeout => 300);
my $faults = $t->dir . '/faults';

$t->backend('v1');
my $v2 = $t->backend('v2', status => 500);

my $config = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_fallback off;
    }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://ep; }
    }
    %%API%%
EOC

my %sent = (200 => 0, 500 => 0);

SKIP: {
    skip 'no way to become the reaper of orphans', 7
        unless start_orphan();

    # WINCH is for a master that is a daemon, or a new binary.
    my $old = $t->master_pid;
    my $new = $t->upgrade;
    kill QUIT => $old;
    $t->wait_end($old);
    $t->turn_to($old = $new);

    subtest 'a binary upgrade' => sub {
        $t->wait_for(sub {
            $t->api_post('endpoints/ep/rollout', { canary_strategy => {
                progress_interval_seconds => 3600, progress_steps => [0.5],
                rules => [ rule(failed_requests_max => 1000) ] } })->status
                == 201;
        }, 20, 'a start');
        requests(40);
        $new = $t->upgrade;
        requests(40);
        retire($old, $new);
        is_counted('the new one has');
        requests(40);
        is_counted('and goes on');
    };

    subtest 'and back' => sub {
        kill HUP => $old;
        $t->turn_to($old);
        $t->wait_for(sub { $t->worker_pids && $t->helper_pid }, 20,
                     'the workers of the old one');
        requests(40);
        kill QUIT => $new;
        $t->wait_end($new);
        is_counted('the old one has');
        requests(40);
        is_counted('and goes on');
    };

    subtest 'once more, with a helper that is killed and a reload' => sub {
        $new = $t->upgrade;
        requests(40);
        retire($old, $new);
        is_counted('the new one has');
        $t->kill(KILL => $t->helper_pid);
        requests(20);
        is_counted('with another helper');
        $t->reload($config, gone => 1);
        requests(20);
        is_counted('reloaded');
        kill HUP => $old;
        $t->turn_to($old);
        $t->wait_for(sub { $t->worker_pids && $t->helper_pid }, 20,
                     'the workers of the old one');
        my $killed = $t->helper_pid;
        $t->kill(KILL => $killed);
        $t->wait_for(sub { ($t->helper_pid // $killed) != $killed }, 20,
                     'another helper of the old one');
        requests(20);
        kill QUIT => $new;
        $t->wait_end($new);
        is_counted('the old one has');
    };

    subtest 'a budget is broken by what both have seen' => sub {
        my $left = 1000 - $sent{500};
        requests(2 * $left);
        is($t->endpoint('ep')->{phase}, 'progressing', 'all of it is spent');
        requests(2);
        is($t->endpoint('ep')->{phase}, 'idle', 'one more is too many');
        is($sent{500}, 1001, 'of both');
    };

    subtest 'under load nothing is counted twice' => sub {
        $v2->set;
        $t->start_rollout('ep', steps => [0.5]);
        my $before = attempts();
        my $load = $t->load(connections => 2, keepalive => 0);
        $new = $t->upgrade;
        retire($old, $new);
        my $result = $load->stop;
        my $counted = attempts() - $before;
        cmp_ok($counted, '<=', $result->{requests}, 'not more than there were');
        cmp_ok($counted, '>=', $result->{requests} * 0.9, 'nor many fewer');
        kill QUIT => $old;
        $t->wait_end($old);
        $t->verb(ep => 'rollback');
    };

    SKIP: {
        skip(lacks('faults'), 2) if lacks('faults');

        subtest 'a write when the other one has just ended' => sub {
            $t->stop;
            start_orphan();
            $t->start_rollout('ep', steps => [ 0.2, 0.4, 0.6 ]);
            $old = $t->master_pid;
            $new = $t->upgrade;
            follow($new);
            my $helper = $t->helper_pid;
            $t->kill(STOP => $helper);
            kill QUIT => $old;
            $t->wait_end($old);
            my $asked = ask('advance');
            $t->endpoint('ep');
            $t->kill(CONT => $helper);
            my $answer = $asked->finish;
            is($answer->status, 200, 'waits for the lock')
                or diag $answer->body, substr $t->error_log, -6000;
            is($answer->json->{weight}, 0.4, 'and is done');
        };

        subtest 'a write while it writes its last word' => sub {
            $t->stop;
            {
                local $ENV{LD_PRELOAD} = $library;
                local $ENV{CANARY_FAULTS} = $faults;
                start_orphan();
            }
            $t->start_rollout('ep', steps => [ 0.2, 0.4, 0.6 ])
                if $t->endpoint('ep')->{phase} eq 'idle';
            my $weight = $t->endpoint('ep')->{weight};
            $old = $t->master_pid;
            my $old_worker = ($t->worker_pids)[0];
            $new = $t->upgrade;
            follow($new);
            unlink "$faults.log";
            $t->write_file('faults', "fsync 0 1500\n");
            kill QUIT => $old;
            $t->wait_for(sub { $t->read_file('faults.log') =~ /fsync/ }, 20,
                         'its last word');
            $t->wait_for(sub { !kill 0 => $old_worker }, 20,
                         'the end of its worker');
            my $answer = ask('advance')->finish;
            is($answer->status, 200, 'waits for it');
            cmp_ok($answer->json->{weight}, '>', $weight, 'and is done');
            $t->wait_end($old);
        };
    }

    $t->stop;
}

subtest 'a crash takes no more than a second from a budget' => sub {
    unlink $t->dir . '/canary/state.json';
    $v2->set(status => 500);
    $t->start($config);
    $t->start_rollout('ep', steps => [0.5], rules => [
        rule(failed_requests_max => 1000) ]);

    for my $spent (5, 10, 20) {
        requests($spent == 20 ? 20 : 10);
        ok($t->wait_for(sub {
            $t->read_file('canary/state.json') =~ /"canary":$spent\b/;
        }, 20, 'the file'), 'in the file without a change');
        $t->crash;
        $t->start;
        is($t->endpoint('ep')->{rules}[0]{value}, $spent, "$spent spent");
    }
    $t->allow_log(qr/exited on signal 9/);
};

$t->finish;


sub start_orphan() { return $t->start_orphan($config) }


sub ask($verb) {
    return $t->client('api')->start(method => 'POST',
        uri => "/canary/endpoints/ep/rollout/$verb");
}


# The workers of the old one end; its master stays, for the way back.

sub retire($old, $new) {
    kill WINCH => $old;
    $t->wait_for(sub {
        !$t->worker_pids && !$t->old_worker_pids && !$t->helper_pid;
    }, 20, 'the old workers to end');
    $t->turn_to($new);
    $t->wait_for(sub { !exists $t->endpoint('ep')->{durable} }, 20,
                 'the new one to have the file');

    return;
}


# Until the helper of the new one knows that another has the file.

sub follow($new) {
    $t->turn_to($new);
    $t->wait_for(sub {
        my $helper = $t->helper_pid // return 0;
        return $t->error_log =~ /\Q#$helper: canary: another nginx, process/;
    }, 20, 'the lock to be refused');

    return;
}


sub requests($n) {
    my $result = $t->load(connections => 1, count => $n, keepalive => 0)
        ->result;

    $sent{$_} += $result->{statuses}{$_} // 0 for keys %sent;

    return;
}


sub attempts() {
    my $endpoint = $t->endpoint('ep');
    my $sum = 0;

    $sum += $_->{attempts} for @{ $endpoint->{releases} };

    return $sum;
}


sub is_counted($name) {
    $t->wait_for(sub { attempts() >= $sent{200} + $sent{500} }, 20,
                 'what was counted');
    my $endpoint = $t->endpoint('ep');
    my %attempts = map { $_->{name} => $_->{attempts} }
        @{ $endpoint->{releases} };

    is($attempts{v1}, $sent{200}, "$name all attempts on v1");
    is($attempts{v2}, $sent{500}, 'and on v2');
    is($endpoint->{rules}[0]{value}, $sent{500}, 'and what was spent');

    return;
}
