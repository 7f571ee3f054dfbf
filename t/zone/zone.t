#!/usr/bin/perl

# A zone that is full: what does not fit is refused, shared or told to be
# missing, and requests are served all the same.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use List::Util qw(sum0);
use Test::More;

use Canary::Test;

use constant ENDPOINTS => 100;

my $t = Canary::Test->new(workers => 2);

$t->backend('v1');
$t->backend('v2');

my (undef, $output) = $t->check(conf('64k'));
my ($size) = $output =~ /needs about (\d+)k/;

$t->start(conf("${size}k"));


subtest 'the least zone serves and counts' => sub {
    ask('v1', 1);
    is(missing('v1', 1), 0, 'each endpoint');
};

subtest 'workers share what they count in' => sub {
    ask('v1', 5);
    is(missing('v1', 6), 0, 'and nothing is lost');
};

subtest 'what finds no memory at all' => sub {
    $t->allow_log(qr/canary: no memory in canary_zone/);
    ask('v2', 5);

    my $missing = missing('v2', 5);
    cmp_ok($missing, '>', 0, "$missing attempts could not be counted");

    my @told = $t->error_log =~ /no memory in canary_zone "little" to count attempts on release "(\w+)" of "(\w+)"/g;
    my %times;

    while (my ($release, $endpoint) = splice @told, 0, 2) {
        is($release, 'v2', 'told of the right one') if $release ne 'v2';
        $times{$endpoint}++;
    }

    my @missed = grep { missing_of($_, 'v2', 5) } 1 .. ENDPOINTS;
    is_deeply([ grep { !$times{"ep$_"} } @missed ], [],
              'the log tells of each');
    is_deeply([ grep { $_ > 2 } values %times ], [],
              'once a worker');
};

subtest 'a rollout that does not fit' => sub {
    my $response = begin(1);

    is($response->status, 503, 'is refused');
    like($response->json->{detail},
         qr/^canary_zone "little" of ${size}k is full: .* needs about \d+k$/,
         'which tells why, and how much would be enough');
    is($t->endpoint('ep1')->{phase}, 'idle', 'and does not begin');
};

subtest 'a larger zone' => sub {
    needs('processes');
    my $counted = ENDPOINTS * 5 - missing('v2', 5);

    $t->reload(conf('2m'), gone => 1);
    is(missing('v1', 6), 0, 'has what was counted');
    is(ENDPOINTS * 5 - missing('v2', 5), $counted, 'of both');

    ask('v2', 3);
    is(ENDPOINTS * 8 - missing('v2', 8), $counted + ENDPOINTS * 3,
       'and room for more');
    $t->start_rollout('ep1');
    is($t->endpoint('ep1')->{phase}, 'progressing', 'also for a rollout');
};

subtest 'rollouts that have ended make room' => sub {
    my ($size) = ($t->check(conf('64k')))[1] =~ /needs about (\d+)k/;
    $t->stop;
    unlink $t->dir . '/canary/state.json';
    $t->start(conf(($size + 1024) . 'k'));

    my @fit = grep { begins($_) } 1 .. ENDPOINTS;
    my @refused = grep { my $n = $_; !grep { $_ == $n } @fit } 1 .. ENDPOINTS;
    cmp_ok(scalar @fit, '>', 3, 'some rollouts run at once');
    cmp_ok(scalar @refused, '>', @fit, 'others are refused');

    $t->verb("ep$_" => 'rollback') for @fit;
    ok(begins($refused[0]), 'one of these begins when the others have ended');
    $t->verb("ep$refused[0]" => 'rollback');

    my @then = grep { begins($_) } @fit;
    cmp_ok(scalar @then, '>=', @fit - 2, 'and nearly as many as before fit');
    is(scalar $t->events("ep$refused[0]"), 2, 'each has its events');
};

subtest 'a zone of the size that was told' => sub {
    my ($told) = map { $_->body =~ /at once it needs about (\d+)k/ }
        map { begin($_) } 1 .. ENDPOINTS;
    my ($tested) = ($t->check(conf('64k')))[1]
        =~ /, and (\d+)k for rollouts of all/;
    is($tested, $told, 'by nginx -t too');

    $t->stop;
    unlink $t->dir . '/canary/state.json';
    $t->start(conf("${told}k"));
    ask('v1', 1);
    ask('v2', 1);
    is_deeply([ grep { !begins($_) } 1 .. ENDPOINTS ], [],
              'holds rollouts of all endpoints');
    ask('v1', 3);
    ask('v2', 3);
    is(missing('v1', 4) + missing('v2', 4), 0, 'counts all of it');
};

subtest 'releases that are gone' => sub {
    needs('processes');
    my $told = told();
    my $output = ($t->check(one_endpoint('64k', 'r0')))[1];
    my ($least) = $output =~ /needs about (\d+k)/;
    my @lost;

    for my $n (1 .. 40) {
        $t->reload(one_endpoint($least, "r$n"), gone => 1);
        $t->get('/1?release=r' . $n) for 1 .. 8;
        push @lost, $n if $t->release(ep1 => "r$n")->{attempts} != 8;
    }

    is_deeply(\@lost, [], 'take little of the zone');
    is(told(), $told, 'so that there is memory for the next ones');

    $t->reload(one_endpoint($least, 'r7'), gone => 1);
    is($t->release(ep1 => 'r7')->{attempts}, 8,
       'and are remembered when they come back');
    $t->get('/1?release=r7');
    is($t->release(ep1 => 'r7')->{attempts}, 9, 'to be counted on');
};

$t->finish;


sub begin($n) {
    return $t->api_post("endpoints/ep$n/rollout",
                        { canary_strategy => { rules => [
                            rule(failed_requests_max => 5) ] } });
}


# Whether the zone has room for a rollout.

sub begins($n) {
    my $response = begin($n);

    return 1 if $response->status == 201;
    die $response->body if $response->body !~ /canary_zone/;

    return 0;
}


# How often the log has told that there is no memory to count in.

sub told() {
    return scalar(() = $t->error_log =~ /no memory in canary_zone/g);
}


sub one_endpoint($size, $canary) {
    return <<~"EOC";
        canary_zone zone=one:$size;
        upstream model { server 127.0.0.1:%%PORT_v1%%; keepalive 8; }
        upstream ep1 {
            canary_release v1 model;
            canary_release $canary model;
            canary_force   \$arg_release;
        }
        server {
            listen 127.0.0.1:%%PORT_http%%;
            location / { proxy_pass http://ep1; }
        }
        %%API%%
        EOC
}


sub conf($size) {
    my $endpoints = join '', map { <<~"EOC" } 1 .. ENDPOINTS;
        upstream ep$_ {
            canary_release v1 model_v1;
            canary_release v2 model_v2;
            canary_force   \$arg_release;
        }
        EOC
    my $locations = join '', map {
        "location = /$_ { proxy_pass http://ep$_; }\n"
    } 1 .. ENDPOINTS;

    return <<~"EOC";
        canary_zone zone=little:$size;
        upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 8; }
        upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 8; }
        $endpoints
        server {
            listen 127.0.0.1:%%PORT_http%%;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            $locations
        }
        %%API%%
        EOC
}


# Each endpoint so many times, by connections to any worker.

sub ask($release, $times) {
    my @uris = map { "/$_?release=$release" } 1 .. ENDPOINTS;

    for my $uri (@uris) {
        for (1 .. $times) {
            my $status = $t->get($uri)->status;

            die "$uri: $status" if $status != 200;
        }
    }

    return;
}


# Attempts that are not in the totals, as they should be.

sub missing($release, $times) {
    my %attempts = map { $_->{name} => $_ }
        @{ $t->api_get('endpoints')->json->{endpoints} };

    return sum0(map {
        my ($of) = grep { $_->{name} eq $release } @{ $_->{releases} };
        $times - $of->{attempts};
    } values %attempts);
}


sub missing_of($n, $release, $times) {
    return $times - $t->release("ep$n" => $release)->{attempts};
}
