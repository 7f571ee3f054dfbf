#!/usr/bin/perl

# Nobody has to watch: canaryctl events --follow --exec --state, over restarts
# of either side, and what contrib/events does with an event.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Path qw(remove_tree);
use JSON::PP ();
use POSIX ();
use Test::More;

use Canary::Ctl;
use Canary::Test;

use constant { DONE => 0, FAILED => 1, USAGE => 2 };

needs('processes', 'speed');

my $t = Canary::Test->new(workers => 2, timeout => 400);
my $hook = $t->backend('hook');
$t->backend($_) for qw(v1 v2);

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream ep {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_interval 1h;
        canary_rule     error_5xx_rate 10%;
    }

    upstream other {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_interval 1h;
        canary_rule     error_5xx_rate 10%;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://ep; }
    }

    # An API that has no stream of events.
    server {
        listen 127.0.0.1:%%PORT_poll%%;
        location /poll/ { canary_api; }
        location = /poll/events { return 404; }
    }

    %%API%%
EOC

my $dir = $t->dir;
my $ctl = Canary::Ctl->new($t,
    'http://127.0.0.1:' . $t->port('api') . '/canary/');
my $contrib = "$FindBin::Bin/../../contrib/events";

# The command writes an event when it begins, and waits while there is a file.
my $tell = "cat >>$dir/told; while [ -e $dir/wait ]; do sleep 0.1; done;"
    . " [ ! -e $dir/fail ]";
my @state = ('--state', "$dir/last");


subtest 'it begins now' => sub {
    reset_told();
    my @before = (event(), event());
    my $run = follow();

    is(last_told(), $before[-1], 'the number of the last event is put down');
    my @new = (event(), event('other'));
    wait_last($new[-1]);
    is_deeply([ told() ], \@new, 'what was before is not told');
    is(($t->read_file('told') =~ tr/\n//), 2, 'each is a line');

    my ($event) = map { JSON::PP::decode_json($_) }
        grep { /"id":$new[0],/ } split /\n/, $t->read_file('told');
    my ($shown) = grep { $_->{id} == $new[0] } $t->events('ep');
    is_deeply($event, $shown, 'as the API has it');

    end($run);
};

subtest 'over a restart of canaryctl' => sub {
    reset_told();
    for my $signal (qw(KILL TERM INT)) {
        reset_told();
        my $run = follow();
        my @new = (event());
        wait_last($new[-1]);
        end($run, $signal);

        push @new, event('other'), event();
        $run = follow();
        push @new, event();
        wait_last($new[-1]);
        is_deeply([ told() ], \@new, "$signal: each once");
        end($run);
    }
};

subtest 'killed while the command runs' => sub {
    reset_told();
    $t->write_file('wait', '');

    my $run = follow();
    my @new = (event());
    wait_told(@new);
    end($run, 'KILL');

    $run = follow(waits => 1);
    push @new, event();
    unlink "$dir/wait";
    wait_last($new[-1]);
    is_deeply([ told() ], \@new, 'the command goes on, and is not run twice');
    end($run);
};

subtest 'ended while the command runs' => sub {
    reset_told();
    $t->write_file('wait', '');

    my $run = follow();
    my @new = (event());
    wait_told(@new);
    kill TERM => $run->{pid};
    unlink "$dir/wait";
    $ctl->finish($run);
    is($run->{signal}, POSIX::SIGTERM());
    is(last_told(), $new[-1], 'it was waited for');

    $run = follow();
    push @new, event();
    wait_last($new[-1]);
    is_deeply([ told() ], \@new);
    end($run);
};

subtest 'one at a time' => sub {
    reset_told();
    my $run = follow();
    my @new = (event());

    wait_last($new[-1]);    # it has the file
    my $second = follow(waits => 1);
    end($run);
    push @new, event();
    wait_last($new[-1]);
    is_deeply([ told() ], \@new, 'the second one goes on from there');
    end($second);
};

subtest 'a command that fails' => sub {
    reset_told();
    $t->write_file('fail', '');

    my $run = follow();
    my $last = last_told();
    my @new = (event(), event());
    wait_err($run, qr/the command for event $new[0] ended with status 1\n/);
    is(last_told(), $last, 'is not put down');

    # A restart does not lose it either.
    end($run);
    $run = follow();
    wait_err($run, qr/the command for event $new[0] ended with status 1\n/);
    unlink "$dir/fail";
    wait_last($new[-1]);
    my @told = told();
    is($told[-1], $new[1], 'the next one waits');
    is_deeply([ grep { $_ != $new[0] } @told ], [ $new[1] ]);
    wait_err($run, qr/Event $new[0] is told, after \d+ tries\./);
    end($run);

    my $killed = follow(exec => 'kill -9 $$');
    event();
    wait_err($killed, qr/was ended by signal 9/);
    end($killed);

    $run = follow();
    wait_last(newest());
    end($run);
};

subtest 'a command that does not read' => sub {
    reset_told();
    my $run = follow(exec => "echo x >>$dir/count");
    my @new = (event(), event());

    wait_last($new[-1]);
    is($t->read_file('count'), "x\nx\n");
    end($run);
};

subtest 'over a restart, a crash and a reload of nginx' => sub {
    reset_told();
    my $run = follow();
    my $lost = 0;
    my @new;

    for my $how (qw(stop crash)) {
        $lost++;
        push @new, event();
        wait_last($new[-1]);
        $t->$how;
        wait_err($run, qr/(?:Trying again each second.*){$lost}/s);
        $t->start;
        push @new, event(), event('other');
        wait_last($new[-1]);
        is_deeply([ told() ], \@new, "$how: each once");
    }

    $t->reload;
    push @new, event();
    wait_last($new[-1]);
    is_deeply([ told() ], \@new, 'reload: each once');
    end($run);
};

subtest 'without a stream' => sub {
    reset_told();
    my $run = follow(url => 'http://127.0.0.1:' . $t->port('poll') . '/poll/');
    my @new = (event(), event('other'));

    wait_last($new[-1]);
    push @new, event();
    wait_last($new[-1]);
    is_deeply([ told() ], \@new);
    end($run);
};

subtest 'a nginx that has lost its state counts anew' => sub {
    reset_told();
    my $run = follow();
    my @new = (event());
    wait_last($new[-1]);

    $t->stop;
    remove_tree("$dir/canary");
    $t->start;
    push @new, event(), event();
    wait_last($new[-1]);
    cmp_ok($new[-1], '<', $new[0], 'from the beginning');
    is_deeply([ told() ], \@new, 'and is told');

    end($run);
    $run = follow();
    push @new, event();
    wait_last($new[-1]);
    is_deeply([ told() ], \@new, 'none twice');
    end($run);
};

subtest 'of one endpoint, and from some event on' => sub {
    reset_told();
    my $after = newest();
    my @new = (event(), event('other'), event());
    my $run = $ctl->start('events', 'ep', '--follow', '--exec', $tell,
                          '--after', $after);

    ok(wait_told($new[0], $new[2]), 'of one endpoint');
    end($run);

    reset_told();
    $run = $ctl->start('events', '--follow', '--after', $after, '--exec',
                       $tell, '--state', "$dir/other");
    ok(wait_told(@new), 'of all, where the file does not know better');
    end($run);
};

subtest 'a number alone is enough' => sub {
    reset_told();
    my @new = (event(), event());

    $t->write_file('last', ($new[0] - 1) . "\n");
    my $run = follow();
    wait_last($new[-1]);
    is_deeply([ told() ], \@new);
    end($run);
};

subtest 'events that are shown have a state too' => sub {
    reset_told();
    my @args = ('events', '--follow', '--json', @state);
    my $run = $ctl->start(@args);
    my @new = (event());

    ok($ctl->wait_output($run, qr/"id":$new[0],/), 'the new one is shown');
    wait_last($new[0]);
    end($run);

    push @new, event();
    $run = $ctl->start(@args);
    ok($ctl->wait_output($run, qr/\A\{"id":$new[1],/), 'and is not again');
    end($run);
};

subtest 'what is wrong is told' => sub {
    reset_told();
    for my $args ([ '--exec', 'true' ], @state ? [ @state ] : ()) {
        my $run = $ctl->run('events', @$args);

        is($run->{status}, USAGE, "@$args");
        like($run->{err}, qr/--exec and --state go with --follow/);
    }

    $t->write_file('bad', "not a number\n");
    my $run = $ctl->run('events', '--follow', '--state', "$dir/bad");
    is($run->{status}, FAILED);
    like($run->{err}, qr{/bad does not hold the number of an event});
    is($t->read_file('bad'), "not a number\n", 'and is not touched');

    $run = $ctl->run('events', '--follow', '--state', "$dir/no/where");
    is($run->{status}, FAILED);
    like($run->{err}, qr{cannot use \S+/no/where .*: No such file});
};


# The examples.

subtest 'a webhook' => sub {
    reset_told();
    needs('curl');

    my $run = follow(exec => "$contrib/webhook", env =>
        { CANARY_WEBHOOK => 'http://127.0.0.1:' . $t->port('hook') . '/x' });

    $hook->next_requests(1, status => 503);
    my @new = (event(), event());
    wait_last($new[-1]);
    is($hook->requests, 3, 'a receiver that fails is asked again');
    end($run);
    like($run->{err}, qr/503/, 'and is told of');

    my @log = $hook->log;
    is($log[0]{method}, 'POST');

    $hook->stop;
    $run = follow(exec => "$contrib/webhook");
    event();
    wait_err($run, qr/CANARY_WEBHOOK: is the URL/);
    end($run);
    $run = follow();
    wait_last(newest());
    end($run);
};

subtest 'mail' => sub {
    reset_told();
    mkdir "$dir/bin";
    $t->write_file('bin/sendmail', "#!/bin/sh\nexec cat >>$dir/mails\n");
    chmod 0755, "$dir/bin/sendmail";

    my $run = follow(exec => "$contrib/mail", env => {
        CANARY_MAIL_TO => 'oncall@example.com', PATH => "$dir/bin:$ENV{PATH}" });
    my @new = (event(), event());
    wait_last($new[-1]);
    end($run);

    my $mails = $t->read_file('mails');
    is(scalar(() = $mails =~ /^To: oncall\@example\.com$/mg), 1,
       'of what somebody wants to know');
    like($mails, qr/^Subject: ep: .*rolled back$/m);
    like($mails, qr/^no good$/m, 'with the reason');
};

subtest 'the unit' => sub {
    reset_told();
    plan(skip_all => 'no systemd-analyze')
        if system('command -v systemd-analyze >/dev/null') != 0;
    my $said = qx(systemd-analyze verify '$contrib/canary-events.service' 2>&1);
    unlike($said, qr/Unknown|Failed to parse|Invalid/i, 'systemd takes it')
        or diag($said);
};

$t->finish;


# The number of a new event: a start, or a rollback.

sub event ($name = 'ep') {
    if ($t->endpoint($name)->{phase} eq 'idle') {
        $t->start_rollout($name);

    } else {
        $t->verb($name, 'rollback', { reason => 'no good' });
    }

    return ($t->events($name))[0]{id};
}

sub newest () {
    my ($newest) = sort { $b <=> $a } map { $_->{id} }
        map { $t->events($_) } qw(ep other);

    return $newest;
}

# A canaryctl that has begun, or waits for another.

sub follow (%opt) {
    my $run = $ctl->start({ env => $opt{env} // {} },
        $opt{url} ? ('--url', $opt{url}) : (), 'events', '--follow',
        '--exec', $opt{exec} // $tell, @state);

    $t->wait_for(sub {
        return last_told() ne '' unless $opt{waits};
        $ctl->output($run);
        return $run->{err} =~ /Another canaryctl/;
    }, 30, 'canaryctl to begin');

    return $run;
}

sub end ($run, $signal = 'TERM') {
    return $ctl->finish($run, $signal);
}

sub told () {
    return map { JSON::PP::decode_json($_)->{id} }
        split /\n/, $t->read_file('told');
}

sub reset_told () {
    unlink "$dir/told";

    return;
}

sub wait_err ($run, $pattern) {
    return $t->wait_for(sub { $ctl->output($run); $run->{err} =~ $pattern },
                        60, "$pattern");
}

sub wait_told (@ids) {
    return $t->wait_for(sub { "@{[ told() ]}" eq "@ids" }, 30,
                        "@ids to be told");
}

sub last_told () {
    return $t->read_file('last') =~ /\A(\d+)\n/ ? $1 : '';
}

sub wait_last ($id) {
    return $t->wait_for(sub { last_told() eq $id }, 60,
                        "event $id to be put down");
}
