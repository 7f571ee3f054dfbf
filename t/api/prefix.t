#!/usr/bin/perl

# The API behind another nginx that has it under a prefix of its own, and over
# TLS; and sixteen who advance at once.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
$t->backend($_) for qw(v1 v2);

my $tls = $t->has('http_ssl') && !system 'cd ' . $t->dir . ' && openssl req'
    . ' -x509 -newkey rsa:2048 -nodes -batch -days 2 -subj /CN=localhost'
    . ' -keyout key -out crt >openssl.log 2>&1';
my $tls_front = $tls ? <<'EOC' : '';
        location /tls/ { proxy_pass https://127.0.0.1:%%PORT_tls%%/canary/; }
    }
    server {
        listen 127.0.0.1:%%PORT_tls%% ssl;
        ssl_certificate crt;
        ssl_certificate_key key;
        location /canary/ { canary_api write=on; }
EOC

$t->start(<<"EOC");
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /ops/rollouts/ {
            proxy_pass http://127.0.0.1:%%PORT_api%%/canary/;
            proxy_set_header Host \$http_host;
        }
$tls_front
    }

    %%API%%
EOC

for my $prefix ('/ops/rollouts', $tls ? '/tls' : ()) {
    subtest "under $prefix" => sub {
        my $uri = "$prefix/endpoints/ep/rollout";

        $t->start_rollout('ep');
        is($t->get("$prefix/")->json->{paths}[0]{path}, '',
           'paths are below the location');
        is($t->get("$prefix/endpoints/ep")->json->{name}, 'ep');
        is($t->get("$prefix/nowhere")->status, 404);

        my $response = $t->request(method => 'PATCH', uri => $uri,
                                   body => '{"weight":0.3}');
        is($response->status, 200);
        is($response->json->{weight}, 0.3);
        is($t->request(method => 'POST', uri => "$uri/rollback",
                       headers => { 'If-Match' => '"1"' })->status, 412);
        is($t->request(method => 'POST', uri => "$uri/rollback")->status,
           200);
    };
}

subtest 'pages of the front may write' => sub {
    my $host = '127.0.0.1:' . $t->port('http');
    my $pause = '/ops/rollouts/endpoints/ep/rollout/pause';

    $t->start_rollout('ep');
    is($t->request(method => 'POST', uri => $pause, headers =>
                   { Origin => 'http://evil.example' })->status, 403);
    is($t->request(method => 'POST', uri => $pause, headers =>
                   { Origin => "http://$host" })->status, 200);
    $t->verb(ep => 'rollback');
};

subtest 'of sixteen who advance one succeeds' => sub {
    my $endpoint = $t->start_rollout('ep', steps => [0.1, 0.2, 0.3]);
    my @clients = map { $t->client('api') } 1 .. 16;
    my %seen;

    $_->start(method => 'POST', uri => '/canary/endpoints/ep/rollout/advance',
              headers => { 'If-Match' => qq("$endpoint->{generation}") })
        for @clients;
    $seen{ $_->finish->status }++ for @clients;

    is_deeply(\%seen, { 200 => 1, 412 => 15 });
    is($t->endpoint('ep')->{step}, 2);
};

$t->finish;
