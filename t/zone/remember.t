#!/usr/bin/perl

# What is remembered of endpoints and releases that are gone gives way to what
# is configured, and what is in use does not.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

use constant {
    SEEN      => 48,    # names that an endpoint remembers
    ENDPOINTS => 40,
};

my $t = Canary::Test->new(workers => 1);
my $model = $t->backend('v1');

$t->start(releases(1 .. 16));

subtest 'names after a restart' => sub {
    needs('processes', 'speed');
    fill_names();
    $t->stop;
    $t->start;
    takes_names(49 .. 64);
    takes_names(65 .. 80);
    is($t->release(ep => 'r65')->{attempts}, 0, 'they are counted anew');
};

subtest 'names after another size of the zone' => sub {
    needs('processes', 'speed');
    fill_names();
    $t->reload(releases(33 .. SEEN, { zone => '5m' }), gone => 1);
    takes_names((49 .. 64, { zone => '5m' }));
    takes_names((65 .. 80, { zone => '5m' }));
};

subtest 'names of configurations that fail' => sub {
    needs('processes', 'speed');
    $t->stop;
    unlink $t->dir . '/canary/state.json';
    $t->start(releases(17 .. 32));
    takes_names(33 .. SEEN);
    takes_names(1 .. 16);

    for my $first (17, 33) {
        like($t->reload(releases($first .. $first + 15, { taken => 1 }),
                        fails => 1),
             qr/bind\(\) to/, "one that names r$first fails later");
    }
    takes_names(49 .. 64);
};

subtest 'the last release' => sub {
    needs('processes', 'speed');
    $t->reload(releases(64, 65), gone => 1);
    $t->start_rollout('ep', release => 'r65');
    $t->verb(ep => 'rollback');

    for my $first (101, 117, 133, 149) {
        $t->reload(releases(64, $first .. $first + 14), gone => 1);
    }
    is($t->endpoint('ep')->{last_rollout}{release}, 'r65', 'is remembered');

    $t->stop;
    $t->start;
    $t->reload(releases(64, 201 .. 215), gone => 1);
    is($t->endpoint('ep')->{last_rollout}{release}, 'r65',
       'by its name alone, also after a restart');
};

subtest 'names that are in use' => sub {
    needs('processes', 'speed');
    $t->stop;
    unlink $t->dir . '/canary/state.json';
    $t->start(releases(1 .. 16));

    my @waiting;
    for my $first (1, 17, 33) {
        $t->reload(releases($first .. $first + 15)) if $first > 1;
        $model->next_requests(1, delay_ms => 600_000);
        push @waiting, $t->client->start(uri => "/?release=r$first");
        $t->wait_for(sub { $model->stats->{open} == @waiting }, 10,
                     'the request');
    }

    like($t->reload(releases(49 .. 64), fails => 1),
         qr/^.*no place for release "r49" of "ep": workers of earlier/,
         'do not give way');
    $waiting[0]->close;
    $t->wait_for(sub { $t->old_worker_pids == 1 }, 10, 'a worker to end');
    takes_names((49 .. 64, { gone => 0 }));
    $_->close for @waiting;
};

subtest 'renamed endpoints' => sub {
    needs('processes', 'speed');
    my ($size) = ($t->check(endpoints('64k', 0)))[1] =~ /needs about (\d+k)/;

    $t->stop;
    unlink $t->dir . '/canary/state.json';
    $t->start(endpoints($size, 0));
    is($t->get('/keep?release=r2')->status, 200, 'one is used');
    $t->api_post('endpoints/keep/rollout', { strategy => 'direct',
                                             release => 'r2' });

    for my $turn (1 .. 12) {
        $t->reload(endpoints($size, $turn), gone => 1);
    }
    pass('a dozen reloads in the least zone, each with ten others');
    like($t->error_log, qr/\[notice\] .* canary: "ep1_\d+", which is not configured any more, is forgotten, since its memory is needed/,
         'the oldest are forgotten, which is said');
    is($t->endpoint('keep')->{stable}, 'r2', 'what is configured is not');
    is($t->release(keep => 'r2')->{attempts}, 1, 'nor what it has counted');

    is($t->get("/$_")->status, 200, "$_ serves") for qw(keep ep12_1 ep12_5);
};

subtest 'rollouts' => sub {
    needs('processes', 'speed');
    my ($size) = ($t->check(pairs('64k', 0)))[1] =~ /needs about (\d+k)/;

    $t->stop;
    unlink $t->dir . '/canary/state.json';
    $t->start(pairs($size, 0));

    for my $turn (0 .. 3) {
        $t->reload(pairs($size, $turn), gone => 1) if $turn;
        is(begins("a$turn"), 201, "a$turn begins");
        $t->verb("a$turn" => 'rollback');
    }
    is(scalar $t->events('a3'), 2, 'with its events');
};

subtest 'memory of rollouts that have ended' => sub {
    needs('processes', 'speed');
    my @few = map { "few$_" } 1 .. 10;
    my @many = (@few, map { "many$_" } 1 .. 80);
    my ($size) = ($t->check(with_endpoints('64k', @many), workers => 4))[1]
        =~ /needs about (\d+k)/;

    $t->stop;
    unlink $t->dir . '/canary/state.json';
    $t->start(with_endpoints($size, @few), workers => 4);

    my @fit = grep { begins($_) == 201 } @few;
    cmp_ok(scalar @fit, '>=', 3, 'some fit');
    $t->verb($_ => 'rollback') for @fit;

    $t->reload(with_endpoints($size, @few), gone => 1);
    $t->reload(with_endpoints($size, @many), gone => 1);
    is($t->api_get('endpoints')->json->{endpoints}->@*, 90,
       'is used for endpoints');
    is(scalar $t->events($_), 2, "$_ has its events") for @fit;
};

$t->finish;


# 48 names, all in the state file.

sub fill_names() {
    $t->stop;
    unlink $t->dir . '/canary/state.json';
    $t->start(releases(1 .. 16));
    takes_names(17 .. 32);
    takes_names(33 .. SEEN);
    return;
}


sub takes_names(@list) {
    my $opt = ref $list[-1] ? $list[-1] : {};
    my $http = releases(@list);

    is(($t->check($http))[0], 1, 'nginx -t accepts it') if $list[0] > SEEN;
    $t->reload($http, gone => $opt->{gone} // 1);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply([ map { $_->{name} } @{ $t->endpoint('ep')->{releases} } ],
                     [ map { "r$_" } grep { !ref } @list ],
                     "a reload with r$list[0] and others");
}


sub releases(@list) {
    my $opt = ref $list[-1] ? pop @list : {};
    my $zone = $opt->{zone} // '4m';
    my $releases = join "\n", map { "canary_release r$_ model;" } @list;
    my $taken = $opt->{taken} ? 'server { listen 192.0.2.1:1; }'
                              : '';

    return <<~"EOC";
        canary_zone zone=canary:$zone;
        upstream model { server 127.0.0.1:%%PORT_v1%%; }
        upstream ep { $releases canary_force \$arg_release; }
        server {
            listen 127.0.0.1:%%PORT_http%%;
            location / { proxy_pass http://ep; }
        }
        $taken
        %%API%%
        EOC
}


# Endpoints of which ten have other names in each turn.

sub endpoints($size, $turn) {
    my @names = ('keep', map({ "same$_" } 1 .. ENDPOINTS - 11),
                 map { "ep${turn}_$_" } 1 .. 10);

    return with_endpoints($size, @names);
}


sub pairs($size, $turn) {
    return with_endpoints($size, "a$turn", "b$turn");
}


sub with_endpoints($size, @names) {
    my $endpoints = join "\n", map { <<~"EOC" } @names;
        upstream $_ {
            canary_release r1 model;
            canary_release r2 model;
            canary_force \$arg_release;
        }
        EOC
    my $locations = join "\n",
        map { "location = /$_ { proxy_pass http://$_; }" } @names;

    return <<~"EOC";
        canary_zone zone=little:$size;
        upstream model { server 127.0.0.1:%%PORT_v1%%; }
        $endpoints
        server {
            listen 127.0.0.1:%%PORT_http%%;
            $locations
        }
        %%API%%
        EOC
}


sub begins($name) {
    return $t->api_post("endpoints/$name/rollout", { canary_strategy => {
        rules => [ rule(failed_requests_max => 5) ] } })->status;
}
