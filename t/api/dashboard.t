#!/usr/bin/perl

# The dashboard: how its files are served, and what it does in a browser
# (t/api/dashboard/tests.js). Screenshots are kept in build/dashboard.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Compress::Zlib qw(memGunzip);
use Cwd qw(abs_path);
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Test::More;

use Canary::Fleet;
use Canary::Test;

use constant HTML => 'text/html,application/xhtml+xml,application/xml;q=0.9,'
    . '*/*;q=0.8';

my $root = abs_path("$FindBin::Bin/../..");
my $modules = "$root/build/browser/node_modules";

needs('speed');

my $t = Canary::Test->new(timeout => 1500);
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');
my $v3 = $t->backend('v3', nth => { n => 2, status => 500 });

$t->write_file('tokens', 'ci operator ' . sha256_hex('secret') . "\n");

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream model_v3 { server 127.0.0.1:%%PORT_v3%%; }

    upstream shop {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_release  v3 model_v3;
        canary_step     10% 50% 100%;
        canary_rule     error_5xx_rate 10%;
    }

    upstream search {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
    }

    upstream '<img src=x onerror=alert(1)> & "co"' {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;

        location / {
            proxy_pass           http://shop;
            proxy_next_upstream  error timeout http_500;
        }

        location /bare   { canary_api; }
        location /read/  { canary_api; }

        location /token/ {
            canary_api         write=on;
            canary_api_tokens  tokens;
        }

        location /stream/         { canary_api; }
        location = /stream/events {
            proxy_pass       http://127.0.0.1:%%PORT_stream%%;
            proxy_buffering  off;
        }

        location /other/prefix/ {
            proxy_pass        http://127.0.0.1:%%PORT_api%%/canary/;
            proxy_set_header  Host elsewhere.example;
        }
    }

    %%API%%
EOC


# The files.

subtest 'the page is for browsers, the index for programs' => sub {
    my %is_page = (
        HTML()                                => 1,
        'text/html'                           => 1,
        'TEXT/HTML;q=0.5, */*;q=0.1'          => 1,
        'text/*'                              => 1,
        'application/json;q=0.8, text/html'   => 1,
        'text/html;level=1;q=0.7, */*;q=0.6'  => 1,
        ''                                    => 0,
        '*/*'                                 => 0,
        'application/json'                    => 0,
        'text/html, application/json'         => 0,
        'text/html;q=0, */*'                  => 0,
        'text/html;q=x'                       => 0,
        'text/html;q=0.5, application/*'      => 0,
        'image/png'                           => 0,
    );

    for my $accept (sort keys %is_page) {
        my $response = $t->api_get('', headers =>
            $accept eq '' ? {} : { Accept => $accept });

        is($response->status, 200, "Accept: $accept");
        is($response->header('Content-Type'),
           $is_page{$accept} ? 'text/html; charset=utf-8'
                             : 'application/json');
        like($response->header('Vary'), qr/^Accept\b/);
    }

    is_deeply([ grep { $_->{path} =~ /dashboard/ }
                @{ $t->api_get('')->json->{paths} } ], [],
              'its files are not the API');
};

subtest 'headers, compression, validation' => sub {
    my %type = (
        ''              => 'text/html; charset=utf-8',
        'dashboard.css' => 'text/css; charset=utf-8',
        'dashboard.js'  => 'text/javascript; charset=utf-8',
    );

    for my $path (sort keys %type) {
        my $plain = page("/read/$path");
        my $zipped = page("/read/$path", 'Accept-Encoding' => 'gzip');
        my $etag = $plain->header('ETag');

        is($plain->status, 200, "/read/$path");
        is($plain->header('Content-Type'), $type{$path});
        is($plain->header('Content-Length'), length $plain->body);
        is($plain->header('Content-Encoding'), '');
        is($plain->header('Cache-Control'), 'no-cache');
        is($plain->header('X-Content-Type-Options'), 'nosniff');
        is($plain->header('Referrer-Policy'), 'no-referrer');
        is($plain->header('Content-Security-Policy'),
           "default-src 'none'; script-src 'self'; style-src 'self'; "
           . "img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
           . "form-action 'none'; frame-ancestors 'none'");
        like($etag, qr/^"[0-9a-f]{16}"$/);

        is($zipped->header('Content-Encoding'), 'gzip');
        is($zipped->header('Vary'), $plain->header('Vary'));
        like($zipped->header('Vary'), qr/Accept-Encoding/);
        is(memGunzip($zipped->body), $plain->body, 'the same in gzip');
        isnt($zipped->header('ETag'), $etag, 'but not the same bytes');

        my $again = page("/read/$path", 'If-None-Match' => $etag);

        is($again->status, 304, 'it has not changed');
        is($again->body, '');
        is($again->header('ETag'), $etag);
        is(page("/read/$path", 'If-None-Match' => '"x"')->status, 200);

        my $head = $t->request(method => 'HEAD', uri => "/read/$path",
                               headers => { Accept => HTML });

        is($head->status, 200);
        is($head->body, '');
        is($head->header('Content-Length'), length $plain->body);
        is($t->request(method => 'POST', uri => "/token/$path",
                       headers => { 'X-Canary-Token' => 'secret' })->status,
           405);
    }
};

subtest 'the page lies below a slash' => sub {
    my $redirect = page('/bare?x=/y');

    is($redirect->status, 302);
    is($redirect->header('Location'), './bare/', 'wherever it is seen');
    is($redirect->header('X-Content-Type-Options'), 'nosniff');
    is(page('/bare/')->status, 200);
    is(page('/read')->status, 301, 'as with proxy_pass');
    like(page('/read')->header('Location'), qr{/read/$});
};

subtest 'there is nothing in it that a browser would ask elsewhere' => sub {
    for my $path ('', 'dashboard.css', 'dashboard.js') {
        my @urls = grep { $_ ne 'http://www.w3.org/2000/svg' }
            page("/read/$path")->body =~ m{(\w+://[^'"\s)]+)}g;

        is_deeply(\@urls, [], $path || 'the page');
    }
};

subtest 'the lock file names no registry' => sub {
    open my $file, '<', "$FindBin::Bin/dashboard/package-lock.json" or die $!;
    my $lock = do { local $/; <$file> };

    unlike($lock, qr/resolved|http/);
};


# The browser.

my $many = Canary::Test->new(timeout => 1500);

$many->backend('m1');
$many->start(join '', 'upstream m1 { server 127.0.0.1:%%PORT_m1%%; }',
    'upstream m2 { server 127.0.0.1:%%PORT_m1%%; }',
    (map { "upstream service-$_ { canary_release v1 m1; "
           . "canary_release v2 m2; canary_rule error_rate 1%; }\n" }
        1 .. 1000), '%%API%%');

my $fleet = lacks(qw(hiredis redis-server processes))
    ? undef : Canary::Fleet->new(qw(a b))->start;

my ($chromium) = grep { -x } '/usr/bin/chromium', '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome';

SKIP: {
    ok($chromium, 'there is a Chromium')
        or diag('install the package chromium') , skip('no browser', 1);

    # Where npm reaches no registry, all but the browser is tested.

    skip(lacks('browser'), 1) if lacks('browser');

    browse();
}

is($many->stop, 0, 'the nginx of a thousand endpoints ended well');
is($_->stop, 0, 'so did those of a fleet') for $fleet ? $fleet->nodes : ();
$t->finish;


sub page($uri, %headers) {
    return $t->get($uri, headers => { Accept => HTML, %headers });
}


# Runs the tests of the browser and takes over what they say.

sub browse() {
    my $front = 'http://127.0.0.1:' . $t->port('http');

    local $ENV{CANARY_SITE} = JSON::PP->new->encode({
        front      => "$front/",
        api        => 'http://127.0.0.1:' . $t->port('api') . '/canary/',
        many       => 'http://127.0.0.1:' . $many->port('api') . '/canary/',
        bare       => "$front/bare",
        readOnly   => "$front/read/",
        token      => "$front/token/",
        prefixed   => "$front/other/prefix/",
        stream     => "$front/stream/",
        streamPort => $t->port('stream'),
        helper     => $t->helper_pid,
        $fleet ? (
            fleet       => 'http://127.0.0.1:' . $fleet->node('a')->port('api')
                . '/canary/',
            fleetHelper => $fleet->node('b')->helper_pid,
            fleetRedis  => $fleet->redis->pid,
        ) : (),
    });
    local $ENV{CANARY_CHROMIUM} = $chromium;
    local $ENV{CANARY_SCREENSHOTS} = "$root/build/dashboard";
    local $ENV{NODE_PATH} = $modules;
    delete local @ENV{grep { /_proxy$/i } keys %ENV};

    my $pid = open my $output, '-|', 'node',
        "$FindBin::Bin/dashboard/tests.js" or die "node: $!\n";
    my ($plan, $told) = (0, 0);

    while (my $line = <$output>) {
        chomp $line;

        if ($line =~ /^1\.\.(\d+)/) {
            $plan = $1;

        } elsif ($line =~ /^(not )?ok - (.*)/) {
            $told++;
            ok(!$1, $2);

        } else {
            diag($line =~ s/^# //r);
        }
    }

    ok(close $output, 'the browser ended well');
    ok($plan && $told == $plan, "$told of $plan tests");

    return;
}
