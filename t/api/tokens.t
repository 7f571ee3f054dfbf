#!/usr/bin/perl

# canary_api_tokens: who may read and write, how a token is sent, what of it is
# remembered, and what nginx -t says of the file.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw(sha256_hex);
use MIME::Base64 qw(encode_base64);
use POSIX qw(mkfifo);
use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
$t->backend($_) for qw(v1 v2);

my %secret = (ci => 'tok-3f9a-operator', grafana => 'tok-77b1-reader',
              new => 'tok-c0de-later', inner => 'tok-inner');
my %hash = map { $_ => sha256_hex($secret{$_}) } keys %secret;

$t->write_file('users', 'ops:{PLAIN}secret');
$t->write_file('tokens', "# who    role   SHA-256\n"
    . "ci     operator   $hash{ci}\n"
    . "\tgrafana\treader\t" . uc($hash{grafana}) . "  # dashboards\r\n\n");
$t->write_file('inner', "inner operator $hash{inner}");
$t->write_file('none', "# nobody\n");

my $tls = $t->has('http_ssl') && make_certificates();
my $tls_server = $tls ? <<'EOC' : '';
    server {
        listen 127.0.0.1:%%PORT_tls%% ssl;
        ssl_certificate %%DIR%%/server.crt;
        ssl_certificate_key %%DIR%%/server.key;
        ssl_client_certificate %%DIR%%/ca.crt;
        ssl_verify_client optional_no_ca;
        location /tls/ { canary_api write=on; }
    }
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
        canary_api_tokens tokens;

        location /        { canary_api write=on; }
        location /read/   { canary_api; }
        location /inner/  { canary_api write=on; canary_api_tokens inner; }
        location /none/   { canary_api write=on;
                            canary_api_tokens %%DIR%%/none; }
        location /if/     { canary_api write=on; if (\$arg_x) { set \$y 1; } }
        location /basic/  { canary_api write=on; auth_basic "x";
                            auth_basic_user_file %%DIR%%/users; }
    }

    server {
        listen 127.0.0.1:%%PORT_open%%;
        location /basic/  { canary_api write=on; auth_basic "x";
                            auth_basic_user_file %%DIR%%/users; }
        location /claims/ { canary_api write=on; set \$who \$remote_user; }
        location /any/    { canary_api write=on; set \$who \$remote_user;
                            satisfy any; allow all; auth_basic "x";
                            auth_basic_user_file %%DIR%%/users; }
    }

$tls_server
    %%API%%
EOC

$t->start_rollout('ep');

my $pause = 'endpoints/ep/rollout/pause';


# Who may.

subtest 'without a token' => sub {
    for my $headers ({}, { Authorization => 'Basic b3BzOnNlY3JldA==' },
                     { Authorization => 'Bearer' },
                     { Authorization => 'Bearer ' },
                     { 'X-Canary-Token' => '' })
    {
        for my $request (['GET', 'endpoints'], ['HEAD', 'endpoints/ep'],
                         ['GET', 'endpoints/ep/events'], ['GET', 'nowhere'],
                         ['POST', $pause], ['POST', ''], ['PUT', 'nowhere'])
        {
            my ($method, $path) = @$request;
            my $response = call($method, $path, %$headers);

            is($response->status, 401, "$method $path");
            is($response->header('WWW-Authenticate'), 'Bearer realm="canary"');
            is($response->header('Content-Type'), 'application/problem+json');
            is($response->json->{status}, 401) unless $method eq 'HEAD';
        }
    }
};

subtest 'with one that is not known' => sub {
    my @wrong = ('x', "$secret{ci}x", substr($secret{ci}, 0, -1),
                 uc $secret{ci}, $hash{ci}, 'ci', "\xff" x 4000);

    for my $token (@wrong) {
        for my $name ('X-Canary-Token', 'Authorization') {
            my $value = $name eq 'Authorization' ? "Bearer $token" : $token;
            my $response = call('GET', 'endpoints', $name => $value);

            is($response->status, 401, $name);
            is($response->header('WWW-Authenticate'),
               'Bearer realm="canary", error="invalid_token"');
        }
    }
};

subtest 'a reader reads' => sub {
    for my $headers (token('grafana'),
                     [ Authorization => "bearer $secret{grafana}" ],
                     [ Authorization => "Bearer   $secret{grafana}" ],
                     [ 'x-canary-token' => $secret{grafana} ])
    {
        is(call('GET', 'endpoints/ep', @$headers)->status, 200,
           $headers->[0]);
    }

    for my $method (qw(POST PATCH PUT DELETE)) {
        my $response = call($method, $pause, @{ token('grafana') });

        is($response->status, 403, $method);
        is($response->header('Content-Type'), 'application/problem+json');
        like($response->json->{detail}, qr/"grafana".*"operator"/);
    }

    is($t->endpoint('ep')->{phase}, 'progressing');
    is(call('GET', 'nowhere', @{ token('grafana') })->status, 404);
};

subtest 'an operator writes' => sub {
    my $response = call('POST', $pause, @{ token('ci') });

    is($response->status, 200);
    is($response->json->{phase}, 'paused');
    is_deeply(($t->events('ep'))[0]{actor},
              { name => 'ci', address => '127.0.0.1' });
    $t->verb(ep => 'resume');

    is($t->request(method => 'POST', uri => "/read/$pause",
                   headers => token('ci'))->status, 403,
       'not without write=on');
    is(call('POST', $pause, @{ token('ci') },
            Origin => 'http://evil.example')->status, 403,
       'not from another site');
};

subtest 'X-Canary-Token comes first' => sub {
    is(call('GET', 'endpoints', 'X-Canary-Token' => 'x',
            Authorization => "Bearer $secret{ci}")->status, 401);
    is(call('GET', 'endpoints', 'X-Canary-Token' => $secret{ci},
            Authorization => 'Bearer x')->status, 200);
};

subtest 'the location itself needs none' => sub {
    is(call('GET', '')->status, 200);
    is(call('HEAD', '')->status, 200);
    is(call('GET', '', 'X-Canary-Token' => 'x')->status, 200);
    is(call('POST', '', @{ token('ci') })->status, 405);
};

subtest 'inherited, or replaced' => sub {
    my $get = sub ($place, $who) {
        return $t->get("/$place/endpoints", headers => token($who))->status;
    };

    is($get->('inner', 'inner'), 200);
    is($get->('inner', 'ci'), 401);
    is($get->('if', 'ci'), 200);
    is($get->('none', 'ci'), 401, 'a file without a token');
    is($t->get('/if/endpoints?x=1')->status, 401, 'within "if" too');
    is($t->api_get('endpoints')->status, 200, 'not in another server');
};


# Who did.

subtest 'beside auth_basic' => sub {
    my $basic = 'Basic ' . encode_base64('ops:secret', '');
    my $uri = '/basic/endpoints/ep/rollout';

    is($t->get('/basic/endpoints', headers => token('ci'))->status, 401);
    is($t->get('/basic/endpoints',
               headers => { Authorization => $basic })->status, 401);

    is($t->request(method => 'POST', uri => "$uri/pause", headers =>
                   [ Authorization => $basic,
                     'X-Canary-Token' => $secret{ci} ])->status, 200);
    is(last_actor(), 'ci', 'the token');

    is($t->request(method => 'POST', uri => "$uri/resume", port => 'open',
                   headers => { Authorization => $basic })->status, 200);
    is(last_actor(), 'ops', 'the user, where there are no tokens');
};

subtest 'a user whom nobody has verified is none' => sub {
    my $basic = 'Basic ' . encode_base64('root:x', '');

    for my $place (qw(claims any)) {
        for my $verb (qw(pause resume)) {
            is($t->request(method => 'POST', port => 'open',
                           uri => "/$place/endpoints/ep/rollout/$verb",
                           headers => { Authorization => $basic })->status,
               200);
            is(last_actor(), 'api', "$place: $verb");
        }
    }
};

subtest 'the subject of a TLS client' => sub {
    needs('http_ssl', 'openssl');

    for my $case (['client', 'pause', 'CN=deployer,O=Ops'],
                  ['stranger', 'resume', 'api'], [undef, 'pause', 'api'],
                  ['client', 'resume', 'CN=deployer,O=Ops'])
    {
        my ($who, $verb, $actor) = @$case;

        like(tls($who, "/tls/endpoints/ep/rollout/$verb"),
             qr{^HTTP/1\.1 200 }m, ($who // 'no certificate') . ", $verb");
        is(last_actor(), $actor);
    }
};

subtest 'no token is logged' => sub {
    my $logs = $t->error_log . $t->access_log;

    like($logs, qr/by ci 127\.0\.0\.1: paused/, 'but who it was');
    unlike($logs, qr/tok-/);
    unlike($logs, qr/\Q$_\E/i) for values %hash;
};


# The file.

subtest 'it is read at reload' => sub {
    needs('processes', 'speed');
    my $old = $t->read_file('tokens');

    $t->write_file('tokens', "new operator $hash{new}");
    is(call('GET', 'endpoints', @{ token('new') })->status, 401);

    $t->reload;
    is(call('GET', 'endpoints', @{ token('new') })->status, 200);
    is(call('GET', 'endpoints', @{ token('ci') })->status, 401);

    $t->write_file('tokens', "new operator x\n");
    like($t->reload(undef, fails => 1), qr{in \S+/tokens:1$});
    is(call('GET', 'endpoints', @{ token('new') })->status, 200,
       'a file with errors leaves the old tokens');

    $t->write_file('tokens', $old);
    $t->reload;
};

subtest 'what nginx -t refuses' => sub {
    my ($x, $y, $z) = map { sha256_hex($_) } qw(x y z);
    my $form = qr/has to be "name role sha256-hex"/;
    my @cases = (
        ["ci operator\n", $form, 1],
        ["\n# x\nci\n", $form, 3],
        ["ci operator $x more\n", $form, 1],
        ["ci admin $x", qr/"reader" or "operator"/, 1],
        ["ci Operator $x", qr/"reader" or "operator"/, 1],
        ["ci operator " . substr($x, 1), qr/64 hexadecimal digits/, 1],
        ["ci operator ${x}0", qr/64 hexadecimal digits/, 1],
        ["ci operator g" . substr($x, 1), qr/64 hexadecimal digits/, 1],
        ["ci operator tok-plain", qr/64 hexadecimal digits/, 1],
        ["a" x 64 . " reader $x", qr/at most 63 bytes/, 1],
        ["a\x1b reader $x", qr/UTF-8 without control/, 1],
        ["a\0 reader $x", qr/UTF-8 without control/, 1],
        ["\xff reader $x", qr/UTF-8 without control/, 1],
        ["ci reader $x\nx reader $y\nci operator $z",
         qr/the name of token "ci" is that of the one in line 1/, 3],
        ["ci reader $x\n\nxi operator " . uc $x,
         qr/the SHA-256 of token "xi" is that of the one in line 1/, 3],
    );

    for my $case (@cases) {
        my ($text, $reason, $line) = @$case;

        $t->write_file('bad', $text);
        my ($fine, $said) = $t->check('canary_api_tokens bad;');

        ok(!$fine, $reason);
        like($said, $reason);
        like($said, qr{/bad:$line$}m);
        unlike($said, qr/tok-plain/);
    }

    # nginx would wait for somebody to write

    mkfifo($t->dir . '/fifo', 0600) or die "mkfifo: $!";

    for my $case (['nowhere', qr/open\(\) "\S+nowhere" failed/],
                  ['.', qr/has to be a regular file/],
                  ['fifo', qr/has to be a regular file/],
                  ['tokens; canary_api_tokens tokens', qr/is duplicate/])
    {
        my ($file, $reason) = @$case;
        my ($fine, $said) = $t->check("canary_api_tokens $file;");

        ok(!$fine, $file);
        like($said, $reason);
        like($said, qr/check\.conf:\d+/);
    }
};

subtest 'what it accepts' => sub {
    my ($fine, $said) = $t->check('canary_api_tokens none;');
    ok($fine);
    like($said, qr/\[warn\] .*there is no token in .*none/);

    $t->write_file('odd', "\n  \t# x\nj\xc3\xb6rg reader $hash{ci}#");
    ($fine, $said) = $t->check('canary_api_tokens odd;');
    ok($fine) or diag($said);
    unlike($said, qr/warn/);
};

$t->finish;


sub token($who) {
    return [ 'X-Canary-Token' => $secret{$who} ] if $who ne 'ci';
    return [ Authorization => "Bearer $secret{$who}" ];
}


sub call($method, $path, @headers) {
    return $t->request(method => $method, uri => "/$path",
                       headers => \@headers);
}


sub last_actor() {
    my $actor = ($t->events('ep'))[0]{actor};

    is($actor->{address}, '127.0.0.1');

    return $actor->{name};
}


# A CA, a server, a client that it has signed, and one that nobody has.

sub make_certificates() {
    my $dir = $t->dir;
    my $new = 'req -newkey rsa:2048 -nodes -batch';

    for my $command (
        "$new -x509 -days 2 -subj /CN=ca -keyout ca.key -out ca.crt",
        "$new -x509 -days 2 -subj /CN=localhost -keyout server.key"
            . ' -out server.crt',
        "$new -x509 -days 2 -subj /CN=deployer -keyout stranger.key"
            . ' -out stranger.crt',
        "$new -subj /O=Ops/CN=deployer -keyout client.key -out client.csr",
        'x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial'
            . ' -days 2 -out client.crt')
    {
        system("cd $dir && openssl $command >>openssl.log 2>&1") == 0
            or return 0;
    }

    return 1;
}


# A POST by openssl, with the certificate of that name: all that was answered.

sub tls($who, $uri) {
    my ($dir, $port) = ($t->dir, $t->port('tls'));
    my $certificate = $who ? "-cert $dir/$who.crt -key $dir/$who.key" : '';

    $t->write_file('request', "POST $uri HTTP/1.1\r\nHost: localhost\r\n"
                              . "Connection: close\r\n\r\n");

    return scalar qx(openssl s_client -quiet -ign_eof $certificate \\
        -connect 127.0.0.1:$port <$dir/request 2>/dev/null);
}
