#!/usr/bin/perl

# Mistakes that people make in nginx.conf: nginx -t names the thing, says what
# would be right, and where it stands, in these words.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Canary::Needs qw(lacks);
use Canary::Test;
use Test::More;

my $t = Canary::Test->new(workers => 1);
my $dir = $t->dir;

$t->write_file('a-file', "mine\n");
$t->write_file('users', "me:{PLAIN}secret\n");
$t->write_file('tokens', 'ci operator ' . 'ab' x 32 . "\n");

my $ratio = 'it must be a ratio from 0 to 1, such as "10%" or "0.1"';
my $factor = 'with a baseline, it must be a factor from 1 to 1000, such as '
    . '"1.3"';
my $same = 'has no variable, so it is the same for all requests, it must be a '
    . 'string such as "$cookie_user"';
my $beside = 'in one upstream, put them into the upstreams of the releases: '
    . 'upstream "ep"';
my $prefix = 'use one by prefix';

# What stands in an endpoint, where #! marks the line; and what is said of it.

my @in_endpoint = (
    [ 'canary_rule latency_p90_max 250; #!',
      'threshold "250" of rule "latency_p90_max" needs a unit, such as '
      . '"250ms" or "250s"' ],
    [ 'canary_rule latency_p99_max 0.5s; #!',
      'invalid threshold "0.5s" of rule "latency_p99_max", it must be a time '
      . 'from 1ms to 24h, such as "250ms"' ],
    (map { [ "canary_rule error_5xx_rate $_; #!",
             'invalid threshold "' . (split)[0] . '" of rule '
             . '"error_5xx_rate": there is no operator, a rule is broken when '
             . 'its value is above the threshold, such as "error_5xx_rate '
             . '10%"' ] } '> 5%', '>=0.1'),
    [ 'canary_rule error_5xx_rate 5; #!',
      qq(invalid threshold "5" of rule "error_5xx_rate", $ratio) ],
    [ 'canary_rule error_4xx_rate 5 %; #!',
      'invalid parameter "%" of "canary_rule", it must be '
      . '"min_requests=number", "confidence=number" or "confidence=off", '
      . '"burst=time", "window=time", "baseline=stable" or "match=name"' ],
    [ 'canary_rule latency_p90_max 0.9 baseline=stable; #!',
      qq(invalid threshold "0.9" of rule "latency_p90_max" $factor) ],
    [ 'canary_rule latency_p90_max 130% baseline=stable; #!',
      qq(invalid threshold "130%" of rule "latency_p90_max" $factor, which )
      . 'allows 30% more than stable has' ],
    [ 'canary_rule latency_avg_max 250ms baseline=stable; #!',
      qq(invalid threshold "250ms" of rule "latency_avg_max" $factor) ],
    [ 'canary_rule failed_requests_max 5%; #!',
      'invalid threshold "5%" of rule "failed_requests_max", it must be a '
      . 'whole number of requests from 0 to 1000000000' ],
    [ 'canary_rule error_rate 5% confidence=99; #!',
      'invalid "confidence=99", confidence must be '
      . 'a ratio from 0.5 up to, but not including, 1, such as "0.999", or '
      . '"off"' ],
    [ 'canary_rule error_rate 5% min_requests=many; #!',
      'invalid "min_requests=many", min_requests '
      . 'must be a whole number from 1 to 1000000000' ],
    [ 'canary_rule error_rate 5% burst=50ms; #!',
      'invalid "burst=50ms", burst must be 0 or a '
      . 'multiple of 100ms, up to 10s' ],
    [ 'canary_step 20; #!',
      'invalid step "20", it must be above 0 and at most 1 or 100%' ],
    [ 'canary_step 10%,50%; #!',
      'invalid step "10%,50%", it must be a ratio such as "20%" or "0.2", no '
      . 'finer than 0.0001%' ],
    [ 'canary_step 50% 20%; #!', 'invalid step "20%", steps must rise' ],
    [ 'canary_interval 0; #!', '"canary_interval" directive must be above 0' ],
    [ 'canary_interval 1min; #!',
      'invalid value "1min" in "canary_interval" directive, it must be a '
      . 'time of at most 365d, such as "10s"' ],
    [ 'canary_patience 5s; #!',
      '"canary_patience" directive must be from 10s to 10m' ],
    [ 'canary_on_violation stop; #!',
      'invalid value "stop" in "canary_on_violation" directive, it must be '
      . '"rollback" or "halt"' ],
    [ 'canary_approval yes; #!',
      'invalid value "yes" in "canary_approval" directive, it must be "off" '
      . 'or "step" or "promotion"' ],
    [ 'canary_fallback no; #!',
      'invalid value "no" in "canary_fallback" directive, it must be "on" or '
      . '"off"' ],
    [ 'canary_key user; #!', qq("user" of "canary_key" $same) ],
    [ 'canary_only on; #!', qq("on" of "canary_only" $same) ],
    [ 'canary_exclude /health; #!', qq("/health" of "canary_exclude" $same) ],
    [ 'canary_key $cookie_user once=0; #!',
      'invalid parameter "once=0" of "canary_key", it must be "once=" and a '
      . 'time above 0 of at most 365d, such as "once=10m"' ],
    [ 'canary_release v3 127.0.0.1:8080; #!',
      'release "v3" names unknown upstream "127.0.0.1:8080", there must be an '
      . '"upstream 127.0.0.1:8080 { ... }",' ],
    [ 'canary_release v3 ep; #!',
      'release "v3" names upstream "ep", which has releases itself, it must '
      . 'be an upstream with servers,' ],
    [ 'canary_release v3 two weight=5; #!',
      'invalid parameter "weight=5" of "canary_release", it must be '
      . '"id=number" or "stable"' ],
    [ 'canary_release "v 3" two; #!',
      'invalid release name "v 3", it must have 1 to 63 characters, without '
      . 'spaces, quotes and backslashes' ],
);

# Whole configurations.

my @elsewhere = (
    (map { [ "upstream ep { canary_release v1 one; #!\n $_->[0] }",
             qq("canary_release" cannot be combined with $_->[1] $beside) ] }
         [ 'least_conn;', 'load balancing directives' ]),
    [ "upstream ep { canary_release v1 one; #!\nserver 127.0.0.1:1; }",
      '"canary_release" cannot be combined with "server" in one upstream, '
      . 'put the servers into the upstreams of the releases: upstream "ep"' ],
    [ "upstream ep { server 127.0.0.1:1;\ncanary_interval 10s; #!\n }",
      '"canary_interval" in upstream "ep", which has no "canary_release",' ],
    [ "server { location ~ ^/canary/ {\ncanary_api; #!\n } }",
      '"canary_api" directive cannot be in a location by regular expression, '
      . $prefix ],
    [ "server { location = /canary/ {\ncanary_api; #!\n } }",
      '"canary_api" directive cannot be in a location by "=", which has '
      . "nothing below it, $prefix" ],
    [ "server { location = /api/v1/ {\ncanary_verta_api; #!\n } }",
      '"canary_verta_api" directive cannot be in a location by "=", which has '
      . "nothing below it, $prefix" ],
    [ "server { location \@canary {\ncanary_api; #!\n } }",
      qq("canary_api" directive cannot be in a named location, $prefix) ],
    [ "server { location /canary/ {\nproxy_pass http://one;\n"
      . "canary_api; #!\n } }",
      '"canary_api" directive is in a location with another handler, such as '
      . '"proxy_pass", use a location of its own' ],
    [ "server { location /canary/ {\ncanary_api; #!\n"
      . "proxy_pass http://one; } }",
      '"canary_api" is in location "/canary/" with another handler, such as '
      . '"proxy_pass", it must have a location of its own,' ],
    [ "server { location /api/v1/ {\ncanary_verta_api; #!\n"
      . "proxy_pass http://one; } }",
      '"canary_verta_api" is in location "/api/v1/" with another handler, '
      . 'such as "proxy_pass", it must have a location of its own,' ],
    [ "server { location /canary/ {\ncanary_api write; #!\n } }",
      'invalid parameter "write", it must be "write=on" or "write=off"' ],
    [ "server { location /verta/ {\ncanary_verta_api; #!\n } }",
      '"canary_verta_api" directive has to be in a location that ends with '
      . '"/api/v1/", where the client looks for it' ],
    [ "canary_zone canary:1m; #!\n",
      'invalid canary_zone "canary:1m", it must be "zone=name:size", such as '
      . '"zone=canary:16m"' ],
    [ "upstream ep { canary_release v1 one; }\n"
      . "canary_state_path $dir/a-file; #!\n",
      qq("$dir/a-file" of canary_state_path is a file, it must be a directory )
      . 'for the state alone, or not be there yet' ],
);

my $open = 'lets everybody who reaches it move traffic: it should have '
    . '"canary_api_tokens", "allow" and "deny", "auth_basic", "auth_request" '
    . 'or "ssl_verify_client on",';

my @warned = (
    [ "server { location /canary/ {\ncanary_api write=on; #!\n } }",
      qq("canary_api write=on" in location "/canary/" $open) ],
    [ "server { location /api/v1/ {\ncanary_verta_api write=on; #!\n } }",
      qq("canary_verta_api write=on" in location "/api/v1/" $open) ],
    [ "server { auth_basic x; auth_basic_user_file users;\n"
      . "location /canary/ { auth_basic off;\ncanary_api write=on; #!\n } }",
      qq("canary_api write=on" in location "/canary/" $open) ],
    [ "upstream ep { canary_release v1 one;\ncanary_release v2 one; #!\n }",
      'release "v2" of upstream "ep" has the upstream "one" of release "v1" '
      . "in $dir/check.conf:LINE, so that they are the same servers: give it "
      . 'one of its own,' ],
);

# What guards, in the location or above it.

my @guarded = (
    [ '', 'allow 127.0.0.1; deny all;' ],
    [ '', 'deny 2001:db8::1;' ],
    [ '', 'deny unix:;' ],
    [ 'allow 127.0.0.1; deny all;', '' ],
    [ 'auth_basic x; auth_basic_user_file users;', '' ],
    [ '', "canary_api_tokens $dir/tokens;" ],
    [ "canary_api_tokens $dir/tokens;", '' ],
    $t->has('http_auth_request') ? [ '', 'auth_request /auth;' ] : (),
);

subtest 'refused in an endpoint' => sub {
    is_refused($_->[0], "upstream ep { canary_release v1 one;
        canary_release v2 two;\n$_->[0]\n}", $_->[1]) for @in_endpoint;
};

subtest 'refused elsewhere' => sub {
    is_refused($_->[0], @$_) for @elsewhere;
};

subtest 'so many' => sub {
    cmp_ok(@in_endpoint + @elsewhere, '>=', 40, 'mistakes');
};

subtest 'warned of' => sub {
    for my $case (@warned) {
        my ($http, $text) = @$case;
        my ($accepted, @said) = check($http);

        ok($accepted, 'accepted');
        $text =~ s/LINE/$t->line_of('#!') - 1/e;
        is(join("\n", @said), "[warn] $text in " . place(), $text);
    }
};

subtest 'not warned of' => sub {
    for my $guard (@guarded) {
        my ($accepted, @said) = check("server { $guard->[0]
            location /canary/ { $guard->[1] canary_api write=on; } }");

        ok($accepted, 'accepted') or diag(@said);
        is(join("\n", @said), '', "with @$guard");
    }

    my ($accepted, @said) = check(
        'server { location /canary/ { canary_api; } }');
    is(join("\n", @said), '', 'nor where nothing is written');
};

SKIP: {
    skip(lacks('http_ssl', 'openssl'), 1) if lacks('http_ssl', 'openssl');

    subtest 'clients that need a certificate' => sub {
        system("openssl req -x509 -newkey rsa:2048 -nodes -days 3 -subj /CN=x"
            . " -keyout $dir/key.pem -out $dir/cert.pem 2>$dir/openssl.log")
            == 0 or die 'openssl';

        for my $verify (qw(on optional)) {
            my ($accepted, @said) = check("server {
                listen 127.0.0.1:%%PORT_http%% ssl;
                ssl_certificate $dir/cert.pem;
                ssl_certificate_key $dir/key.pem;
                ssl_client_certificate $dir/cert.pem;
                ssl_verify_client $verify;
                location /canary/ { canary_api write=on; } }");

            ok($accepted, 'accepted') or diag(@said);
            is(scalar @said, $verify eq 'on' ? 0 : 1,
               "warned of unless they do: $verify");
        }
    };
}

$t->finish;


# Whether it is accepted, and what is said beside that.

sub check($http) {
    my ($accepted, $output) = $t->check(<<~"EOC");
        upstream one { server 127.0.0.1:1; }
        upstream two { server 127.0.0.1:2; }
        $http
        EOC

    return ($accepted, map { s/^nginx: //r } grep { /\[(?:emerg|warn)\]/ }
                           split /\n/, $output);
}


sub place() { return "$dir/check.conf:" . $t->line_of('#!') }


sub is_refused($name, $http, $text) {
    my ($accepted, @said) = check($http);

    ok(!$accepted, "refused: $name");

    # nginx has a warning of its own of some

    my ($reason) = grep { /^\[emerg\]/ } @said;
    is($reason, "[emerg] $text in " . place(), 'with these words');

    return;
}
