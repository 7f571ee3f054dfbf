#!/usr/bin/perl

# canary_key once=time: of the attempts of one key within that time only the
# first is evidence, so that one client condemns nobody.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new(workers => 3);
my $users = 0;
my %server = map { $_ => $t->backend($_) } qw(v1 v2);

# The rules of these rollouts stop at three bad attempts that are evidence.
my @strict = (rule(failed_requests_max => 2),
              rule(error_rate => 1, confidence => 'off', min_requests => 3));
my @judging = (rule(error_4xx_rate => 0.1, burst_seconds => 0));

$t->start(conf('once=1h'));


subtest 'one visitor condemns nobody' => sub {
    begin('ep', \@judging);
    my $visitor = user_of('ep', 'v2');

    $server{v2}->set(status => 404);
    is(ask('/ep', $visitor)->status, 404, 'what is not there') for 1 .. 100;

    is($t->endpoint('ep')->{phase}, 'progressing', 'asked for again and again');
    is_seen('ep', 1, 'is one attempt of one');

    my $n = 0;
    $t->wait_for(sub {
        ask('/ep', 'many-' . $n++);
        return $t->endpoint('ep')->{phase} eq 'idle';
    }, 60, 'many to condemn it');
    $server{v2}->set;
    like($t->endpoint('ep')->{last_rollout}{reason}, qr/^error_4xx_rate /,
         'many visitors do');
};

subtest 'without it one visitor does' => sub {
    begin('plain', \@judging);
    my $visitor = user_of('plain', 'v2');

    $server{v2}->set(status => 404);
    $t->wait_for(sub {
        ask('/plain', $visitor);
        return $t->endpoint('plain')->{phase} eq 'idle';
    }, 60, 'it to be condemned');
    $server{v2}->set;
    like($t->endpoint('plain')->{last_rollout}{reason}, qr/^error_4xx_rate /,
         'as all attempts are evidence');
};

subtest 'repeats are counted, and nothing more' => sub {
    begin('ep', \@strict);

    for my $release (qw(v1 v2)) {
        my $user = user_of('ep', $release);
        ask('/ep', $user);
        my $before = $t->totals(ep => $release);
        my $seen = seen('ep');
        my $get = sub { ask('/ep', $user)->header('X-Role') };
        my $role = $release eq 'v1' ? 'stable' : 'canary';

        $server{$release}->set(delay_ms => 3000);
        is($get->(), $role, 'a repeat is late');
        $server{$release}->set(status => 500);
        $get->() for 1 .. 4;
        $server{$release}->set(mode => 'close');
        $get->() for 1 .. 5;
        $server{$release}->set;

        my $after = $t->totals(ep => $release);
        is($after->{attempts}, $before->{attempts} + 10, "$role: counted");
        is($after->{'5xx'}, ($before->{'5xx'} // 0) + 4, 'by class');
        is($after->{failed}, ($before->{failed} // 0) + 5, 'and as failures');
        is_seen('ep', $seen, 'no attempts of a rule');
    }

    my $endpoint = $t->endpoint('ep');
    is($endpoint->{phase}, 'progressing', 'nothing is broken');
    is($endpoint->{rules}[0]{value}, 0, 'no budget is spent');
    is_deeply($t->api_get('endpoints/ep/failures')->json->{failures}, [],
              'there is none in the list of failures');
    for my $latency (map { $_->{latency_ms} } $endpoint->{releases}->@*) {
        cmp_ok($latency->{p99}, '<', 2900, 'nor is it in the latencies');
        cmp_ok($latency->{avg}, '<', 1400, 'and their average');
    }
};

subtest 'the first is evidence as any other' => sub {
    my @users = map { user_of('ep', 'v2') } 1 .. 2;
    my $seen = seen('ep');

    $server{v2}->set(status => 500);
    ask('/ep', $_) for @users, @users;
    $server{v2}->set;

    my $endpoint = $t->endpoint('ep');
    is($endpoint->{rules}[0]{value}, 2, 'each spends of the budget once');
    is_seen('ep', $seen + 2, 'and is an attempt');
    is(scalar $t->api_get('endpoints/ep/failures')->json->{failures}->@*, 2,
       'and is in the list of failures');
};

subtest 'of all workers' => sub {
    needs('processes');
    begin('ep', \@strict);
    my $user = user_of('ep', 'v2');
    my %pids;

    $pids{ ask('/ep', $user)->header('X-Pid') } = 1;
    is_seen('ep', 1, 'the first one');
    $t->wait_for(sub {
        $pids{ ask('/ep', $user)->header('X-Pid') } = 1;
        return keys %pids > 1;
    }, 60, 'another worker');
    is_seen('ep', 1, 'is that of all of them');
};

subtest 'a new rollout begins anew' => sub {
    begin('ep', \@strict);
    my $user = user_of('ep', 'v2');
    ask('/ep', $user) for 1 .. 3;
    is_seen('ep', 1, 'the first one');

    begin('ep', \@strict);
    is_seen('ep', 0, 'then none');

    my $release;
    $release = ask('/ep', $user)->header('X-Release') for 1 .. 3;
    is_seen('ep', $release eq 'v2' ? 1 : 0, 'and again the first one');
};

subtest 'an empty key is nobody\'s' => sub {
    begin('ep', \@strict);

    my $canary = grep { ask('/ep', '')->header('X-Role') eq 'canary' } 1 .. 20;
    cmp_ok($canary, '>', 5, 'some go to the canary');
    is_seen('ep', $canary, 'each attempt counts');

    begin('ep', [rule(failed_requests_max => 2)]);
    $server{v2}->set(status => 500);
    ask('/ep', '') for 1 .. 30;
    $server{v2}->set;
    is($t->endpoint('ep')->{phase}, 'idle', 'and condemns');
};

subtest 'an attempt that is no evidence gives its key back' => sub {
    for my $endpoint (qw(ep response)) {
        begin($endpoint, \@strict);
        my $user = user_of($endpoint, 'v2');

        for my $n (1 .. 2) {
            my $aborted = $t->totals($endpoint => 'v2')->{aborted} // 0;

            $server{v2}->set(mode => 'hang');
            my $client = $t->client;
            $client->start(uri => "/$endpoint", headers => { 'X-User' => $user });
            $t->wait_for(sub { $server{v2}->stats->{open} }, 10, 'a request');
            $client->reset;
            $t->wait_for(sub {
                ($t->totals($endpoint => 'v2')->{aborted} // 0) > $aborted
            }, 10, 'it to be aborted');
            $server{v2}->set;
            is_seen($endpoint, 0, "$endpoint: an abort is no evidence");
        }

        ask("/$endpoint", $user) for 1 .. 3;
        is_seen($endpoint, 1, 'the next attempt is');
    }
};

subtest 'one that gave up after too long keeps it' => sub {
    begin('ep', [rule(latency_p90_max => 20, min_requests => 2,
                      confidence => 'off')]);
    my $user = user_of('ep', 'v2');

    for my $n (1 .. 2) {
        my $aborted = $t->totals(ep => 'v2')->{aborted} // 0;

        $server{v2}->set(mode => 'hang');
        my $client = $t->client;
        $client->start(uri => '/ep', headers => { 'X-User' => $user });
        $t->wait_for(sub { $server{v2}->stats->{open} }, 10, 'a request');
        $server{v1}->set(delay_ms => 100);
        $t->get('/late');
        $server{v1}->set;
        $client->reset;
        $t->wait_for(sub {
            ($t->totals(ep => 'v2')->{aborted} // 0) > $aborted
        }, 10, 'it to be aborted');
        $server{v2}->set;
    }
    is_seen('ep', 1, 'it was one of its time, and is none again');
};

subtest 'retries, and other reasons to be no evidence' => sub {
    begin('pair', \@strict);
    my $user = user_of('pair', 'v2');

    my $before = $t->totals(pair => 'v2')->{attempts};

    $server{v2}->next_requests(1, mode => 'close');
    is(ask('/pair', $user)->status, 200, 'a retry answers');
    is($t->totals(pair => 'v2')->{attempts}, $before + 2, 'two attempts');
    is_seen('pair', 1, 'of which the first is evidence');

    my $excluded = user_of('pair', 'v2');
    ask('/pair', $excluded, 'X-Probe' => 1) for 1 .. 2;
    is_seen('pair', 1, 'what is excluded takes no key');
    ask('/pair', $excluded) for 1 .. 2;
    is_seen('pair', 2, 'which counts then');
};

subtest 'a reload changes it at once' => sub {
    begin('ep', \@strict);
    my $user = user_of('ep', 'v2');
    ask('/ep', $user) for 1 .. 3;
    is_seen('ep', 1, 'an hour');

    $t->reload(conf('once=1h'), gone => 1);
    ask('/ep', $user) for 1 .. 3;
    is_seen('ep', 1, 'the same hour');

    $t->reload(conf('once=2h'), gone => 1);
    ask('/ep', $user) for 1 .. 3;
    is_seen('ep', 2, 'two hours');

    $t->reload(conf(''), gone => 1);
    ask('/ep', $user) for 1 .. 3;
    is_seen('ep', 5, 'no time');

    $t->reload(conf('once=1ms'), gone => 1);
    my $n = 0;
    $t->wait_for(sub {
        ask('/ep', $user);
        return seen('ep') >= 8;
    }, 30, 'a millisecond to be over three times');
};

subtest 'a killed worker takes keys with it' => sub {
    needs('processes');
    $t->reload(conf('once=1h'), gone => 1);
    begin('ep', \@strict);
    my $user = user_of('ep', 'v2');
    $server{v2}->set(mode => 'hang');
    my $client = $t->client;
    $client->start(uri => '/ep', headers => { 'X-User' => $user });
    $t->wait_for(sub { $server{v2}->stats->{open} }, 10, 'a request');
    kill KILL => $_ for $t->worker_pids;
    $t->allow_log(qr/worker process \d+ exited on signal 9/);
    $server{v2}->set;

    $t->wait_for(sub { eval { ask('/ep', 'other')->status == 200 } }, 20,
                 'other workers');
    my $seen = seen('ep');
    ask('/ep', $user) for 1 .. 3;
    is_seen('ep', $seen, 'until their time is over');
};

subtest 'the room that it needs' => sub {
    my %least = map { $_ => least($_) } '', 'once=1h';

    cmp_ok($least{'once=1h'}, '>=', $least{''} + 10 * 32, 'is known');
    cmp_ok($least{'once=1h'}, '<=', $least{''} + 10 * 34 + 64, 'exactly');

    my ($ok, $text) = $t->check(many($least{'once=1h'}, 'once=1h'));
    ok($ok, 'is enough') or diag($text);

    $t->stop;
    unlink $t->dir . '/canary/state.json';
    $t->start(many($least{'once=1h'}, 'once=1h'));
    like($t->reload(many($least{'once=1h'}, 'once=1h', 20), fails => 1),
         qr/too small for 20 endpoints/, 'and not for more');
    $t->allow_log(qr/too small for 20 endpoints/);

    $t->reload(many($least{'once=1h'}, '', 20), gone => 1);
    $t->start_rollout(ep1 => (release => 'v2'));
    is($t->endpoint('ep1')->{phase}, 'progressing',
       'what is not needed any more gives way');
};

subtest 'what is not accepted' => sub {
    for my $bad (qw(once once= once=0 once=0s once=-1 once=ten once=1.5h
                    once=366d Once=1h twice=1h 1h), 'once=1 h')
    {
        my ($ok, $text) = $t->check(conf(qq("$bad")));
        ok(!$ok, $bad);
        like($text, qr/parameter "\Q$bad\E" of "canary_key", it must be "once=" /,
             'is refused');
        like($text, qr/a time above 0 of at most 365d, such as "once=10m" in \S/,
             'and what would be right is said');
    }

    my ($ok, $text) = $t->check(conf('once=1h once=1h'));
    ok(!$ok, 'twice');
    like($text, qr/invalid number of arguments in "canary_key"/, 'neither');
};

$t->finish;


sub conf($once) {
    return <<"EOC";
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%% max_fails=0; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%% max_fails=0; }
    upstream pair_v2  {
        server 127.0.0.1:%%PORT_v2%% max_fails=0;
        server 127.0.0.1:%%PORT_v2%% max_fails=0;
    }

    upstream ep {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_key      \$http_x_user $once;
        canary_exclude  \$http_x_probe;
        canary_fallback off;
    }

    upstream plain {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_key      \$http_x_user;
        canary_exclude  \$http_x_probe;
        canary_fallback off;
    }

    upstream response {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_key      "u-\$http_x_user" $once;
        canary_latency  response;
        canary_exclude  \$http_x_probe;
        canary_fallback off;
    }

    upstream pair {
        canary_release  v1 model_v1;
        canary_release  v2 pair_v2;
        canary_key      \$http_x_user $once;
        canary_exclude  \$http_x_probe;
        canary_warmup   1h;
        canary_fallback off;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;

        add_header X-Release \$canary_release always;
        add_header X-Role    \$canary_role    always;
        add_header X-Pid     \$pid            always;

        location /ep       { proxy_pass http://ep; }
        location /plain    { proxy_pass http://plain; }
        location /response { proxy_pass http://response; }
        location /pair     { proxy_pass http://pair; }
        location /late     { proxy_pass http://model_v1; }
    }

    %%API%%
EOC
}


sub many($size, $once, $n = 10) {
    return join "\n", "canary_zone zone=canary:${size}k;", (map { <<"EOC"
    upstream model_$_ { server 127.0.0.1:%%PORT_$_%%; }
EOC
    } qw(v1 v2)), (map { <<"EOC"
    upstream ep$_ {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_key     \$http_x_user $once;
    }
EOC
    } 1 .. $n), '%%API%%';
}


sub least($once) {
    my (undef, $output) = $t->check(many(64, $once));

    return $output =~ /needs about (\d+)k/ ? $1 : die $output;
}


# A new rollout of half of the keys.

sub begin($endpoint, $rules) {
    $t->verb($endpoint => 'rollback')
        if $t->endpoint($endpoint)->{phase} ne 'idle';
    $t->start_rollout($endpoint, release => 'v2', steps => [0.5],
                      rules => $rules);
    return;
}


sub ask($uri, $user, %headers) {
    return $t->get($uri, headers => { 'X-User' => $user, %headers });
}


# One of that release: found by probes, which are no evidence.

sub user_of($endpoint, $release) {
    for (1 .. 100) {
        my $user = 'user-' . $users++;
        my $served = ask("/$endpoint", $user, 'X-Probe' => 1);

        return $user if $served->header('X-Release') eq $release;
    }

    die "no user of $release";
}


# Attempts that are evidence for the last rule.

sub seen($endpoint) {
    return $t->endpoint($endpoint)->{rules}[-1]{attempts};
}


sub is_seen($endpoint, $attempts, $what) {
    my $got;

    eval {
        $t->wait_for(sub {
            $got = seen($endpoint);
            return $got == $attempts;
        }, 5);
    };

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is($got, $attempts, $what);
}
