#!/usr/bin/perl

# canary_key: the release is a function of the key. And the exact split where
# it is hardest: many workers, few requests for the canary.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use List::Util qw(min);
use Test::More;

use Canary::Test;

use constant PIPELINED => 50;

my $t = Canary::Test->new;

# The backends are nginx's own, for speed: the body of an answer is the name
# of the release, and `hashed` tells the server too.
my $http = <<'EOC';
    upstream model_v1 { server unix:%%DIR%%/v1; keepalive 16; }
    upstream model_v2 { server unix:%%DIR%%/v2; keepalive 16; }

    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_key     $arg_u;
    }

    upstream other {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_key     $arg_u;
    }

    upstream parts {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_key     "$arg_u$cookie_u";
    }

    upstream hashed_v1 {
        hash $arg_u;
        server unix:%%DIR%%/v1;
        keepalive 16;
    }
    upstream hashed_v2 {
        hash $arg_u;
        server unix:%%DIR%%/v2;
        server unix:%%DIR%%/v2b;
        keepalive 16;
    }
    upstream hashed {
        canary_release v1 hashed_v1;
        canary_release v2 hashed_v2;
        canary_key     $arg_u;
    }

    upstream exact {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }

    split_clients $arg_u $half { 50% a; * b; }

    access_log off;
    keepalive_requests 100000;

    server { listen unix:%%DIR%%/v1;  location / { return 200 v1; } }
    server { listen unix:%%DIR%%/v2;  location / { return 200 v2; } }
    server { listen unix:%%DIR%%/v2b; location / { return 200 v2b; } }

    server {
        listen 127.0.0.1:%%PORT_http%% reuseport;
        proxy_http_version 1.1;
        proxy_set_header Connection "";

        add_header X-Pid     $pid;
        add_header X-Release $canary_release;
        add_header X-Role    $canary_role;
        add_header X-Reason  $canary_reason;
        add_header X-Half    $half;

        location /       { proxy_pass http://ep; }
        location /other  { proxy_pass http://other; }
        location /parts  { proxy_pass http://parts; }
        location /hashed { proxy_pass http://hashed; }
        location /exact  { proxy_pass http://exact; }
    }

    %%API%%
EOC

$t->start($http, workers => 2);

my @keys = map { "user-$_" } 1 .. 10_000;
my @some = @keys[0 .. 1999];
my @few = @keys[0 .. 199];
my %canary_at;    # the keys of the canary, by weight


subtest 'no rollout' => sub {
    is(count(canary_keys('/', @few)), 0, 'every key is at stable');
    is($t->get('/?u=user-1')->header('X-Reason'), 'weight',
       'which no key decides');
};

$t->start_rollout('ep', steps => [0.01]);

subtest 'the share of 10,000 keys, and it only grows' => sub {
    my $before = {};

    for my $weight (0.01, 0.1, 0.2, 0.5, 0.6) {
        $t->set_weight(ep => $weight) if $weight > 0.01;

        my $now = canary_keys('/', @keys);
        my $share = count($now) / @keys;

        cmp_ok(abs($share - $weight), '<=', 0.01, "weight $weight: $share");
        is(count(without($before, $now)), 0, 'no key went back');
        $before = $canary_at{$weight} = $now;
    }
};

subtest 'a weight that falls' => sub {
    for my $weight (0.5, 0.2, 0.01) {
        $t->set_weight(ep => $weight);

        my $now = canary_keys('/', @some);
        my %then = map { $_ => 1 } grep { $canary_at{$weight}{$_} } @some;

        is_deeply($now, \%then, "weight $weight: the same keys as before");
    }
};

subtest 'what is told of it' => sub {
    $t->set_weight(ep => 0.5);

    my ($in) = grep { $canary_at{0.5}{$_} } @keys;
    my ($out) = grep { !$canary_at{0.5}{$_} } @keys;
    my $canary = $t->get("/?u=$in");
    my $stable = $t->get("/?u=$out");

    is($canary->header('X-Release'), 'v2', 'a key of the canary');
    is($canary->header('X-Role'), 'canary', 'its role');
    is($canary->header('X-Reason'), 'key', 'its reason');
    is($stable->header('X-Release'), 'v1', 'a key of stable');
    is($stable->header('X-Role'), 'stable', 'its role');
    is($stable->header('X-Reason'), 'key', 'its reason');
};

subtest 'the same key, the same release' => sub {
    my $expected = releases_at('/', @few);

    is_same_everywhere($expected, 2, 'two workers');

    $t->renew;
    is_same_everywhere($expected, 2, 'after a reload');

    $t->renew(undef, workers => 4);
    is_same_everywhere($expected, 3, 'more workers');

    my @at_first = map { $canary_at{0.5}{$_} ? 'v2' : 'v1' } @few;
    is_deeply($expected, \@at_first, 'as it was at first');
};

subtest 'another key by the same variables' => sub {
    $t->start_rollout('parts', steps => [0.5]);

    my $client = $t->client;
    my %by_cookie;

    for my $key (@few) {
        my $response = $client->get('/parts',
                                    headers => { Cookie => "u=$key" });
        $by_cookie{$key} = 1 if $response->body eq 'v2';
    }

    is_deeply(\%by_cookie, canary_keys('/parts', @few),
              'only its value matters');
};

subtest 'another endpoint picks other keys' => sub {
    $t->start_rollout('other', steps => [0.5]);
    is_independent($canary_at{0.5}, canary_keys('/other', @some), @some);
};

subtest 'an empty key' => sub {
    my $client = $t->client;
    my @got;

    $t->set_weight(ep => 0.37);
    for my $key (@few) {
        push @got, $client->get('/');
        $client->get("/?u=$key");    # takes no part in the split
    }

    my $canary = grep { $_->body eq 'v2' } @got;
    my $by_weight = grep { $_->header('X-Reason') eq 'weight' } @got;

    cmp_ok(abs($canary - 0.37 * @few), '<=', 1, "$canary of 200: exact");
    is($by_weight, scalar @few, 'by weight');
};

subtest 'the next rollout picks other keys' => sub {
    $t->verb(ep => 'rollback');
    $t->start_rollout('ep', steps => [0.2]);

    my $now = canary_keys('/', @some);
    cmp_ok(abs(count($now) / @some - 0.2), '<=', 0.04, 'as many');
    is_independent($canary_at{0.2}, $now, @some);
};

subtest 'weight 1, and a rollback' => sub {
    $t->verb(ep => 'rollback');
    $t->start_rollout('ep', steps => [1]);
    is(count(canary_keys('/', @some)), scalar @some, 'every key');

    $t->verb(ep => 'rollback');
    is(count(canary_keys('/', @some)), 0, 'none');
};

subtest 'a canary that hashes the same key' => sub {
    $t->start_rollout('hashed', steps => [0.5]);

    my @at = @{ releases_at('/hashed', @some) };
    my $one = grep { $_ eq 'v2' } @at;
    my $two = grep { $_ eq 'v2b' } @at;

    cmp_ok(abs(($one + $two) / @some - 0.5), '<=', 0.05, 'half of the keys');
    cmp_ok(abs($one - $two), '<=', 160,
           "evenly over its servers: $one and $two");
};

subtest 'split_clients by the same key' => sub {
    $t->start_rollout('ep', steps => [0.5]);

    my (%all, %canary);
    for my $response (responses('/', @some)) {
        my $half = $response->header('X-Half');

        $all{$half}++;
        $canary{$half}++ if $response->body eq 'v2';
    }

    for my $half (qw(a b)) {
        cmp_ok(abs($canary{$half} / $all{$half} - 0.5), '<=', 0.08,
               "half of $half: $canary{$half} of $all{$half}");
    }
};

subtest 'keys of any length' => sub {
    my @lengths = map { 'x' x $_ } 1 .. 200, 4000;
    my $canary = count(canary_keys('/', @lengths));

    cmp_ok(abs($canary - 100), '<=', 40, "$canary of 201");
};

# By weight: in the worst of cases for it.
$t->stop;
$t->start(undef, workers => 8);

subtest 'eight workers, 1 %, new connections' => sub {
    needs('processes');
    for my $n (1 .. 2) {
        $t->start_rollout('exact', steps => [0.01]);

        my $result = $t->load(connections => 4, close => 1, count => 800,
                              by => [qw(X-Release X-Pid)],
                              request => { uri => '/exact' })->result;
        my $canary = $result->{by}{'X-Release'}{v2} // 0;

        is($result->{statuses}{200}, 800, 'all are answered');
        cmp_ok(scalar keys %{ $result->{by}{'X-Pid'} }, '>=', 6,
               'by most of the workers');
        cmp_ok(abs($canary - 8), '<=', 3, "$canary of 800");
        $t->verb(exact => 'rollback');
    }
};

$t->finish;


# Answers to requests with these keys, in their order: over one connection, a
# number of requests at a time.

sub responses($uri, @keys_asked) {
    my $client = $t->client;
    my @responses;

    $client->connect;
    while (my @part = splice @keys_asked, 0, PIPELINED) {
        $client->write(join '', map {
            Canary::Client::encode_request(host => 'a', uri => "$uri?u=$_")
        } @part);
        push @responses, map { $client->finish } @part;
    }

    return @responses;
}


sub releases_at($uri, @keys_asked) {
    return [ map { $_->body } responses($uri, @keys_asked) ];
}


# The keys that are the canary's, as a set.

sub canary_keys($uri, @keys_asked) {
    my $releases = releases_at($uri, @keys_asked);

    return {
        map { $keys_asked[$_] => 1 }
            grep { $releases->[$_] eq 'v2' } 0 .. $#keys_asked
    };
}


sub count($set) {
    return scalar keys %$set;
}


sub without($set, $other) {
    return { map { $_ => 1 } grep { !$other->{$_} } keys %$set };
}


# Every worker, over as many connections as it takes to meet them.

sub is_same_everywhere($expected, $workers, $name) {
    my (%pids, $wrong);

    $workers = min($workers, $t->workers);
    for (1 .. 40) {
        my @responses = responses('/', @few);

        $pids{ $responses[0]->header('X-Pid') } = 1;
        $wrong++ unless eq_array([ map { $_->body } @responses ], $expected);
        last if keys %pids >= $workers;
    }

    cmp_ok(scalar keys %pids, '>=', $workers, "$name: $workers were asked");

    return is($wrong, undef, 'and all say the same');
}


# Of the keys of one set the other has its share, not more and not less.

sub is_independent($one, $two, @among) {
    my $in_one = grep { $one->{$_} } @among;
    my $in_both = grep { $one->{$_} && $two->{$_} } @among;
    my $expected = $in_one * count($two) / @among;
    my $off = 6 * sqrt($expected);

    return cmp_ok(abs($in_both - $expected), '<=', $off,
                  "$in_both in both, of $in_one: as by chance");
}
