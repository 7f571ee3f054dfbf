#!/usr/bin/perl

# Processes that are killed before any of their stores to shared memory: each
# leaves what is harmless, or what is mended by who looks next. The rule, and
# how this is done, is told at the head of t/kills/driver.c.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Canary::Test;
use JSON::PP qw(decode_json);
use Test::More;

use constant {
    PARTS  => 2,           # of the scenarios, run beside each other
    TURNS  => $ENV{TEST_CANARY_KILLS} // 12,
    PAGE   => 2 << 20,     # bytes, of what is shared with t/kills/stores.c
    WORKER => 3,           # as nginx numbers them
    HELPER => 4,
};

my $kills = stores_dir();
my $module = "$kills/ngx_http_canary_module.so";
my $seed = $ENV{TEST_CANARY_SEED} // 20261122;

needs('stores', 'speed');

my $binary = $ENV{TEST_NGINX_BINARY} // 'nginx';

$ENV{TEST_CANARY_MODULE} = $module;

my $t = Canary::Test->new(workers => 2, timeout => 6000 + 60 * TURNS);

subtest "in a driver, seed $seed" => sub {
    my @runs = map { begin($_) } $ENV{KILLS_ONLY} ? 0 : 0 .. PARTS - 1;

    for my $run (@runs) {
        while (my $line = readline $run->{out}) {
            chomp $line;
            if ($line =~ /^(not )?ok (.*)/) { ok(!$1, $2) }
            else                            { diag(placed($line)) }
        }
        close $run->{out};
        is($?, 0, 'all of them');
    }
};

my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');
my $control = $t->dir . '/kills';
my %bad = (status => 500);

srand $seed;

open my $page, '+>', $control or die "$control: $!";
truncate $page, PAGE or die "$control: $!";

{
    local $ENV{LD_PRELOAD} = "$kills/stores.so";
    local $ENV{CANARY_KILLS} = $control;

    $t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 8; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 8; }

    upstream ep {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_interval 200ms;
        canary_step     50%;
        canary_bake     100ms;
        canary_rule     error_5xx_rate 25% min_requests=10 confidence=off;
        canary_rule     failed_requests_max 1000000;
        canary_fallback off;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_next_upstream off;
        location / { proxy_pass http://ep; }
    }

    %%API%%
EOC
}

$t->allow_log(qr/process \d+ exited on signal 9/,
              qr/shared memory zone "canary" was locked by \d+/);

subtest TURNS . " times in nginx itself, seed $seed" => sub {
    my $load = $t->load(connections => 3);
    my $died = 0;

    for my $turn (1 .. TURNS) {
        my $kind = (WORKER, HELPER)[ int rand 2 ];
        my $verb = (qw(start pause resume advance promote rollback patch
                       reload fail))[ int rand 9 ];
        my $left = int 10**(rand 3.5);

        prepare($verb);
        arm($kind, $left);
        act($verb);
        my $site = wait_death();
        $died++ if $site;

        my $told = "turn $turn: $verb, a "
            . ($kind == HELPER ? 'helper' : 'worker')
            . ($site ? ' dies at ' . place($site) : ' lives on')
            . " ($left)";

        processes();
        $v2->set;
        sees_it_through($told, int rand 2);
    }

    cmp_ok($died, '>', 0, "$died times one died");
    my $result = $load->stop;
    my @ids = map { $_->{id} } $t->events('ep');
    is_deeply([ reverse @ids ], [ sort { $a <=> $b } @ids ],
              'the numbers of events rise');
};

$t->stop;
$t->finish;


# What is on its way when one dies.

sub prepare($verb) {
    my %state = (start => 'idle', resume => 'paused', reload => 'any');
    my $want = $state{$verb} // 'progressing';
    my $now = endpoint()->{phase};

    return if $want eq 'any' || $want eq $now;
    write_it('rollback') if $now ne 'idle';
    return if $want eq 'idle';

    start();
    write_it('pause') if $want eq 'paused';

    return;
}


sub start() {
    my $stable = endpoint()->{stable};

    return write_it('', { release => $stable eq 'v1' ? 'v2' : 'v1' });
}


# Until it is answered, or does not apply any more.

sub write_it($verb, $body = {}) {
    my $path = 'endpoints/ep/rollout' . ($verb ? "/$verb" : '');

    return $t->wait_for(sub {
        my $answer = $t->api_post($path, $body);

        return $answer->status && $answer->status =~ /^(?:2|409)/;
    }, 60, "an answer to $verb");
}


sub act($verb) {
    if ($verb eq 'reload') {
        $t->kill(HUP => $t->master_pid);

    } elsif ($verb eq 'fail') {
        canary()->set(%bad);

    } elsif ($verb eq 'patch') {
        $t->api_patch('endpoints/ep/rollout', { weight => 0.25 });

    } elsif ($verb eq 'start') {
        my $stable = endpoint()->{stable};
        $t->api_post('endpoints/ep/rollout',
                     { release => $stable eq 'v1' ? 'v2' : 'v1' });
    } else {
        $t->api_post("endpoints/ep/rollout/$verb");
    }

    return;
}


sub canary() {
    return (endpoint()->{canary} // '') eq 'v1' ? $v1 : $v2;
}


# Word, record and file agree, a good canary is promoted, a bad one falls.

sub sees_it_through($told, $good) {
    tests_anew($good);
    $t->wait_for(sub { endpoint()->{phase} eq 'idle' }, 90,
                 "the end of a rollout, $told");
    my $endpoint = endpoint();
    $_->set for $v1, $v2;

    is($endpoint->{last_rollout}{result}, $good ? 'promoted' : 'rolled_back',
       $told . ($good ? ': promoted' : ': it falls'));

    my $stable = $endpoint->{stable};
    my %served = map { $t->get('/')->body => 1 } 1 .. 10;
    is_deeply([ keys %served ], [$stable], 'and it is served as it says');

    $t->wait_for(sub {
        my $file = decode_json($t->read_file('canary/state.json'));
        my ($in) = grep { $_->{name} eq 'ep' }
                   @{ $file->{state}{endpoints} };

        return $in->{stable} eq $stable
               && $in->{generation} == endpoint()->{generation};
    }, 30, 'the state file to agree');

    return;
}


# Of what came before the canary was good, or bad, nothing counts any more.

sub tests_anew($good) {
    my $path = 'endpoints/ep/rollout';

    return $t->wait_for(sub {
        my $endpoint = endpoint();
        my $canary = $endpoint->{canary}
            // ($endpoint->{stable} eq 'v1' ? 'v2' : 'v1');

        $_->set for $v1, $v2;
        ($canary eq 'v1' ? $v1 : $v2)->set(%bad) if !$good;

        return $t->api_post($path, { release => $canary })->status == 201
            if $endpoint->{phase} eq 'idle';

        $t->api_post("$path/rollback") if $endpoint->{phase} eq 'baking';
        $t->api_post("$path/resume")
            if $endpoint->{phase} =~ /^(?:paused|halted)$/;

        return $t->api_patch($path, { weight => 0.5 })->status == 200;
    }, 60, 'new tests');
}


sub endpoint() {
    return $t->wait_for(sub { eval { $t->endpoint('ep') } }, 30,
                        'the API to answer');
}


sub processes() {
    return $t->wait_for(sub {
        return $t->worker_pids == 2 && $t->helper_pid
    }, 60, 'all processes');
}


# The page that t/kills/kills.h describes: of a process of that kind that has
# the lock of the zone, so many stores are still done.

sub arm($kind, $left) {
    poke(0, pack 'l l q', 0, 1, $left);
    poke(32, pack 'l', 0);
    poke(0, pack 'l', $kind);

    return;
}


# Where one has died; 0 if it goes on without.

sub wait_death() {
    my $until = time + 1;

    select undef, undef, undef, 0.01
        while !unpack('l', peek(32, 4)) && time <= $until;
    poke(0, pack 'l', 0);

    return unpack('l', peek(32, 4)) ? sprintf '0x%x', unpack 'Q', peek(24, 8)
                                    : 0;
}


sub poke($at, $bytes) {
    sysseek $page, $at, 0 or die "$control: $!";

    return syswrite($page, $bytes) == length $bytes
        || die "$control: $!";
}


sub peek($at, $size) {
    sysseek $page, $at, 0 or die "$control: $!";
    sysread($page, my $bytes, $size) == $size or die "$control: $!";

    return $bytes;
}


# A driver at its part of the scenarios.

sub begin($part) {
    my $dir = $t->dir . "/driver$part";

    mkdir $_ or die "$_: $!" for $dir, "$dir/state";
    $t->write_file("driver$part/http.conf", <<'EOC');
        canary_zone zone=canary:1m;
        upstream ep {
            canary_release v1 m1;
            canary_release v2 m2;
            canary_release v3 m3;
        }
        upstream other { canary_release v1 m1; canary_release v2 m2; }
EOC
    $t->write_file("driver$part/nginx.conf", $t->nginx_conf(
        dir        => $dir,
        level      => 'error',
        state_path => "$dir/state",
        workers    => 0,
        main       => "worker_processes 2;\n"
            . "load_module $kills/ngx_http_canary_kills_module.so;",
        events     => 'worker_connections 16;',
        http       => <<"EOC"));
            upstream m1 { server 127.0.0.1:1; }
            upstream m2 { server 127.0.0.1:1; }
            upstream m3 { server 127.0.0.1:1; }
            include $dir/http.conf;
EOC

    local $ENV{LD_PRELOAD} = "$kills/stores.so";
    local $ENV{KILLS_PART} = $ENV{KILLS_ONLY} ? '0/1' : "$part/" . PARTS;
    local $ENV{KILLS_SEED} = $seed;
    local $ENV{KILLS_STRIDE} = $ENV{KILLS_STRIDE}
        // ($ENV{TEST_CANARY_KILLS} ? 1 : 0);

    open my $out, '-|', $binary, '-p', "$dir/", '-c', "$dir/nginx.conf",
        '-e', "$dir/error.log" or die "$binary: $!";

    return { out => $out };
}


# With the function and the line in the place of an address.

sub placed($line) {
    return $line =~ s{(0x[0-9a-f]+)}{place($1)}er;
}


sub place($address) {
    my @lines = `addr2line -s -i -f -e '$module' $address 2>/dev/null`;

    chomp @lines;
    return @lines >= 2 ? "$lines[1] ($lines[0])" : $address;
}
