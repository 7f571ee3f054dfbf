# What has to go well not only once: reloads and binary upgrades under load,
# and releases with new names, one after another. TEST_CANARY_ENDURANCE=1 does
# it as often as it takes to be believed.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Canary::Test;
use List::Util qw(sum0);
use Test::More;

my $long = $ENV{TEST_CANARY_ENDURANCE};
my ($reloads, $upgrades, $names) = $long ? (50, 20, 3000) : (5, 3, 60);

needs('speed');

my $t = Canary::Test->new(timeout => $long ? 3600 : 180);

$t->backend('v1');
$t->backend('v2');

my @steps = map { $_ / 100 } 1 .. 99;

$t->start(config('v2'));

subtest "$reloads reloads under load" => sub {
    $t->start_rollout('ep', steps => [ 0.5, 0.6 ]);
    my @loads = loads();
    my $done = sum0(map { $_->progress } @loads);

    for my $n (1 .. $reloads) {
        $t->reload(config($n % 2 ? 'v2' : 'v2b', $n),
                   workers => 1 + $n % 3) if $n % 3 == 0;
        $t->reload if $n % 3;
        $loads[0]->wait_requests(20);
    }
    nothing_has_failed(@loads);
    is($t->endpoint('ep')->{weight}, 0.5, 'the rollout is where it was');
    $t->verb(ep => 'rollback');
    $t->reload(config('v2'), workers => 2, gone => 1);
};

subtest "$names releases with new names" => sub {
    for my $n (1 .. $names) {
        $t->reload(config("r$n"));
        make_stable("r$n") or last;
        $t->get('/') for 1 .. 4;

        # And back, so that the next reload may take the release away.

        make_stable('v1') or last;
    }
    my %attempts = map { $_->{name} => $_->{attempts} }
        @{ $t->endpoint('ep')->{releases} };
    is($attempts{"r$names"}, 4, 'the last one is counted');
    unlike($t->error_log, qr/no memory|is full|too small/,
           'and nothing lacks room');
    is($t->start_rollout('ep', release => "r$names")->{phase}, 'progressing',
       'a rollout can be started');
    $t->verb(ep => 'rollback');
};

$t->stop;
unlink $t->dir . '/canary/state.json';

SKIP: {
    skip 'no way to become the reaper of orphans', 1
        unless $t->start_orphan(config('v2'));

    subtest "$upgrades binary upgrades under load" => sub {
        $t->start_rollout('ep', steps => \@steps);
        my @loads = loads();

        for my $n (1 .. $upgrades) {
            my $old = $t->master_pid;
            my $new = $t->upgrade;

            $loads[0]->wait_requests(20);
            kill QUIT => $old;
            $t->turn_to($new);
            $t->wait_end($old);
            $t->wait_for(sub { !exists $t->endpoint('ep')->{durable} }, 15,
                         'the new one to have the file');
            my $step = $t->verb(ep => 'advance')->{step};
            is($step, $n + 1, "upgrade $n: it goes on at its step")
                or last;
        }
        nothing_has_failed(@loads);
    };
}

$t->stop;
$t->finish;


sub loads() {
    return ($t->load(connections => 3, rate => 200, seconds => 900),
            $t->load(connections => 2, rate => 100, seconds => 900,
                     close => 1));
}


sub nothing_has_failed(@loads) {
    my @results = map { $_->stop } @loads;
    my $requests = sum0(map { $_->{requests} } @results);

    cmp_ok($requests, '>', 100, "$requests requests");
    is(sum0(map { $_->{statuses}{200} } @results), $requests,
       'all answered well');
    is(sum0(map { $_->{failed} } @results), 0, 'none has failed');

    return;
}


sub make_stable($release) {
    my $answer = $t->api_post('endpoints/ep/rollout',
        { strategy => 'direct', release => $release });

    return 1 if $answer->status == 201;

    return fail("$release: " . $answer->status . ' ' . $answer->body);
}


# With another release than v1, and another size of the zone now and then.

sub config($canary, $n = 0) {
    my $zone = $n % 2 ? 'canary_zone zone=canary:20m;' : '';

    return <<"EOC";
    $zone
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 8; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 8; }
    upstream ep {
        canary_release v1 model_v1;
        @{[ $canary eq 'v2b' ? 'canary_release v2 model_v2;' : '' ]}
        canary_release $canary model_v2;
    }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        access_log off;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location / { proxy_pass http://ep; }
    }
    %%API%%
EOC
}
