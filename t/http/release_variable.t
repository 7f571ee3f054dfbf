#!/usr/bin/perl

# $canary_release_NAME: the release of a request, for whoever needs it before
# there is a request to the endpoint.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new(workers => 1);
my %server = map { $_ => $t->backend($_, echo => ['X-Version']) } qw(v1 v2);

my $conf = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream dead     { server 127.0.0.1:%%PORT_v2%% down; }

    upstream My-ep.1 {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_only    $arg_in;
        canary_key     $arg_user;
        canary_force   $arg_release;
    }

    upstream plain {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }

    upstream dying {
        canary_release v1 model_v1;
        canary_release v2 dead;
        canary_unavailable 0;
    }

    map $canary_release_plain $path {
        v1      one;
        v2      two;
        default none;
    }

    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

    server {
        listen 127.0.0.1:%%PORT_http%%;

        add_header X-Asked   $canary_release_plain always;
        add_header X-Release $canary_release       always;

        location /uri/ {
            add_header X-Asked   $canary_release_my_ep_1 always;
            add_header X-Release $canary_release         always;
            proxy_pass http://My-ep.1/models/$canary_release_My_ep_1/predict;
        }
        location /rewrite/ {
            rewrite ^ /models/$canary_release_plain/x break;
            proxy_pass http://plain;
        }
        location /if/ {
            if ($canary_release_plain = v2) {
                set $new new;
            }
            proxy_set_header X-Version "$new";
            proxy_pass http://plain;
        }
        location /map/ {
            set $where $path;
            proxy_set_header X-Version $where;
            proxy_set_header Host      $canary_release_plain.example;
            proxy_pass http://plain;
        }
        location /only_asked/ {
            return 200 "$canary_release_plain $canary_endpoint.";
        }
        location /redirect/ {
            rewrite ^ /redirected/$canary_release_plain last;
        }
        location /redirected/ {
            proxy_pass http://plain;
        }
        location /other/ {
            proxy_set_header X-Version $canary_release_plain;
            proxy_pass http://My-ep.1;
        }
        location /dying/ {
            add_header X-Asked   $canary_release_dying always;
            add_header X-Release $canary_release       always;
            proxy_pass http://dying/$canary_release_dying;
        }
        location /late/ {
            add_header X-Asked $canary_release_dying always;
            proxy_pass http://dying;
        }
        location /cached/ {
            proxy_cache       cache;
            proxy_cache_key   $path$uri;
            proxy_cache_valid 1h;
            proxy_pass http://dying/$canary_release_dying;
        }
        location /ssi/ {
            ssi on;
            ssi_types *;
            proxy_pass http://plain/$canary_release_plain/main;
        }
        location /sub/ {
            proxy_pass http://plain/$canary_release_plain/sub;
        }
    }

    %%API%%
EOC

$t->start($conf);


subtest 'no rollout: stable' => sub {
    is(asked('/uri/'), 'v1 at /models/v1/predict by v1', 'in a URI');
    is(asked('/rewrite/'), 'v1 at /models/v1/x by v1', 'in a rewrite');
};

$t->start_rollout($_, release => 'v2', steps => [0.5])
    for 'My-ep.1', 'plain', 'dying';

subtest 'in the URI, the answer is of the release that was asked for' => sub {
    my %n;

    for my $n (1 .. 40) {
        my $answer = asked('/uri/?in=1');
        $n{$answer}++;
    }

    is_deeply(\%n, { 'v1 at /models/v1/predict by v1' => 20,
                     'v2 at /models/v2/predict by v2' => 20 },
              'half of each');

    is(asked('/uri/'), 'v1 at /models/v1/predict by v1', 'outside') for 1 .. 4;
    is(asked('/uri/?release=v2'), 'v2 at /models/v2/predict by v2', 'forced');
    my %of = map { $_ => asked("/uri/?in=1&user=$_") } 1 .. 40;
    is(asked("/uri/?in=1&user=$_"), $of{$_}, 'a key keeps its release')
        for 1 .. 40;
    is(scalar(grep { /^v2/ } values %of) > 0, 1, 'some have the canary');
};

subtest 'in rewrite, if, set, map and headers' => sub {
    my (%rewrite, %if, %map);

    for (1 .. 20) {
        $rewrite{asked('/rewrite/')}++;

        my $answer = $t->get('/if/');
        $if{$answer->body . ($answer->header('X-Echo-X-Version') // '')}++;

        $answer = $t->get('/map/');
        $map{$answer->body . $answer->header('X-Echo-X-Version')}++;
    }

    is_deeply(\%rewrite, { 'v1 at /models/v1/x by v1' => 10,
                           'v2 at /models/v2/x by v2' => 10 }, 'rewrite');
    is_deeply(\%if, { v1 => 10, v2new => 10 }, 'if');
    is_deeply(\%map, { v1one => 10, v2two => 10 }, 'map, of which set is made');
};

subtest 'after an internal redirect the choice is the same' => sub {
    my %n;

    $n{asked('/redirect/')}++ for 1 .. 20;

    is_deeply(\%n, { 'v1 at /redirected/v1 by v1' => 10,
                     'v2 at /redirected/v2 by v2' => 10 }, 'half of each');
};

subtest 'who only asks is no attempt, and takes a turn of the split' => sub {
    my %before = map { $_ => $t->totals(plain => $_) } qw(v1 v2);
    my %n;

    $n{$t->get('/only_asked/')->body}++ for 1 .. 20;

    is_deeply(\%n, { 'v1 .' => 10, 'v2 .' => 10 },
              'half of each, and no endpoint');
    is_deeply({ map { $_ => $t->totals(plain => $_) } qw(v1 v2) }, \%before,
              'nothing was counted');

    %n = ();
    $n{$t->get('/other/')->header('X-Echo-X-Version')}++ for 1 .. 20;
    is_deeply(\%n, { v1 => 10, v2 => 10 }, 'beside another endpoint too');
    is($t->get('/other/')->header('X-Release'), 'v1',
       'of which the other variables tell');
};

subtest 'the first choice stays, also after a fallback' => sub {
    my %n;

    for (1 .. 20) {
        my $answer = $t->get('/dying/');
        $n{join ' ', $answer->header('X-Asked'), $answer->header('X-Release'),
           ($server{v1}->log)[-1]{uri}}++;
    }

    is_deeply(\%n, { 'v1 v1 /v1' => 10, 'v2 v1 /v2' => 10 },
              'stable gets the request as it was made');

    %n = ();
    $n{$t->get('/late/')->header('X-Asked')}++ for 1 .. 20;
    is_deeply(\%n, { v1 => 10, v2 => 10 }, 'if first asked for after it too');
};

subtest 'what stable answers for the canary is not stored for it' => sub {
    $t->get("/cached/$_") for 1 .. 6;
    my $before = $server{v1}->requests;
    $t->get("/cached/$_") for 1 .. 6;

    is($server{v1}->requests - $before, 3, 'half of them were stored');
};

subtest 'subrequests have the choice of the main request' => sub {
    for my $name (qw(v1 v2)) {
        $server{$name}->on("/$name/main", body =>
            "$name has <!--#include virtual=\"/sub/\" -->");
        $server{$name}->on("/$name/sub", body => "$name");
    }

    my %n;
    $n{$t->get('/ssi/')->body}++ for 1 .. 20;

    is_deeply(\%n, { 'v1 has v1' => 10, 'v2 has v2' => 10 }, 'half of each');
};

subtest 'two endpoints of one such name' => sub {
    my $twins = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream a-b { canary_release v1 model_v1; canary_release v2 model_v2; }
    upstream a.B { canary_release v1 model_v1; canary_release v2 model_v2; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { return 200 "VARIABLE"; }
    }
EOC

    my ($ok, $text) = $t->check($twins);
    ok($ok, 'are accepted while nobody uses it') or diag $text;

    ($ok, $text) = $t->check($twins =~ s/VARIABLE/\$canary_release_A_b/r);
    ok(!$ok, 'and refused if it is used');
    like($text, qr/"\$canary_release_a_b" may be of endpoint "a-b" or "a\.B"/,
         'and why is said');

    my $long = 'an-endpoint-' x 20;
    ($ok, $text) = $t->check($twins =~ s/a\.B/$long/r
                                    =~ s/VARIABLE/\$canary_release_a_b/r);
    ok($ok, 'a long name needs no larger hash') or diag $text;

    ($ok, $text) = $t->check($twins =~ s/VARIABLE/\$canary_release_c/r);
    ok(!$ok, 'an endpoint that there is not');
    like($text, qr/unknown "canary_release_c" variable/, 'is an error');
};

$t->finish;


# What was asked for, and who answered which URI.

sub asked($uri) {
    my $answer = $t->get($uri);
    my $by = $answer->header('X-Backend');

    return join ' ', $answer->header('X-Asked'), 'at',
        ($server{$by}->log)[-1]{uri}, 'by', $by;
}
