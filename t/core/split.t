#!/usr/bin/perl

# The canary's share of the requests: exact, for any number of workers and
# connections.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use List::Util qw(max min);
use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

my $http = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 32; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 32; }

    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }

    server {
        listen 127.0.0.1:%%PORT_http%% reuseport;
        add_header X-Pid $pid;

        location / {
            proxy_pass http://ep;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }

    %%API%%
EOC

$t->start($http, workers => 2);

subtest 'weight 0' => sub {
    is($t->endpoint('ep')->{phase}, 'idle', 'no rollout');
    is(send_requests(500)->{v2}, 0, 'nothing goes to the canary');
};

subtest 'the weight of a first step' => sub {
    for my $weight (0.01, 0.1, 0.37, 0.5) {
        $t->start_rollout('ep', steps => [$weight]);
        is_share($weight, 2);
        $t->verb(ep => 'rollback');
    }
};

subtest 'the weight of a PATCH' => sub {
    $t->start_rollout('ep', steps => [0.01]);

    for my $weight (0.5, 0.37, 0.1) {
        $t->set_weight(ep => $weight);
        is_share($weight, 2);
    }

    $t->verb(ep => 'rollback');
    is(send_requests(500)->{v2}, 0, 'nothing after the rollback');
};

subtest 'weight 1' => sub {
    $t->start_rollout('ep', steps => [1]);

    is($t->endpoint('ep')->{phase}, 'baking', 'at 100 % it bakes');
    is(send_requests(500)->{v1}, 0, 'nothing goes to stable');

    $t->verb(ep => 'rollback');
};

subtest 'connections that are kept' => sub {
    $t->start_rollout('ep', steps => [0.37]);
    is_share(0.37, 2, connections => 16, close => 0);
    $t->verb(ep => 'rollback');
};

subtest 'any run of requests of one worker' => sub {
    $t->start_rollout('ep', steps => [0.37]);

    my $result = $t->load(count => 500, sequence => 'X-Backend',
                          by => ['X-Pid'])->result;

    is(scalar keys %{ $result->{by}{'X-Pid'} }, 1, 'one worker served');
    cmp_ok(largest_deviation(0.37, @{ $result->{sequence} }), '<=', 1.001,
           'no run of requests is off by more than one');

    $t->verb(ep => 'rollback');
};

$t->stop;
$t->start(undef, workers => 4);

subtest 'four workers' => sub {
    needs('processes');
    for my $weight (0.1, 0.5) {
        $t->start_rollout('ep', steps => [$weight]);
        is_share($weight, 4, connections => 8);
        $t->verb(ep => 'rollback');
    }
};

$t->finish;


# By default over new connections, so that every worker gets some.

sub send_requests($count, %opt) {
    my $result = $t->load(connections => 4, close => 1, %opt,
                          count => $count,
                          by => [qw(X-Backend X-Pid)])->result;

    is($result->{statuses}{200}, $count, "$count requests are answered");

    return {
        v1      => $result->{by}{'X-Backend'}{v1} // 0,
        v2      => $result->{by}{'X-Backend'}{v2} // 0,
        workers => scalar keys %{ $result->{by}{'X-Pid'} },
    };
}


sub is_share($weight, $tolerance, %opt) {
    my $before = $v2->requests;
    my $sent = send_requests(2000, %opt);
    my $off = $sent->{v2} - $weight * 2000;

    cmp_ok(abs $off, '<=', $tolerance,
           "weight $weight: $sent->{v2} of 2000 went to the canary");
    cmp_ok($sent->{workers}, '>', 1, 'several workers served')
        if $t->has_processes;
    is($v2->requests - $before, $sent->{v2}, 'the backend agrees');

    my $served = $t->endpoint('ep')->{served_weight};
    cmp_ok(abs($served - $sent->{v2} / 2000), '<', 0.0006,
           'served_weight tells the real share');

    return;
}


# Over all runs of consecutive requests: how far the number of canary's is
# from its share.

sub largest_deviation($weight, @releases) {
    my $deviation = 0;
    my @deviations = 0;

    for my $release (@releases) {
        $deviation += ($release eq 'v2' ? 1 : 0) - $weight;
        push @deviations, $deviation;
    }

    return max(@deviations) - min(@deviations);
}
