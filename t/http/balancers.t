#!/usr/bin/perl

# A release balances its servers as its upstream block says: through an
# endpoint, as stable or as canary, as without one.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;
use Canary::Util qw(pause);

my $t = Canary::Test->new;
my %server = map { $_ => $t->backend($_) } qw(s1 s2 s3 other);

# The three ways to the servers of a method, which are the same in each.
my @ways = qw(direct stable canary);

my $s1 = 'server 127.0.0.1:%%PORT_s1%%';
my $s2 = 'server 127.0.0.1:%%PORT_s2%%';
my $s3 = 'server 127.0.0.1:%%PORT_s3%%';
my $long = 'fail_timeout=1h';    # meanwhile times are not forgotten

my $least_time = $t->version >= 1_031_000
    && $t->has('http_upstream_least_time');

# What stands in the upstream block; NAME is its own.
my %methods = (
    round_robin => "zone NAME 64k; $s1 weight=3; $s2; $s3;",
    no_zone     => "$s1; $s2; $s3;",
    hash        => "hash \$arg_key; $s1; $s2; $s3;",
    consistent  => "hash \$arg_key consistent; $s1 weight=2; $s2; $s3;",
    ip_hash     => "zone NAME 64k; ip_hash; $s1; $s2; $s3;",
    random      => "zone NAME 64k; random; $s1; $s2; $s3;",
    random_two  => "zone NAME 64k; random two least_conn; $s1; $s2; $s3;",
    least_conn  => "zone NAME 64k; least_conn; $s1; $s2;",
    max_conns   => "zone NAME 64k; $s1 max_conns=1; $s2;",
    max_fails   => "zone NAME 64k; $s1 max_fails=1 fail_timeout=1h; $s2;",
    backup      => "zone NAME 64k; $s1 max_fails=0; $s2 backup;",
    down        => "$s1 down; $s2;",
);

if ($least_time) {
    $methods{least_time} =
        "zone NAME 64k; least_time last_byte; $s1 $long; $s2 $long;";
    $methods{inflight} =
        "zone NAME 64k; least_time header inflight; $s1 $long; $s2 $long;";
}

my ($upstreams, $locations) = ('', '');

for my $method (sort keys %methods) {
    for my $name (map { "${_}_$method" } qw(direct a b)) {
        my $body = $methods{$method} =~ s/NAME/$name/r;
        $upstreams .= "    upstream $name { $body }\n";
    }
    $upstreams .= <<"EOC";
    upstream stable_$method {
        canary_release  v1 a_$method;
        canary_release  v2 other;
        canary_fallback off;
    }
    upstream canary_$method {
        canary_release  v1 other;
        canary_release  v2 b_$method;
        canary_fallback off;
    }
EOC
    for my $way (@ways) {
        $locations .= "        location /$way/$method"
            . " { proxy_pass http://${way}_$method; }\n";
    }
}

$t->start(<<"EOC");
    upstream other { server 127.0.0.1:%%PORT_other%%; }
$upstreams
    server {
        listen 127.0.0.1:%%PORT_http%%;
$locations
    }
    %%API%%
EOC

for my $method (sort keys %methods) {
    $t->start_rollout("canary_$method", steps => [1]);
}


for_each_way(round_robin => sub ($uri) {
    is_deeply(count_servers(map { $uri } 1 .. 100),
              { s1 => 60, s2 => 20, s3 => 20 }, 'by weight, exactly');
});

# Each worker goes around on its own.
for_each_way(no_zone => sub ($uri) {
    my $got = count_servers(map { $uri } 1 .. 90);

    is(scalar keys %$got, 3, 'all servers are used');
    cmp_ok(abs($got->{$_} - 30), '<=', 2, "evenly: $_") for keys %$got;
});

for my $method (qw(hash consistent)) {
    for_each_way($method => sub ($uri) {
        my @got = servers(map { "$uri?key=$_" } 1 .. 60);
        my @again = servers(map { "$uri?key=$_" } 1 .. 60);

        is_deeply(\@again, \@got, 'a key stays with its server');
        is_same_as_direct($method, \@got);
    });
}

for_each_way(ip_hash => sub ($uri) {
    my @got = map {
        $t->get($uri, local => "127.0.$_.1")->header('X-Backend')
    } 1 .. 40;

    is_same_as_direct('ip_hash', \@got);
});

for my $method (qw(random random_two)) {
    for_each_way($method => sub ($uri) {
        my $got = count_servers(map { $uri } 1 .. 300);

        cmp_ok($got->{$_} // 0, '>', 50, "$_ gets its part")
            for qw(s1 s2 s3);
    });
}

for my $method (qw(least_conn max_conns)) {
    for_each_way($method => sub ($uri) {
        my $busy = occupy_s1($uri);

        is_deeply(count_servers(map { $uri } 1 .. 20), { s2 => 20 },
                  'a busy server gets nothing');
        $busy->close;
    });
}

for_each_way(max_fails => sub ($uri) {
    $server{s1}->set(mode => 'close');
    my $before = $server{s1}->requests;

    is_deeply(count_servers(map { $uri } 1 .. 40), { s2 => 40 },
              'the other server answers all');
    is($server{s1}->requests - $before, 1,
       'the bad one was asked once, by all workers together');
    $server{s1}->set;
});

for_each_way(backup => sub ($uri) {
    is_deeply(count_servers(map { $uri } 1 .. 20), { s1 => 20 },
              'the backup rests');
    $server{s1}->set(mode => 'refuse');
    is_deeply(count_servers(map { $uri } 1 .. 20), { s2 => 20 },
              'until it is needed');
    $server{s1}->set;
    is_deeply(count_servers(map { $uri } 1 .. 20), { s1 => 20 },
              'and no longer');
});

for_each_way(down => sub ($uri) {
    is_deeply(count_servers(map { $uri } 1 .. 20), { s2 => 20 },
              'a server that is down gets nothing');
});

SKIP: {
    skip 'no least_time before nginx 1.31.0', 2 unless $least_time;

    for_each_way(least_time => sub ($uri) {
        $server{s2}->set(body_delay_ms => 500);
        is(count_servers(map { $uri } 1 .. 3)->{s2}, 1, 'each server is tried');
        is_deeply(count_servers(map { $uri } 1 .. 10), { s1 => 10 },
                  'and a slow one not again');
        $server{s2}->set;
    });

    # The balancer is notified of the header: a body takes as long as it does.
    for_each_way(inflight => sub ($uri) {
        $server{s2}->set(delay_ms => 500);
        is(count_servers(map { $uri } 1 .. 3)->{s2}, 1, 'each server is tried');

        $server{s1}->on("$uri/body", body_delay_ms => 3000);
        my $client = $t->client;
        my $before = $server{s1}->requests;
        $client->start(uri => "$uri/body");
        $t->wait_for(sub { $server{s1}->requests > $before }, 5,
                     's1 to be asked');
        pause(1.5);

        is_deeply(count_servers(map { $uri } 1 .. 5), { s1 => 5 },
                  'a server that only sends a body is fast');
        $client->close;
        $server{s2}->set;
    });
}

is($server{other}->requests, 0, 'the other release was never asked');

$t->finish;


sub for_each_way($method, $code) {
    subtest $method => sub {
        for my $way (@ways) {
            subtest $way => sub { $code->("/$way/$method") };
        }
    };

    return;
}


# The servers that answered, one after the other over one connection.

sub servers(@uris) {
    my $client = $t->client;

    return map { $client->get($_)->header('X-Backend') } @uris;
}


sub count_servers(@uris) {
    my %count;

    $count{$_}++ for servers(@uris);

    return \%count;
}


# `direct` comes first and is remembered.

sub is_same_as_direct($method, $got) {
    state %direct;
    my %used = map { $_ => 1 } @$got;

    $direct{$method} //= $got;
    is(scalar keys %used, 3, 'all servers are used');

    return is_deeply($got, $direct{$method}, 'as without an endpoint');
}


# A client whose request s1 does not answer.

sub occupy_s1($uri) {
    my $hang = "$uri/hang";
    my $before = $server{s1}->requests;

    $server{s1}->on($hang, mode => 'hang');

    for (1 .. 10) {
        my $client = $t->client;
        my $others = $server{s2}->requests;

        $client->start(uri => $hang);
        $t->wait_for(sub {
            $server{s1}->requests > $before || $server{s2}->requests > $others
        }, 5, 'the request to arrive');
        return $client if $server{s1}->requests > $before;

        $client->finish;
    }

    die "s1 is never asked\n";
}
