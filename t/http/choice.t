#!/usr/bin/perl

# One choice a request and endpoint, wherever nginx takes it: all that the
# backends see of a client's request, told by its number, is of one release.
# And it takes one place in the exact split, told by the canary's share.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

use constant REQUESTS => 40;

my $t = Canary::Test->new(workers => 1);
my %behaviour = (headers => { 'Content-Type' => 'text/html' });
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');
my @servers = map { $t->backend($_) } qw(v1a v1b v2a v2b);
my $auth = $t->has('http_auth_request');

my $http = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream pair_v1 {
        server 127.0.0.1:%%PORT_v1a%% max_fails=0;
        server 127.0.0.1:%%PORT_v1b%% max_fails=0;
    }
    upstream pair_v2 {
        server 127.0.0.1:%%PORT_v2a%% max_fails=0;
        server 127.0.0.1:%%PORT_v2b%% max_fails=0;
    }

    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
        canary_force   $arg_force;
    }
    upstream other {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }
    upstream pair {
        canary_release  v1 pair_v1;
        canary_release  v2 pair_v2;
        canary_fallback off;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_set_header X-Endpoint $canary_endpoint;
        proxy_intercept_errors on;

        add_header X-Release $canary_release always;
        add_header X-Reason  $canary_reason  always;

        location / { proxy_pass http://ep; }

        location /error/   { error_page 404 = /second; proxy_pass http://ep; }
        location /named/   { error_page 404 = @second; proxy_pass http://ep; }
        location /thrice/  {
            recursive_error_pages on;
            error_page 404 = @again;
            proxy_pass http://ep;
        }
        location @again    {
            recursive_error_pages on;
            error_page 404 = @second;
            proxy_pass http://ep;
        }
        location @second   {
            rewrite ^ /done break;
            proxy_pass http://ep;
        }
        location /second   { proxy_pass http://ep; }

        location /try/     { try_files /nothing @second; }
        location /rewrite/ { rewrite ^ /second last; }
        location /index/   { error_page 403 = @second; deny all; }

        location /ssi/     { ssi on; proxy_pass http://ep; }
        location /local    {
            ssi on;
            root %%DIR%%;
            default_type text/html;
        }
        location /mirror/  { mirror /copy; mirror /copy; proxy_pass http://ep; }
        location = /copy   { internal; proxy_pass http://ep/copy; }

        location /two/     {
            recursive_error_pages on;
            error_page 404 = @other;
            proxy_pass http://ep;
        }
        location @other    {
            recursive_error_pages on;
            error_page 404 = @second;
            proxy_pass http://other;
        }

        location /pair/    {
            proxy_pass http://pair;
            proxy_next_upstream error timeout http_500;
        }

        location /fallback/ {
            proxy_next_upstream error timeout http_500;
            error_page 503 = /second/fallback;
            proxy_pass http://ep;
        }

        %%AUTH%%
    }

    %%API%%
EOC

my $auth_locations = $auth ? <<'EOC' : '';
        location /auth/    { auth_request /check; proxy_pass http://ep; }
        location = /check  { internal; proxy_pass http://ep/check; }
        location /asked/   {
            auth_request /check;
            auth_request_set $by $canary_release;
            add_header X-By $by;
            add_header X-Release $canary_release;
            proxy_pass http://ep;
        }
EOC

$http =~ s/%%AUTH%%/$auth_locations/;
$t->write_file('local',
    join "\n", map { "<!--# include virtual=\"/part$_\" -->" } 1 .. 3);
$t->start($http);
$t->start_rollout($_) for qw(ep other pair);

for my $backend ($v1, $v2) {
    my $include = '<!--# include virtual="/part" -->';

    $backend->set(%behaviour);
    $backend->on($_, status => 404)
        for qw(/error /named /thrice /two);
    $backend->on('/xar', headers => { 'X-Accel-Redirect' => '/second' });
    $backend->on('/named_xar', headers => { 'X-Accel-Redirect' => '@second' });
    $backend->on('/ssi', %behaviour, body => "$include $include");
}


is_one_choice('one pass', '/', 1);
is_one_choice('error_page', '/error/', 2);
is_one_choice('error_page, named location', '/named/', 2);
is_one_choice('error_page, twice', '/thrice/', 3);
is_one_choice('X-Accel-Redirect', '/xar/', 2);
is_one_choice('X-Accel-Redirect to a named location', '/named_xar/', 2);
is_one_choice('try_files', '/try/', 1);
is_one_choice('rewrite', '/rewrite/', 1);
is_one_choice('before the endpoint an error_page', '/index/', 1);
is_one_choice('SSI', '/ssi/', 3);
is_one_choice('SSI of a local file', '/local', 3);
is_one_choice('mirror', '/mirror/', 3);
is_one_choice('auth_request', '/auth/', 2) if $auth;

subtest 'retries within a release' => sub {
    my @bad = @servers[0, 2];
    $_->set(status => 500) for @bad;

    my @paths = values %{ paths('/pair/', 1) };
    my @retried = grep { /a/ } @paths;

    cmp_ok(scalar @retried, '>=', REQUESTS / 4, 'some are retried');
    is(scalar(grep { !/^pair\/v(\d)\w(?: pair\/v\1\w)?$/ } @paths), 0,
       'none by another release');
    is_half(scalar(grep { /v2/ } @paths), 'half of them by the canary');
};

subtest 'two endpoints' => sub {
    my @paths = values %{ paths('/two/', 3) };
    my $two = qr/^ep\/(v[12]) ep\/\1 other\/v[12]$/;

    is(scalar(grep { !/$two/ } @paths), 0, 'one choice at each');
    is_half(scalar(grep { /ep\/v2/ } @paths), 'half of one');
    is_half(scalar(grep { /other\/v2/ } @paths), 'half of the other');
};

subtest 'forced, on all ways' => sub {
    my %ways = ('/error/' => 2, '/xar/' => 2, '/ssi/' => 3, '/mirror/' => 3,
                $auth ? ('/auth/' => 2) : ());

    for my $uri (sort keys %ways) {
        my @paths = values %{ paths("$uri?force=v2", $ways{$uri}) };

        is(scalar(grep { /v1/ } @paths), 0, $uri);
    }
};

subtest 'after a fallback' => sub {
    $v2->on('/fallback', status => 500);
    $v1->on('/fallback', status => 503);    # and then /second

    my %count;
    $count{$_}++ for values %{ paths('/fallback/', 2) };

    is_deeply([sort keys %count], ['ep/v1 ep/v1', 'ep/v1 ep/v1 ep/v2'],
              'what stable has taken over stays with it');
    is_half($count{'ep/v1 ep/v1 ep/v2'}, 'half of them');
    is($t->totals(ep => 'v1')->{fallbacks}, 2 * $count{'ep/v1 ep/v1 ep/v2'},
       'each attempt of it is a fallback');
};

# Parts of a page are fetched at the same time; what one of them meets does
# not take away the others' way out.

subtest 'subrequests that fall back at once' => sub {
    my $include = '<!--# include virtual="/part/fallback" -->';

    $_->on('/ssi/page', %behaviour, body => $include x 3) for $v1, $v2;
    $v1->on('/part/fallback', body => 'good ');
    $v2->on('/part/fallback', mode => 'close', delay_ms => 100);

    my $client = $t->client;
    my $before = $t->totals(ep => 'v2')->{failed} // 0;
    for (1 .. 4) {
        is($client->get('/ssi/page')->body, 'good good good ', 'all parts');
    }
    is($t->totals(ep => 'v2')->{failed} - $before, 6,
       'the canary failed at each of two pages');
};

subtest 'variables of a subrequest tell the same' => sub {
    needs('http_auth_request');

    for (1 .. 6) {
        my $response = $t->get('/asked/');

        is($response->header('X-By'), $response->header('X-Release'),
           'auth_request_set');
    }
};

$t->finish;


# What the backends saw of each of some requests, by its number: endpoints and
# backends, sorted. $passes is the least that each comes to.

sub paths($uri, $passes) {
    state $run = 0;
    my $client = $t->client;
    my @backends = ($v1, $v2, @servers);
    my %path;

    $run++;
    for my $n (1 .. REQUESTS) {
        my $status = $client->get($uri, headers => { 'X-Number' => "$run-$n" })
            ->status;
        is($status, 200, "$uri is answered") if $status != 200;
    }

    # Mirrors may come after the answer.
    $t->wait_for(sub {
        %path = ();
        for my $backend (@backends) {
            for my $request ($backend->log) {
                my $headers = $request->{headers};
                my $number = $headers->{'x-number'};
                next unless $number =~ /^$run-/;

                push @{ $path{$number} },
                    "$headers->{'x-endpoint'}/" . $backend->name;
            }
        }

        return (grep { @$_ >= $passes } values %path) == REQUESTS;
    }, 5, "$uri to be passed on");

    return { map { $_ => join ' ', sort @{ $path{$_} } } keys %path };
}


sub is_one_choice($name, $uri, $passes) {
    subtest $name => sub {
        my @paths = values %{ paths($uri, $passes) };
        my %expected = map { join(' ', ("ep/$_") x $passes) => 1 } qw(v1 v2);

        is(scalar(grep { !$expected{$_} } @paths), 0,
           'as often as it should, and to one release');
        is_half(scalar(grep { /v2/ } @paths), 'half of them to the canary');
    };

    return;
}


sub is_half($n, $name) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return cmp_ok(abs(($n // 0) - REQUESTS / 2), '<=', 1, $name);
}
