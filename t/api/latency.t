#!/usr/bin/perl

# The latencies of a release are told while there is traffic, and no longer.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Canary::Ctl;
use Canary::Test;
use Test::More;

my $library = faults_library();

needs('faults');

my $t = Canary::Test->new(workers => 2);
my $faults = $t->dir . '/faults';
my $later = 0;

$t->backend($_) for qw(v1 v2);

my $http = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream ep {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://ep; }
    }

    %%API%%
EOC

start();

my $ctl = Canary::Ctl->new($t, 'http://127.0.0.1:' . $t->port('api')
    . '/canary/');


subtest 'before the first attempt there are none' => sub {
    is(latency($_), undef, $_) for qw(v1 v2);
};

subtest 'those of a release that answers' => sub {
    $t->get('/') for 1 .. 4;
    is(ref latency('v1'), 'HASH', 'v1');
    is(latency('v2'), undef, 'the other has none');
    like(row('p99 ms'), qr/^p99 ms +[\d.]+ +-$/, 'nor for canaryctl');

    $t->start_rollout('ep', steps => [0.5], interval => 86400);
    is(ref latency('v1'), 'HASH', 'a step begins');
    is(latency('v1')->{p50}, undef, 'with none of its own');

    $t->get('/') for 1 .. 8;
    ok(latency($_)->{p50} > 0, $_) for qw(v1 v2);
};

subtest 'a reload changes nothing' => sub {
    $t->reload;
    ok(latency($_)->{p50} > 0, $_) for qw(v1 v2);
};

subtest 'when the traffic ceases they are gone, and not the totals' => sub {
    $t->wait_for(sub { $later += 70_000; set_clock(); !defined latency('v2') });
    is(latency('v1'), undef, 'of both');
    is($t->release(ep => 'v2')->{attempts}, 4);
    like(row('p99 ms'), qr/^p99 ms +- +-$/);

    is($t->get('/')->status, 200) for 1 .. 2;
    ok(latency($_)->{p50} > 0, "$_ again") for qw(v1 v2);
};

subtest 'without a rollout, too' => sub {
    $t->verb(ep => 'rollback');
    $t->get('/') for 1 .. 2;
    ok(latency('v1')->{avg} > 0);
    $t->wait_for(sub { $later += 70_000; set_clock(); !defined latency('v1') });
    $t->get('/');
    is(ref latency('v1'), 'HASH');
    is(latency('v2'), undef, 'for each release alone');
};

subtest 'after a restart there are none' => sub {
    $t->stop;
    start();
    is(latency('v1'), undef);
    ok($t->release(ep => 'v1')->{attempts} > 8);
    $t->get('/');
    ok(latency('v1')->{avg} > 0);
};

$t->finish;


sub start() {
    local $ENV{LD_PRELOAD} = $library;
    local $ENV{CANARY_FAULTS} = $faults;

    return $t->start($http);
}


sub set_clock() {
    $t->write_file('faults.tmp', "clock 0 $later\n");
    rename "$faults.tmp", $faults or die "$faults: $!";

    return;
}


sub latency($release) {
    return $t->release(ep => $release)->{latency_ms};
}


sub row($name) {
    my ($line) = $ctl->run('status', 'ep')->{out} =~ /^(\Q$name\E .*?) *$/m;

    return $line;
}
