#!/usr/bin/perl

# Classes of answers of one's own with gRPC, where the answer's status comes
# behind its body, or in the header if there is none.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

needs('http_v2', 'http_grpc');

my $t = Canary::Test->new(workers => 1);
my %server = map { $_ => $t->backend($_, protocol => 'grpc') } qw(v1 v2);

$t->start(<<'EOC');
    map $upstream_trailer_grpc_status $exhausted { volatile; default 0; 8 1; }
    map $upstream_http_grpc_status $refused { volatile; default 0; 8 1; }

    upstream rpc_v1 { server 127.0.0.1:%%PORT_v1%% max_fails=0; }
    upstream rpc_v2 { server 127.0.0.1:%%PORT_v2%% max_fails=0; }

    upstream header {
        canary_release v1 rpc_v1;
        canary_release v2 rpc_v2;
        canary_match   exhausted $exhausted;
        canary_match   refused $refused;
        canary_match   shed $upstream_http_x_shed;
        canary_rule    match_rate 10% match=refused;
    }

    upstream response {
        canary_release v1 rpc_v1;
        canary_release v2 rpc_v2;
        canary_latency response;
        canary_match   exhausted $exhausted;
        canary_match   any $upstream_trailer_grpc_status;
        canary_match   shed $upstream_http_x_shed;
        canary_rule    match_rate 10% match=exhausted;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;

        location /header/   { grpc_pass grpc://header; }
        location /response/ { grpc_pass grpc://response; }
    }

    %%API%%
EOC


subtest 'a status in the trailers' => sub {
    $server{v1}->set;
    $server{v2}->set(grpc_status => 8);
    $t->start_rollout('response', release => 'v2', rules => undef);

    is_rolled_back('response', qr/^match_rate of exhausted [\d.]+ > 0\.1 /);
    is($t->release('response', 'v2')->{responses}{'5xx'}, 0,
       'and nothing else is wrong');
};

subtest 'is not known when the header is looked at' => sub {
    $t->start_rollout('header', release => 'v2', rules => [
        plain('exhausted') ]);
    call('header', 8);
    is_rule('header', [0, 4, 'undecided'], 'by the trailers: none');
    $t->verb('header', 'rollback');
};

subtest 'a status in the header' => sub {
    $server{v2}->set(grpc_status => 8, trailers_only => 1);
    $t->start_rollout('header', release => 'v2', rules => undef);

    is_rolled_back('header', qr/^match_rate of refused [\d.]+ > 0\.1 /);

    $t->start_rollout('response', release => 'v2', rules => [
        plain('exhausted') ]);
    call('response', 8);
    is_rule('response', [0, 4, 'undecided'], 'is none in the trailers');
    $t->verb('response', 'rollback');
};

# nginx sends a call again only if it has not been sent yet; some versions must
# not, or they use memory that is freed.

subtest 'what a retry is answered is not of the attempt before' => sub {
    my $safe = $t->version >= 1_029_005
        || ($t->version >= 1_028_002 && $t->version < 1_029_000);

    $server{v1}->set(headers => { 'x-shed' => 1 });
    $server{v2}->set(mode => 'refuse');

    for my $endpoint (qw(header response)) {
        $t->start_rollout($endpoint, release => 'v2', on_violation => 'halt',
                          rules => [ plain('shed') ]);

        is(scalar(grep { $_ eq 'v1' } call($endpoint, 8)), $safe ? 8 : 4,
           "$endpoint: answered by stable");
        is_rule($endpoint, [0, 4, 'undecided'], 'the canary met nobody');
        $t->verb($endpoint, 'rollback');
    }
    $server{$_}->set for qw(v1 v2);
};

subtest 'nor is what the canary answered of stable' => sub {
    $server{v2}->set(status => 503, headers => { 'x-shed' => 1 });

    for my $endpoint (qw(header response)) {
        $t->start_rollout($endpoint, release => 'v2', on_violation => 'halt',
                          rules => [ plain('shed'),
                                     plain('shed', baseline => 'stable') ]);

        call($endpoint, 8);
        is_rule($endpoint, [1, 4, 'undecided'], 'the canary is to blame');
        is($t->endpoint($endpoint)->{rules}[1]{value}, 1, 'and only that');
        $t->verb($endpoint, 'rollback');
    }
};

subtest 'a call that its client has cancelled is of no match' => sub {
    $server{v2}->set(grpc_status => 1);
    $t->start_rollout('response', release => 'v2', rules => [ plain('any') ]);
    call('response', 8);
    $t->wait_for(sub {
        $t->release('response', 'v2')->{aborted} >= 4;
    }, 30, 'the trailers');

    $server{v2}->set(grpc_status => 8);
    call('response', 8);
    is_rule('response', [1, 4, 'undecided'], 'those that were not are');
    $t->verb('response', 'rollback');
};

$t->finish;


sub plain($match, %parameter) {
    return rule(match_rate => 0.9, match => $match, confidence => 'off',
                min_requests => 1000, %parameter);
}


# Calls, and who answered them.

sub call($endpoint, $n) {
    return map {
        $t->get("/$endpoint/Method", method => 'POST', body => '',
                headers => { 'Content-Type' => 'application/grpc',
                             TE => 'trailers' })->header('X-Backend')
    } 1 .. $n;
}


sub is_rolled_back($endpoint, $reason) {
    $t->wait_for(sub {
        call($endpoint, 4);
        return $t->endpoint($endpoint)->{phase} eq 'idle';
    }, 60, "$endpoint: a verdict");

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $last = $t->endpoint($endpoint)->{last_rollout};
    is($last->{result}, 'rolled_back', "$endpoint: rolled back");
    like($last->{reason}, $reason, 'by this rule');

    return;
}


# The value of the first rule, its attempts, and its verdict.

sub is_rule($endpoint, $expected, $what) {
    my $got;

    eval {
        $t->wait_for(sub {
            my $rule = $t->endpoint($endpoint)->{rules}[0];
            $got = [@$rule{qw(value attempts verdict)}];
            return "@$got" eq "@$expected";
        }, 10);
    };

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply($got, $expected, "$endpoint: $what");
}
