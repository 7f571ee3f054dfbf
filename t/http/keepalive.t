#!/usr/bin/perl

# Connections to the servers of a release are kept and used again.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

my $http = <<'EOC';
    upstream model_v1 {
        server 127.0.0.1:%%PORT_v1%%;
        keepalive 4;
    }

    upstream model_v2 {
        zone model_v2 64k;
        least_conn;
        server 127.0.0.1:%%PORT_v2%%;
        keepalive 4;
    }

    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }

    server {
        listen 127.0.0.1:%%PORT_http%% reuseport;
        proxy_http_version 1.1;
        proxy_set_header Connection "";

        location / {
            proxy_pass http://ep;
            proxy_next_upstream error timeout http_500;
        }
    }

    %%API%%
EOC

# With one worker there is one connection.
$t->start($http, workers => 1);

subtest 'idle' => sub {
    my $sent = send_requests(200);

    is_deeply($sent->{v1}, { requests => 200, accepted => 1 }, 'stable');
    is_deeply($sent->{v2}, { requests => 0, accepted => 0 }, 'canary');
};

subtest 'a rollout' => sub {
    $t->start_rollout('ep', steps => [0.5]);
    my $sent = send_requests(200);

    is($sent->{v1}{accepted}, 0, "stable's connection is used on");
    is($sent->{v2}{accepted}, 1, 'the canary has one');
    is($sent->{v1}{requests} + $sent->{v2}{requests}, 200,
       'one attempt a request');
    cmp_ok(abs($sent->{v2}{requests} - 100), '<=', 1, 'half of them there');
};

subtest 'a rollback and the next rollout' => sub {
    $t->verb(ep => 'rollback');
    is(send_requests(50)->{v1}{accepted}, 0, 'stable goes on with its own');

    $t->start_rollout('ep', steps => [1]);
    is(send_requests(50)->{v2}{accepted}, 0, 'so does the canary');
};

subtest 'a promotion' => sub {
    $t->verb(ep => 'promote');
    is($t->endpoint('ep')->{stable}, 'v2', 'v2 is stable');

    my $sent = send_requests(50);
    is_deeply($sent->{v2}, { requests => 50, accepted => 0 },
              'its connection is used on');
};

# Now v1 is the canary.
for my $bad ({ status => 500 }, { mode => 'close' }, { mode => 'reset' }) {
    my ($what) = values %$bad;

    subtest "fallbacks from a canary with $what" => sub {
        $v1->set(%$bad);
        $t->start_rollout('ep', steps => [0.5]);
        my $sent = send_requests(100);

        is($sent->{v2}{requests}, 100, 'stable answers all');
        is($sent->{v2}{accepted}, 0, 'over the connection that it had');
        cmp_ok($sent->{v1}{requests}, '>=', 49, 'the canary was asked');

        $t->verb(ep => 'rollback');
        $v1->set;
    };
}

subtest 'a good canary after a bad one' => sub {
    $t->start_rollout('ep', steps => [1]);
    cmp_ok(send_requests(100)->{v1}{accepted}, '<=', 1, 'one connection');
    $t->verb(ep => 'rollback');
};

subtest 'several clients at once' => sub {
    $t->start_rollout('ep', steps => [0.5]);
    my $sent = send_requests(400, connections => 4);

    cmp_ok($sent->{v1}{accepted} + $sent->{v2}{accepted}, '<=', 8,
           'a connection for each of them and release at most');
    $t->verb(ep => 'rollback');
};

$t->stop;
$t->start(undef, workers => 2);

subtest 'two workers' => sub {
    $t->start_rollout('ep', steps => [0.5]);
    my $sent = send_requests(200, close => 1);

    is($sent->{v1}{requests} + $sent->{v2}{requests}, 200,
       'one attempt a request');
    for my $release (qw(v1 v2)) {
        cmp_ok($sent->{$release}{accepted}, '<=', 2,
               "$release: a connection for each worker");
    }
};

$t->finish;


# What both backends counted while the requests were sent.

sub send_requests($count, %opt) {
    my %before = map { $_->name => $_->stats } $v1, $v2;
    my $result = $t->load(%opt, count => $count)->result;
    my %counted;

    is($result->{statuses}{200}, $count, "$count requests are answered");

    for my $backend ($v1, $v2) {
        my ($then, $now) = ($before{ $backend->name }, $backend->stats);

        $counted{ $backend->name } = {
            map { $_ => $now->{$_} - $then->{$_} } qw(requests accepted)
        };
    }

    return \%counted;
}
