#!/usr/bin/perl

# The configuration: what nginx -t refuses, and in which words; what it
# accepts; and what an nginx without an endpoint does not have.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use List::Util qw(first);
use IO::Socket::UNIX;
use POSIX ();
use Test::More;

use Canary::Test;

use constant ZONE_DEFAULT => 16 * 1024 * 1024;

my $t = Canary::Test->new(workers => 1);
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

my $releases = <<'EOC';
    upstream one { server 127.0.0.1:%%PORT_v1%%; }
    upstream two { server 127.0.0.1:%%PORT_v2%%; }
EOC

# Of each case #! marks the line that nginx -t has to name. The text is what
# stands in an upstream that has two releases.

my @in_endpoint = (
    [ 'canary_interval 0; #!', qr/"canary_interval".* above 0/ ],
    [ 'canary_interval soon; #!',
      qr/"soon" .*"canary_interval".* time .*such as "10s"/ ],
    [ "canary_interval 1s;\ncanary_interval 2s; #!",
      qr/"canary_interval" directive is duplicate/ ],
    [ 'canary_interval 1s 2s; #!',
      qr/invalid number of arguments in "canary_interval"/ ],

    [ 'canary_bake long; #!',
      qr/"long" .*"canary_bake".* time .*such as "10s"/ ],
    [ 'canary_unavailable never; #!',
      qr/"never" .*"canary_unavailable".* time .*such as "10s"/ ],
    [ "canary_unavailable 0;\ncanary_unavailable 1m; #!",
      qr/"canary_unavailable" directive is duplicate/ ],
    [ "canary_bake 1s;\ncanary_bake 1s; #!",
      qr/"canary_bake" directive is duplicate/ ],

    [ 'canary_step a; #!', qr/step "a".* ratio such as "20%" or "0\.2"/ ],
    [ 'canary_step 20%%; #!', qr/step "20%%".* ratio such as/ ],
    [ 'canary_step -10%; #!', qr/step "-10%".* ratio such as/ ],
    [ 'canary_step 1.2.3; #!', qr/step "1\.2\.3".* ratio such as/ ],
    [ 'canary_step %; #!', qr/step "%".* ratio such as/ ],
    [ 'canary_step 0; #!', qr/step "0".* above 0 and at most 1 or 100%/ ],
    [ 'canary_step 10% 0; #!',
      qr/step "0".* above 0 and at most 1 or 100%/ ],
    [ 'canary_step 101%; #!',
      qr/step "101%".* above 0 and at most 1 or 100%/ ],
    [ 'canary_step 10% 1.1; #!',
      qr/step "1\.1".* above 0 and at most 1 or 100%/ ],
    [ 'canary_step 20; #!', qr/step "20".* above 0 and at most 1 or 100%/ ],
    [ 'canary_step 99999999999999999999%; #!', qr/step "9{20}%"/ ],
    [ 'canary_step 10% 50% 20%; #!', qr/step "20%", steps must rise/ ],
    [ 'canary_step 10% 0.1; #!', qr/step "0\.1", steps must rise/ ],
    [ 'canary_step 0.05%; #!',
      qr/step "0\.05%", linear steps must be at least 0\.1%/ ],
    [ 'canary_step ' . join(' ', map { "0.$_" } 101 .. 201) . '; #!',
      qr/step "0\.201", at most 100 steps/ ],
    [ "canary_step 10%;\ncanary_step 20%; #!",
      qr/"canary_step" directive is duplicate/ ],
    [ 'canary_step; #!', qr/invalid number of arguments in "canary_step"/ ],

    [ 'canary_match redirects constant; #!',
      qr/"constant" of "canary_match" has no variable/ ],
    [ 'canary_match redirects; #!',
      qr/invalid number of arguments in "canary_match"/ ],
    [ 'canary_match "no name" $uri; #!',
      qr/the name of "canary_match" "no name" has to be of letters, digits/ ],
    [ 'canary_match ' . 'x' x 32 . ' $uri; #!', qr/1 to 31 characters/ ],
    [ "canary_match one \$uri;\ncanary_match one \$args; #!",
      qr/"canary_match" "one" is here twice/ ],
    [ join("\n", map { "canary_match m$_ \$uri;" } 1 .. 5) . ' #!',
      qr/too many "canary_match", at most 4/ ],
    [ "canary_match one \$uri;\ncanary_rule match_rate 10% match=two; #!",
      qr/names "match=two", there must be a "canary_match two \.\.\."/ ],
    [ 'canary_rule match_rate 10%; #!',
      qr/rule "match_rate" needs a match: the name of the "canary_match"/ ],
    [ 'canary_rule match_rate 10% match=; #!',
      qr/invalid "match=", match must be the name of a "canary_match", 1 to 31/ ],
    [ 'canary_rule error_rate 10% match=one; #!',
      qr/rule "error_rate" has a match, which is only for .*"match_rate"/ ],
    [ 'canary_rule match_rate 10% match=one match=two; #!',
      qr/parameter "match=two" of "canary_rule" is here twice/ ],
    [ join("\n", map { "canary_rule match_rate 10% match=m$_;" } 1 .. 5)
      . ' #!', qr/"match=m5" is one too many, .* at most 4 "canary_match"/ ],

    [ 'canary_rule error_6xx_rate 10%; #!',
      qr/unknown rule "error_6xx_rate".*"error_4xx_rate", "error_5xx_rate"/ ],
    [ 'canary_rule error_5xx_rate; #!',
      qr/invalid number of arguments in "canary_rule"/ ],
    (map { [ "canary_rule $_ 101%; #!",
             qr/threshold "101%" of rule "$_".* ratio from 0 to 1/ ] }
         qw(error_4xx_rate error_5xx_rate error_rate)),
    [ 'canary_rule error_rate 1.5; #!',
      qr/threshold "1\.5" of rule "error_rate".* such as "10%" or "0\.1"/ ],
    [ 'canary_rule error_rate -1%; #!', qr/threshold "-1%" of rule/ ],
    [ 'canary_rule error_rate few; #!', qr/threshold "few" of rule/ ],
    [ 'canary_rule latency_avg_max 0; #!',
      qr/threshold "0" of rule "latency_avg_max".* time from 1ms to 24h/ ],
    [ 'canary_rule latency_avg_max 25h; #!',
      qr/threshold "25h".* 1ms to 24h, such as "250ms"/ ],
    [ 'canary_rule latency_avg_max fast; #!', qr/threshold "fast".* time/ ],
    [ 'canary_rule failed_requests_max -1; #!',
      qr/threshold "-1" of rule "failed_requests_max".* whole number/ ],
    [ 'canary_rule failed_requests_max 1.5; #!',
      qr/threshold "1\.5".* whole number of requests from 0 to 1000000000/ ],
    [ 'canary_rule failed_requests_max 1000000001; #!',
      qr/threshold "1000000001".* from 0 to 1000000000/ ],
    [ 'canary_rule error_rate 10% min_requests=0; #!',
      qr/"min_requests=0".* whole number from 1 to 1000000000/ ],
    [ 'canary_rule error_rate 10% min_requests=; #!',
      qr/"min_requests=".* whole number/ ],
    [ 'canary_rule error_rate 10% min_requests=1000000001; #!',
      qr/"min_requests=1000000001".* from 1 to 1000000000/ ],
    [ 'canary_rule error_rate 10% max_requests=5; #!',
      qr/parameter "max_requests=5" of "canary_rule".*"min_requests=number"/ ],
    (map { [ "canary_rule error_rate 10% confidence=$_; #!",
             qr/"confidence=\Q$_\E", confidence must be a ratio from 0\.5 up/,
             qr/not including, 1, such as "0\.999", or "off"/ ] }
         '2', '1', '100%', '0.49', '', 'on', 'offf'),
    (map { [ "canary_rule error_rate 10% burst=$_; #!",
             qr/"burst=$_", burst must be 0 or a multiple of 100ms, up to/ ] }
         '150ms', '10100ms', '-1', '', 'off'),
    (map { [ "canary_rule error_rate 10% confidence=off window=$_; #!",
             qr/"window=$_", window must be a time from 100ms to 24h/ ] }
         '0', '99ms', '25h', ''),
    [ 'canary_rule error_rate 10% baseline=canary; #!',
      qr/"baseline=canary" of "canary_rule".*"baseline=stable"/ ],
    (map { [ "canary_rule error_rate 10% $_ $_; #!",
             qr/parameter "$_" of "canary_rule" is here twice/ ] }
         qw(min_requests=5 confidence=off burst=0 window=1s
            baseline=stable)),
    (map { [ "canary_rule error_rate 10% window=10s$_; #!",
             qr/"error_rate" has a window, which needs "confidence=off"/ ] }
         '', ' confidence=0.99', ' baseline=stable'),
    [ 'canary_rule latency_p90_max 1s confidence=off burst=0; #!',
      qr/"latency_p90_max" has a burst, which is only for rules with conf/ ],
    (map { [ "canary_rule failed_requests_max 5 $_; #!",
             qr/"failed_requests_max" is a budget.* has no confidence/ ] }
         qw(confidence=0.999 burst=100ms window=10s baseline=stable)),
    (map { [ "canary_rule $_ 250ms baseline=stable; #!",
             qr/threshold "250ms" of rule "$_" with a baseline.* factor/ ] }
         map { "latency_${_}_max" } qw(avg p50 p90 p95 p99)),
    (map { [ "canary_rule latency_p90_max $_ baseline=stable; #!",
             qr/threshold "$_".* factor from 1 to 1000, such as "1\.3"/ ] }
         qw(0 0.3 1001 30%)),
    [ 'canary_rule latency_p90_max 250; #!',
      qr/threshold "250" .* needs a unit, such as "250ms" or "250s"/ ],
    (map { [ "canary_rule error_5xx_rate $_; #!",
             qr/of rule "error_5xx_rate": there is no operator/ ] }
         '> 5%', '>5%', '<= 5%', '= 5%'),
    [ 'canary_rule error_rate 5%' . ' burst=0' x 20 . '; #!',
      qr/"burst=0" of "canary_rule" is here twice/ ],
    [ 'canary_rule error_rate 110% baseline=stable; #!',
      qr/threshold "110%" of rule "error_rate".* ratio from 0 to 1/ ],
    [ join('', map { "canary_rule latency_p50_max ${_}ms;\n" } 1 .. 8)
      . 'canary_rule latency_p99_max 1s; #!',
      qr/too many rules about quantiles of latency, at most 8 are possible, those/ ],
    [ join('', map { "canary_rule error_rate $_%;\n" } 1 .. 16)
      . 'canary_rule error_rate 10%; #!',
      qr/too many rules, at most 16/ ],

    [ 'canary_on_undecided wait; #!',
      qr/"wait" .*"canary_on_undecided".*"hold" or "advance"/ ],
    [ "canary_on_undecided hold;\ncanary_on_undecided hold; #!",
      qr/"canary_on_undecided" directive is duplicate/ ],
    [ 'canary_patience 9999ms; #!',
      qr/"canary_patience" directive must be from 10s to 10m/ ],
    [ 'canary_patience 601s; #!',
      qr/"canary_patience" directive must be from 10s to 10m/ ],
    [ "canary_patience 10s;\ncanary_patience 10s; #!",
      qr/"canary_patience" directive is duplicate/ ],
    [ 'canary_on_violation stop; #!',
      qr/"stop" .*"canary_on_violation".*"rollback" or "halt"/ ],
    [ 'canary_approval on; #!',
      qr/"on" .*"canary_approval".*"off" or "step" or "promotion"/ ],
    [ "canary_approval step;\ncanary_approval step; #!",
      qr/"canary_approval" directive is duplicate/ ],
    [ 'canary_latency body; #!',
      qr/"body" .*"canary_latency".*"header" or "response"/ ],
    (map { [ "$_ \$uri;\n$_ \$uri; #!", qr/"$_" directive is duplicate/ ],
           [ "$_; #!", qr/invalid number of arguments in "$_"/ ] }
         qw(canary_key canary_force)),
    [ 'canary_fallback maybe; #!',
      qr/"maybe" .*"canary_fallback".*"on" or "off"/ ],

    [ 'canary_release v1 two; #!',
      qr/duplicate release "v1" in upstream "ep", the first is in .*:\d+/ ],
    [ 'canary_release v3; #!',
      qr/invalid number of arguments in "canary_release"/ ],
    [ 'canary_release v3 two id=; #!',
      qr/id in "id=".* whole number above 0/ ],
    [ 'canary_release v3 two id=0; #!',
      qr/id in "id=0".* whole number above 0/ ],
    [ 'canary_release v3 two id=x; #!',
      qr/id in "id=x".* whole number above 0/ ],
    [ 'canary_release v3 two id=2; #!',
      qr/release "v3" has the id 2 of release "v2", set another one/ ],
    [ 'canary_release v3 two weight=1; #!',
      qr/"weight=1" of "canary_release", .* "id=number" or "stable"/ ],
    [ "canary_release v3 two stable;\ncanary_release v4 two id=9 stable; #!",
      qr/"v4" is "stable", as "v3" in .*:\d+ is, it can be only one .*"ep"/ ],
    [ 'canary_release v3 two stable=on; #!',
      qr/"stable=on" of "canary_release", it must be "id=number" or "stable"/ ],
    [ 'canary_release "" two; #!', qr/release name "".* 1 to 63 characters/ ],
    [ 'canary_release "v 3" two; #!',
      qr/release name "v 3".* without spaces, quotes and backslashes/ ],
    [ 'canary_release ' . 'v' x 64 . ' two; #!',
      qr/release name "v{64}".* 1 to 63 characters/ ],
    (map { [ qq(canary_release "v$_->[0]" two; #!),
             qr/name of the release "v$_->[1]" has a control character/ ] }
         [ '\n', '\\\\x0A' ], [ "\e[2J", '\\\\x1B\[2J' ],
         [ "\x7f", '\\\\x7F' ], [ "\xc2\x9b", '\\\\xC2\\\\x9B' ],
         [ "\xe2\x80\xa8", '\\\\xE2\\\\x80\\\\xA8' ]),
    (map { [ "canary_release $_ two; #!",
             qr{name of the release "\Q$_\E" is "\." or "\.\.", or has that} ] }
         '.', '..', '../x', 'x/..', 'a/./b'),
    [ join('', map { "canary_release r$_ two;\n" } 3 .. 16)
      . 'canary_release r17 two; #!',
      qr/too many releases in upstream "ep", at most 16/ ],
    [ 'canary_release v3 three; #!',
      qr/release "v3" names unknown upstream "three".*"upstream three \{/ ],
    [ 'canary_release v3 127.0.0.1:8080; #!',
      qr/release "v3" names unknown upstream "127\.0\.0\.1:8080"/ ],
    [ 'canary_release v3 ep; #!',
      qr/release "v3" names upstream "ep", which has releases itself/ ],
);

# What does not go with releases is reported where they begin.

my $balancing = qr/combined with load balancing .* upstreams of the rel/;
my @beside = (
    (map { [ $_, $balancing ] }
         'ip_hash;', 'least_conn;', 'hash $uri;', 'random;'),
    [ 'server 127.0.0.1:1;',
      qr/cannot be combined with "server".* upstreams of the releases/ ],
    [ 'zone ep 64k;',
      qr/cannot be combined with "zone".* upstreams of the releases/ ],
);

# Whole configurations.

my @elsewhere = (
    (map { [ "$_ without a release",
             "upstream ep { server 127.0.0.1:1;\n$_; #!\n }",
             qr/"\w+" in upstream "ep", which has no "canary_release"/ ] }
         'canary_interval 1s', 'canary_step 10%', 'canary_bake 1s',
         'canary_rule error_rate 1%', 'canary_on_undecided hold',
         'canary_on_violation halt', 'canary_approval step',
         'canary_patience 1m', 'canary_latency header',
         'canary_fallback off', 'canary_key $uri', 'canary_force $uri'),
    (map { [ "an endpoint with a control character, $_->[1]",
             qq(upstream "e$_->[0]p" { canary_release v1 one; #!\n)
             . 'canary_release v2 two; }',
             qr/name of the endpoint "e$_->[1]p" has a control character/ ] }
         [ '\n', '\\\\x0A' ], [ "\e[31m", '\\\\x1B\[31m' ],
         [ "\x01", '\\\\x01' ], [ "\x7f", '\\\\x7F' ],
         [ "\xc2\x85", '\\\\xC2\\\\x85' ]),
    (map { [ "the endpoint $_",
             "upstream $_ { canary_release v1 one; #!\n"
             . 'canary_release v2 two; }',
             qr/name of the endpoint "\Q$_\E" is "\." or "\.\.", or has/ ] }
         '.', '..', '../../x', 'a/..', './a', 'a/../b'),
    [ 'an endpoint as a release',
      "upstream a { canary_release v1 one; canary_release v2 two; }\n"
      . "upstream b { canary_release v1 one;\ncanary_release v2 a; #!\n }",
      qr/release "v2" names upstream "a", which has releases itself/ ],
    [ 'a release that only a proxy_pass names',
      "upstream ep { canary_release v1 one;\n"
      . "canary_release v2 127.0.0.1; #!\n }"
      . 'server { location / { proxy_pass http://127.0.0.1:8080; } }',
      qr/release "v2" names unknown upstream "127\.0\.0\.1"/ ],

    (map { [ "canary_zone $_", "canary_zone $_; #!",
             qr/invalid canary_zone "$_", .*"zone=name:size", such as/ ] }
         qw(canary:1m zone=canary zone=:1m zone=canary: zone=canary:big
            zone=canary:-1)),
    [ 'a tiny zone', 'canary_zone zone=canary:4k; #!',
      qr/canary_zone "canary" is too small, it must have at least \d+k/ ],
    [ 'a zone that is too small',
      "canary_zone zone=little:64k; #!\n"
      . 'upstream ep { canary_release v1 one; canary_release v2 two; }',
      qr/canary_zone "little" of 64k is too small for 1 .*needs about \d+k/ ],
    [ 'two zones',
      "canary_zone zone=a:1m;\ncanary_zone zone=b:1m; #!",
      qr/"canary_zone" directive is duplicate/ ],

    [ 'two state paths',
      "canary_state_path a;\ncanary_state_path a; #!",
      qr/"canary_state_path" directive is duplicate/ ],
    [ 'no state path', 'canary_state_path ""; #!',
      qr/"canary_state_path" directive is empty, .*path of a directory/ ],

    (map { [ "canary_api in a location by regular expression: $_",
             "server { location $_ {\ncanary_api; #!\n } }",
             qr/"canary_api" directive cannot be .* regular .* by prefix/ ] }
         '~ ^/canary/', '~* canary'),
    [ 'canary_api in a named location',
      "server { location \@canary {\ncanary_api; #!\n } }",
      qr/"canary_api" directive cannot be in a named location, .*prefix/ ],
    [ 'canary_api twice',
      "server { location /canary/ { canary_api;\ncanary_api; #!\n } }",
      qr/"canary_api" directive is duplicate/ ],
    [ 'canary_api with another parameter',
      "server { location /canary/ {\ncanary_api read=on; #!\n } }",
      qr/parameter "read=on", it must be "write=on" or "write=off"/ ],

    [ 'canary_verta_api in a location by regular expression',
      "server { location ~ ^/api/v1/ {\ncanary_verta_api; #!\n } }",
      qr/"canary_verta_api" directive cannot be .* regular .* by prefix/ ],
    [ 'canary_verta_api in a named location',
      "server { location \@verta {\ncanary_verta_api; #!\n } }",
      qr/"canary_verta_api" directive cannot be in a named location/ ],
    (map { [ "canary_verta_api where no client looks: $_",
             "server { location $_ {\ncanary_verta_api; #!\n } }",
             qr{"canary_verta_api" directive has .* ends with "/api/v1/"} ] }
         '/', '/api/v1', '/api/v1/deployment/'),
    [ 'canary_verta_api twice',
      'server { location /api/v1/ {'
      . "canary_verta_api;\ncanary_verta_api; #!\n } }",
      qr/"canary_verta_api" directive is duplicate/ ],
    (map { [ "$_->[0] and $_->[1] in one location",
             "server { location /api/v1/ {$_->[0];\n$_->[1]; #!\n } }",
             qr/"$_->[1]" directive cannot be in a location with another/ ] }
         [ qw(canary_api canary_verta_api) ],
         [ qw(canary_verta_api canary_api) ]),
    (map { [ "canary_verta_api with the parameter $_",
             "server { location /api/v1/ {\ncanary_verta_api $_; #!\n } }",
             qr/parameter "\Q$_\E", .* "write=off" or "workspace=name"/ ] }
         'read=on', 'write=', 'workspace=', 'workspace=a/b', 'personal'),

    (map { [ "$_->[0] in $_->[1]",
             "server {\n$_->[0]; #!\n }",
             qr/"\w+" directive is not allowed here/ ] }
         [ 'canary_release v1 one', 'a server' ],
         [ 'canary_interval 1s', 'a server' ],
         [ 'canary_zone zone=a:1m', 'a server' ],
         [ 'canary_state_path a', 'a server' ],
         [ 'canary_api', 'a server' ],
         [ 'canary_verta_api', 'a server' ]),
);

subtest 'refused in an endpoint' => sub {
    for my $case (@in_endpoint) {
        my ($directives, @patterns) = @$case;

        is_refused($directives, endpoint($directives), @patterns);
    }
};

subtest 'refused beside releases' => sub {
    is_refused_beside(@$_) for @beside;
};

# A balancer at first, later something that each upstream has anyway.
subtest 'keepalive is refused beside releases' => sub {
    my $later = $t->version >= 1029007;
    my $keepalive = qr/combined with "keepalive" .* upstreams of the rel/;

    is_refused_beside($_, $later ? $keepalive : $balancing)
        for 'keepalive 8;', $later ? ('keepalive 32 local;', 'keepalive 0;')
                                   : ();
};

subtest 'sticky is refused beside releases' => sub {
    needs('1.29.6');

    is_refused_beside('sticky cookie srv;', $balancing);
};

subtest 'refused elsewhere' => sub {
    for my $case (@elsewhere) {
        my ($name, $http, @patterns) = @$case;

        is_refused($name, "$releases\n$http", @patterns);
    }
};

subtest 'the file and line are those of an included file' => sub {
    $t->write_file('ep.conf', <<~'EOC');
        canary_release v1 one;
        canary_release v2 two;

        canary_step 200%;
        EOC

    my ($accepted, $output) = $t->check("$releases\nupstream ep {
                                         include %%DIR%%/ep.conf; }");
    ok(!$accepted, 'refused');
    like($output, qr{step "200%".* in \Q${\ $t->dir }\E/ep\.conf:4$}m,
         'at its place');

    $t->write_file('ep.conf', <<~'EOC');
        canary_release v1 one;

        canary_release v2 three;
        EOC

    ($accepted, $output) = $t->check("$releases\nupstream ep {
                                      include %%DIR%%/ep.conf; }");
    ok(!$accepted, 'what is found out later is refused');
    like($output, qr{"three".* in \Q${\ $t->dir }\E/ep\.conf:3$}m,
         'at its place as well');
};

subtest 'the size that a zone needs is told, and is enough' => sub {
    my $endpoints = join "\n", map {
        "upstream ep$_ { canary_release v1 one; canary_release v2 two; }"
    } 1 .. 20;
    my $with = sub ($size) {
        return $t->check("canary_zone zone=little:$size;
                          $releases $endpoints");
    };

    my ($accepted, $output) = $with->('64k');
    ok(!$accepted, 'too small');
    like($output, qr/too small for 20 endpoints/, 'for so many endpoints');

    my ($size) = $output =~ /needs about (\d+k)/;
    ($accepted, $output) = $with->($size);
    ok($accepted, "$size is enough") or diag($output);
};

# What is accepted.

my %accepted = (
    'the smallest endpoint' => endpoint(''),
    'releases that are declared later' =>
        "upstream ep { canary_release v1 one; canary_release v2 two; }\n"
        . $releases,
    'an endpoint that is named before it is declared' =>
        "server { location / { proxy_pass http://ep; } }\n" . endpoint(''),
    'one release' => "$releases\nupstream ep { canary_release v1 one; }",
    'the one that is stable, and its id' =>
        endpoint('canary_release v3 two stable id=7;'),
    'ids' => "$releases\nupstream ep { canary_release v1 one id=7;
              canary_release v2 two id=1; }",
    '16 releases of one upstream' =>
        endpoint(join '', map { "canary_release r$_ two;\n" } 3 .. 16),
    'names with other characters' =>
        endpoint("canary_release 2026-11-22_r1.0+é two;"),
    'the longest name' => endpoint('canary_release ' . 'v' x 63 . ' two;'),
    'a release whose name differs by case' =>
        endpoint('canary_release V1 two;'),
    'two endpoints that share releases' =>
        endpoint('') . "upstream ep2 { canary_release v1 one;
                        canary_release v2 two; }",
    'all directives' => endpoint(<<~'EOC'),
        canary_interval     10s;
        canary_step         1% 5% 25% 50% 100%;
        canary_rule         error_4xx_rate 10%;
        canary_rule         error_5xx_rate 0.001 min_requests=1000000000;
        canary_rule         error_rate 100% confidence=off;
        canary_rule         error_5xx_rate 1% baseline=stable burst=0;
        canary_rule         error_4xx_rate 10% confidence=off window=24h;
        canary_rule         latency_avg_max 24h min_requests=1;
        canary_rule         latency_avg_max 1.5 baseline=stable;
        canary_rule         latency_p50_max 50ms confidence=0.5 burst=10s;
        canary_rule         latency_p90_max 1.3 baseline=stable
                            confidence=off window=100ms;
        canary_rule         latency_p95_max 1ms confidence=99.9%;
        canary_rule         latency_p99_max 24h burst=100ms;
        canary_rule         failed_requests_max 0 confidence=off
                            min_requests=3;
        canary_on_undecided advance;
        canary_on_violation halt;
        canary_approval     off;
        canary_bake         0;
        canary_unavailable  0;
        canary_patience     10m;
        canary_latency      response;
        canary_fallback     off;
        canary_key          $remote_addr$http_x_user;
        canary_force        $http_x_canary;
        EOC
    'the same rule twice' =>
        endpoint("canary_rule error_rate 1%;\ncanary_rule error_rate 2%;"),
    '16 rules' =>
        endpoint(join '', map { "canary_rule error_rate $_%;\n" } 1 .. 16),
    '100 steps' =>
        endpoint('canary_step ' . join(' ', map { "$_%" } 1 .. 100) . ';'),
    'one step' => endpoint('canary_step 100%;'),
    'the smallest linear step' => endpoint('canary_step 0.1%;'),
    'a very small first step' => endpoint('canary_step 0.0001% 1%;'),
    'balancers of releases' => <<~'EOC',
        upstream ep { canary_release v1 a; canary_release v2 b;
                      canary_release v3 c; canary_release v4 d; }
        upstream a { zone a 64k; least_conn; server 127.0.0.1:1;
                     server 127.0.0.1:2 backup; keepalive 8; }
        upstream b { ip_hash; server 127.0.0.1:1 max_fails=3; keepalive 8; }
        upstream c { hash $uri consistent; server 127.0.0.1:1 weight=2; }
        upstream d { zone d 64k; random two least_conn; server 127.0.0.1:1;
                     server 127.0.0.1:2 down; }
        EOC
    'a zone and a path' => "canary_zone zone=z:2m;\ncanary_state_path st/;\n"
        . endpoint(''),
    'an API without endpoints' =>
        'server { location /canary/ { canary_api; } }',
    "Verta's API without endpoints" =>
        'server { location /api/v1/ { canary_verta_api workspace=w; } }',
    'both APIs, each in its own location' => <<~'EOC',
        server { location / { canary_api write=on; deny all;
                              location /x/api/v1/ { canary_verta_api; } }
                 listen 127.0.0.1:%%PORT_api%%; }
        EOC
    'names with dots, blanks, wide characters and what is no UTF-8' => <<~"EOC",
        $releases
        upstream "..." { canary_release .v1 one; canary_release v2. two; }
        upstream ".a/..b/c..d"
            { canary_release v..1 one; canary_release v/2 two; }
        upstream "o d\xe6\x97\xa5\xff"
            { canary_release \xc3\xa9 one; canary_release v2\xff two; }
        EOC
    'a zone and a path without endpoints' =>
        "canary_zone zone=z:2m;\ncanary_state_path st;",
    'canary_api for all, or part of it' => <<~'EOC',
        server { location / { canary_api write=on; deny all; }
                 listen 127.0.0.1:%%PORT_api%%; }
        server { location = /metrics { canary_metrics; }
                 location ^~ /canary/ { canary_api; allow all; }
                 listen 127.0.0.1:%%PORT_http%%; }
        EOC
);

subtest 'accepted' => sub {
    for my $name (sort keys %accepted) {
        my ($accepted, $output) = $t->check($accepted{$name});

        ok($accepted, $name) or diag($output);

        # there are two upstreams here, whatever the number of releases

        $output =~ s/^.*\[warn\] .* so that they are the same servers.*\n//mg;
        unlike($output, qr/\[(?:warn|alert|crit|emerg)\]/, 'no warning');
    }
};

subtest 'gRPC where nginx cannot go to another peer' => sub {
    needs('http_v2', 'http_grpc');

    my $version = $t->version;
    my $unsafe = $version < 1_028_002
        || $version >= 1_029_000 && $version < 1_029_005;
    my $check = sub ($directive) {
        my ($accepted, $output) = $t->check(<<~EOC);
            $releases
            upstream ep {
                canary_release v1 one; #!
                canary_release v2 two;
                $directive
            }
            server { location / { grpc_pass grpc://ep; } }
            EOC

        ok($accepted, "accepted $directive") or diag($output);

        return $output =~ /\[warn\] (.*)/ ? $1 : '';
    };

    is($check->('canary_fallback off;'), '',
       'without fallback there is nothing to warn of');

    my $warning = $check->('');
    my $place = $t->dir . '/check.conf:' . $t->line_of('#!');
    like($warning, $unsafe ? qr/gRPC .*"ep" .*"canary_fallback off".* $place$/
                           : qr/^$/, 'with it, if nginx is one of those');
};

# What nginx then has, without a word about the path.

subtest 'without an endpoint there is nothing' => sub {
    rmdir $t->dir . '/canary';    # left by nginx -t

    $t->start(<<'EOC', state_path => undef);
        upstream one { server 127.0.0.1:%%PORT_v1%%; }
        canary_zone zone=canary:16m;

        server {
            listen 127.0.0.1:%%PORT_http%%;
            location / {
                add_header X-Endpoint "[$canary_endpoint]";
                proxy_pass http://one;
            }
        }
        %%API%%
EOC

    my $response = $t->get('/');
    is($response->body, 'v1', 'nginx serves');
    is($response->header('X-Endpoint'), '[]', 'variables are empty');
    is_deeply($t->api_get('endpoints')->json, { endpoints => [] },
              'the API knows no endpoint');
    is($t->helper_pid, undef, 'no helper process');
    is(zones($t->master_pid, ZONE_DEFAULT), 0, 'no shared memory');
    ok(!-e $t->dir . '/canary', 'no directory');
};

subtest 'the first endpoint' => sub {
    $t->renew("$releases
        upstream ep { canary_release v1 one; canary_release v2 two; }
        server {
            listen 127.0.0.1:%%PORT_http%%;
            location / { proxy_pass http://ep; }
        }
        %%API%%", state_path => '%%DIR%%/canary');

    is($t->get('/')->body, 'v1', 'the first release is stable');
    ok($t->helper_pid, 'there is a helper process') if $t->has_processes;
    is(zones($t->master_pid, ZONE_DEFAULT), 1, 'shared memory of 16m');
    is_private($t->dir . '/canary');
};

subtest 'the last endpoint goes' => sub {
    $t->renew("$releases
        server {
            listen 127.0.0.1:%%PORT_http%%;
            location / { proxy_pass http://two; }
        }
        %%API%%");

    is($t->get('/')->body, 'v2', 'nginx serves');
    is($t->helper_pid, undef, 'no helper process');
    is(zones($t->master_pid, ZONE_DEFAULT), 0, 'no shared memory');
};

subtest 'a path and a zone of its own' => sub {
    $t->renew("$releases
        canary_zone zone=mine:4m;
        canary_state_path %%DIR%%/state;
        upstream ep { canary_release v1 one; canary_release v2 two; }
        server {
            listen 127.0.0.1:%%PORT_http%%;
            location / { proxy_pass http://ep; }
        }
        %%API%%");

    is(zones($t->master_pid, 4 * 1024 * 1024), 1, 'shared memory of 4m');
    is(zones($t->master_pid, ZONE_DEFAULT), 0, 'and no other');
    is_private($t->dir . '/state');
};

# nginx gives the directories of its configuration to the worker user, whatever
# they are.

subtest 'a state path that is something else is not touched' => sub {
    my $dir = $t->dir;
    my @user = $> == 0 && defined getpwnam 'nobody'
        ? (user => 'nobody ' . getgrgid((getpwnam 'nobody')[3])) : ();
    my $config = endpoint('');

    $t->write_file('thing', "precious\n");
    POSIX::mkfifo("$dir/fifo", 0644) or die "mkfifo: $!";
    my $socket = IO::Socket::UNIX->new(Listen => 1, Local => "$dir/socket");
    symlink 'thing', "$dir/link" or die "symlink: $!";
    symlink 'nowhere', "$dir/dangling" or die "symlink: $!";
    mkdir "$dir/others" or die "mkdir: $!";
    $t->write_file('others/passwd', "root\n");
    symlink 'others', "$dir/other_link" or die "symlink: $!";
    mkdir "$dir/empty" or die "mkdir: $!";

    my @refused = (
        [ thing        => 'is a file' ],
        [ fifo         => 'is a FIFO' ],
        [ socket       => 'is a socket' ],
        [ link         => 'is a file' ],
        [ dangling     => 'is a link to nothing' ],
        [ 'thing/in'   => 'cannot be looked at .*Not a directory' ],
        [ 'no/canary'  => 'is in a directory that cannot be looked at .*No' ],
        $> == 0 ? ([ others     => 'is a directory of other files' ],
                   [ other_link => 'is a directory of other files' ]) : (),
    );

    for my $case (@refused) {
        my ($name, $why) = @$case;
        my @before = (stat "$dir/$name")[ 2, 4, 5, 7, 9, 10 ];
        my $directive = "canary_state_path $dir/$name/;";
        my ($accepted, $output) = $t->check("$directive\n$config", @user);

        ok(!$accepted, "$name: refused");
        like($output, qr/"\Q$dir\E\/$name" of canary_state_path $why/s, 'why')
            if $why !~ / \./;
        like($output, qr/must be a directory for the state alone/, 'what is '
             . 'right');
        like($output, qr/\Q$dir\E\/check\.conf:\d+/, 'and where');
        is_deeply([ (stat "$dir/$name")[ 2, 4, 5, 7, 9, 10 ] ], \@before,
                  'nothing of it has changed');
    }
    is($t->read_file('thing'), "precious\n", 'nor in it');

    for my $name ('empty', 'new') {
        my @before = (stat "$dir/$name")[ 2, 4, 5, 7, 9, 10 ];
        my ($accepted, $output) = $t->check("canary_state_path $dir/$name;"
                                            . "\n$config", @user);
        ok($accepted, "$name: accepted") or diag $output;
        is_deeply([ (stat "$dir/$name")[ 2, 4, 5, 7, 9, 10 ] ], \@before,
                  'and not touched by a test either');
    }
};

# What was set is what a rollout does.

subtest 'ratios are percentages are ratios' => sub {
    my @same = ([ '20%', '0.2' ], [ '100%', '1' ], [ '0.5%', '0.005' ],
                [ '12.5%', '0.125' ], [ '1% 10% 100%', '0.01 0.1 1.0' ]);
    my @endpoints;

    for my $i (0 .. $#same) {
        for my $j (0, 1) {
            push @endpoints, "upstream same_${i}_$j { canary_release v1 one;
                              canary_release v2 two;
                              canary_step $same[$i][$j]; }";
        }
    }

    $t->renew(join "\n", $releases, @endpoints, '%%API%%');

    for my $i (0 .. $#same) {
        my ($a, $b) = map { $t->endpoint("same_${i}_$_")->{strategy} } 0, 1;

        is_deeply($a, $b, "$same[$i][0] is $same[$i][1]");
    }
};

subtest 'the strategy in the API' => sub {
    $t->renew(endpoint(<<~'EOC') . '%%API%%');
        canary_interval     1m30s;
        canary_step         1% 5% 25% 50%;
        canary_rule         error_5xx_rate 1.5% min_requests=20;
        canary_rule         latency_avg_max 250ms confidence=off;
        canary_rule         failed_requests_max 7;
        canary_rule         latency_avg_max 250ms burst=0 confidence=0.99;
        canary_rule         error_rate 1% baseline=stable;
        canary_rule         latency_p90_max 1.3 baseline=stable
                            confidence=off window=1m min_requests=9;
        canary_on_undecided advance;
        canary_on_violation halt;
        canary_approval     promotion;
        canary_bake         5m;
        canary_patience     90s;
        EOC

    my $strategy = $t->endpoint('ep')->{strategy}{canary_strategy};
    cmp_ok($strategy->{progress_interval_seconds}, '==', 90, 'interval');
    is_deeply($strategy->{progress_steps}, [0.01, 0.05, 0.25, 0.5, 1],
              'steps, with 100% at the end');
    cmp_ok($strategy->{bake_seconds}, '==', 300, 'bake');
    cmp_ok($strategy->{patience_seconds}, '==', 90, 'patience');
    is($strategy->{on_undecided}, 'advance', 'on_undecided');
    is($strategy->{on_violation}, 'halt', 'on_violation');
    is($strategy->{approval}, 'promotion', 'approval');

    is_rule($strategy->{rules}[0], 'error_5xx_rate', threshold => 0.015,
            min_requests => 20, confidence => 0.999, burst_seconds => 0.1);
    is_rule($strategy->{rules}[1], 'latency_avg_max', threshold => 250,
            min_requests => 50, confidence => 'off');
    is_rule($strategy->{rules}[2], 'failed_requests_max', threshold => 7,
            min_requests => 1);
    is_rule($strategy->{rules}[3], 'latency_avg_max', threshold => 250,
            min_requests => 50, confidence => 0.99, burst_seconds => 0);
    is_rule($strategy->{rules}[4], 'error_rate', threshold => 0.01,
            min_requests => 50, confidence => 0.999, burst_seconds => 0.1,
            baseline => 'stable');
    is_rule($strategy->{rules}[5], 'latency_p90_max', threshold => 1.3,
            min_requests => 9, confidence => 'off', window_seconds => 60,
            baseline => 'stable');
};

subtest 'the defaults' => sub {
    $t->renew(endpoint('') . '%%API%%');

    my $strategy = $t->endpoint('ep')->{strategy}{canary_strategy};
    cmp_ok($strategy->{progress_interval_seconds}, '==', 60, 'interval');
    cmp_ok($strategy->{progress_step}, '==', 0.1, 'step');
    cmp_ok($strategy->{bake_seconds}, '==', 0, 'bake');
    cmp_ok($strategy->{patience_seconds}, '==', 10, 'patience');
    is($strategy->{on_undecided}, 'hold', 'on_undecided');
    is($strategy->{on_violation}, 'rollback', 'on_violation');
    is($strategy->{approval}, 'off', 'approval');
    is_deeply($strategy->{rules}, [], 'no rules');
};

$t->finish;


# An endpoint with two releases and more.

sub endpoint($directives) {
    return <<~EOC;
        $releases
        upstream ep {
            canary_release v1 one;
            canary_release v2 two;
            $directives
        }
        EOC
}


sub is_refused($name, $http, @patterns) {
    my ($accepted, $output) = $t->check($http);
    my $place = $t->dir . '/check.conf:' . $t->line_of('#!');
    my $reason = first { /\[emerg\]/ } split /\n/, $output;

    ok(!$accepted, "$name: refused");
    like($reason, qr/ \Q$place\E$/, 'file and line');
    like($reason, $_, 'the reason') for @patterns;

    return;
}


# Before and after them.

sub is_refused_beside($directive, @patterns) {
    is_refused("$directive after them", <<~EOC, @patterns);
        $releases
        upstream ep {
            canary_release v1 one; #!
            canary_release v2 two;
            $directive
        }
        EOC

    is_refused("$directive before them", <<~EOC, @patterns);
        $releases
        upstream ep {
            $directive
            canary_release v1 one; #!
            canary_release v2 two;
        }
        EOC

    return;
}


# The number of shared mappings of that size.

sub zones($pid, $size) {
    open my $in, '<', "/proc/$pid/maps" or die "/proc/$pid/maps: $!";
    no warnings 'portable';

    return scalar grep {
        /^(\w+)-(\w+) rw-s/ && hex($2) - hex($1) == $size
    } <$in>;
}


sub is_private($path) {
    my (undef, undef, $mode, undef, $owner) = stat $path;

    ok(-d $path, 'there is a directory');
    is(sprintf('%o', $mode & 07777), '700', 'only for its owner');
    is($owner, $>, 'who is the user of the workers');

    return;
}


sub is_rule($rule, $name, %parameters) {
    my %shown = map { $_->{name} => $_->{value} }
        @{ $rule->{rule_parameters} };

    is($rule->{rule}, $name, $name);

    return is_deeply(\%shown, \%parameters, 'its parameters');
}
