#!/usr/bin/perl

# Clients that leave before they have the whole answer: what abandoned_rate
# makes of them, and of attempts whose end is not known yet.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new(workers => 1);
my %server = map { $_ => $t->backend($_) } qw(v1 v2);
my @kinds = qw(header response);
my $plain = rule(abandoned_rate => 0.5, confidence => 'off',
                 min_requests => 4);

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream header {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_rule    abandoned_rate 10%;
    }

    upstream response {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_rule    abandoned_rate 10%;
        canary_latency response;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_http_version 1.1;
        proxy_buffering    off;

        location /header   { proxy_pass http://header; }
        location /response { proxy_pass http://response; }
        location /upgrade  {
            proxy_set_header Upgrade    $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_pass http://header;
        }
        location /given-up {
            send_timeout 1s;
            proxy_pass http://header;
        }
    }

    %%API%%
EOC


subtest 'streams that stall are rolled back' => sub {
    for my $endpoint (@kinds) {
        $server{v1}->set;
        $server{v2}->set(mode => 'hang_body');
        $t->start_rollout($endpoint, release => 'v2', rules => undef);

        $t->wait_for(sub {
            my @clients = map { begun($endpoint) } 1 .. 6;
            $_->close for @clients;
            return $t->endpoint($endpoint)->{phase} eq 'idle';
        }, 60, "$endpoint: a verdict");

        my $last = $t->endpoint($endpoint)->{last_rollout};
        is($last->{result}, 'rolled_back', "$endpoint: rolled back");
        like($last->{reason}, qr/^abandoned_rate /, 'by this rule');
        is($t->release($endpoint, 'v2')->{failed}, 0, 'and nothing failed');
    }
};

subtest 'an attempt is in flight until its response has ended' => sub {
    for my $endpoint (@kinds) {
        $server{v1}->set;
        $server{v2}->set(mode => 'hang_body');
        $t->start_rollout($endpoint, release => 'v2', on_violation => 'halt',
                          rules => [
            rule(abandoned_rate => 0.9, confidence => 'off',
                 min_requests => 1),
            rule(error_rate => 0.5, confidence => 'off', min_requests => 1),
        ]);
        my @clients = map { begun($endpoint) } 1 .. 4;
        is_verdicts($endpoint, ['undecided', $endpoint eq 'header'
                                ? 'passing' : 'undecided'],
                    "$endpoint: while they are, only the other may pass");
        is($t->endpoint($endpoint)->{rules}[0]{value}, 0, 'nobody has left');

        $_->close for @clients;
        is_value($endpoint, 0, [1, 2], "$endpoint: then they have");
        $t->verb($endpoint, 'rollback');
    }
};

subtest 'before the header too, and for no other rule' => sub {
    $server{v1}->set;
    $server{v2}->set(mode => 'hang');
    $t->start_rollout('header', release => 'v2', on_violation => 'halt',
                      rules => [$plain, rule(error_rate => 0.5)]);
    my @clients = map { $t->client->start(uri => '/header') } 1 .. 8;
    $t->wait_for(sub { $server{v2}->stats->{open} == 4 }, 30, 'all to come');
    $_->close for @clients;

    $t->wait_for(sub { $t->endpoint('header')->{phase} eq 'halted' }, 30,
                 'the rule to break');
    is_value('header', 0, [1, 4], 'they are its attempts');
    is_value('header', 1, [0, 0], 'and those of no other');
    $t->verb('header', 'rollback');
};

subtest 'who stays, and who is not to blame' => sub {
    $server{$_}->set for qw(v1 v2);
    $t->start_rollout('header', release => 'v2', on_violation => 'halt',
                      rules => [$plain]);
    is($t->get('/header')->status, 200, 'answered') for 1 .. 4;
    is_value('header', 0, [0, 2], 'whole answers');
    is_verdicts('header', ['undecided'], 'too few of them');

    $server{$_}->set(mode => 'close') for qw(v1 v2);
    $t->get('/header') for 1 .. 4;
    is_value('header', 0, [0, 4], 'attempts that failed');
    is_verdicts('header', ['passing'], 'it passes');

    $server{$_}->set(mode => 'upgrade') for qw(v1 v2);
    my @tunnels = map { upgraded() } 1 .. 4;
    $_->close for @tunnels;
    is_value('header', 0, [0, 6], 'tunnels that were closed');

    $server{$_}->set(body_size => 20_000_000) for qw(v1 v2);
    my @slow = map { begun('given-up') } 1 .. 4;
    $t->wait_for(sub {
        !($server{v1}->stats->{open} + $server{v2}->stats->{open})
    }, 60, 'nginx to give its clients up');
    is_value('header', 0, [0, 8], 'clients that nginx gave up');
    is($t->endpoint('header')->{phase}, 'progressing', 'nothing is broken');
    $t->verb('header', 'rollback');
};

subtest 'a rule that comes later, and goes' => sub {
    $server{v1}->set;
    $server{v2}->set(mode => 'hang_body');
    $t->start_rollout('header', release => 'v2', on_violation => 'halt');
    my @clients = map { begun('header') } 1 .. 4;
    $_->close for @clients;

    my $path = 'endpoints/header/rollout';
    my $patched = $t->api_patch($path,
        { canary_strategy => { rules => [$plain] } });
    is($patched->status, 200, 'the rule is added');
    @clients = map { begun('header') } 1 .. 6;
    $_->close for @clients;
    is_value('header', 0, [1, 3], 'it counts from then on');
    is($t->endpoint('header')->{phase}, 'progressing', 'too few');

    $t->api_patch($path, { canary_strategy => { rules => [
        rule(error_rate => 0.5) ] } });
    @clients = map { begun('header') } 1 .. 6;
    $_->close for @clients;
    is_value('header', 0, [0, 3], 'and is gone again');
    $t->verb('header', 'rollback');
};

$server{$_}->set for qw(v1 v2);

$t->finish;


# A client that has the beginning of its answer.

sub begun($path) {
    my $client = $t->client;

    $client->start(uri => "/$path");
    $client->read_bytes(2);

    return $client;
}


sub upgraded() {
    my $client = $t->client;

    $client->start(uri => '/upgrade', headers => { Upgrade => 'test' });
    $client->read_bytes(10);

    return $client;
}


sub is_verdicts($endpoint, $expected, $what) {
    my $got;

    eval {
        $t->wait_for(sub {
            $got = [map { $_->{verdict} } $t->endpoint($endpoint)->{rules}->@*];
            return "@$got" eq "@$expected";
        }, 10);
    };

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply($got, $expected, $what);
}


# The value of a rule, and the attempts that it was measured on.

sub is_value($endpoint, $n, $expected, $what) {
    my $got;

    eval {
        $t->wait_for(sub {
            my $rule = $t->endpoint($endpoint)->{rules}[$n];
            $got = [@$rule{qw(value attempts)}];
            return "@$got" eq "@$expected";
        }, 10);
    };

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply($got, $expected, $what);
}
