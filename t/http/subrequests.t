# Tests for requests that come to an endpoint more than once at a time: each
# has its own retries, its own fallback, and its own variables.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Canary::Test;
use Test::More;

my $t = Canary::Test->new(workers => 1);
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

$t->backend('v1b');

$t->start(<<'EOC');
    proxy_cache_path %%DIR%%/cache keys_zone=c:1m;

    upstream one { server 127.0.0.1:%%PORT_v1%%; }
    upstream two { server 127.0.0.1:%%PORT_v2%%; }

    upstream ep {
        canary_release v1 one;
        canary_release v2 two;
    }

    upstream strict {
        canary_release  v1 one;
        canary_release  v2 two;
        canary_fallback off;
    }

    upstream kept_one {
        server 127.0.0.1:%%PORT_v1%% max_fails=0 weight=50;
        server 127.0.0.1:%%PORT_v1b%% max_fails=0;
        keepalive 4;
    }

    upstream kept_two { server 127.0.0.1:%%PORT_v2%%; keepalive 4; }

    upstream kept {
        canary_release v1 kept_one;
        canary_release v2 kept_two;
    }

    proxy_next_upstream error timeout http_500;
    proxy_http_version 1.1;
    proxy_set_header Connection "";

    server {
        listen 127.0.0.1:%%PORT_http%%;

        add_header X-Release $canary_release:$canary_reason always;
        add_header X-Cache   $upstream_cache_status always;
        add_header X-Tries   $upstream_status always;

        location = /page.html { root %%DIR%%; ssi on; ssi_types *; }
        location / { proxy_pass http://ep; }

        location /main { mirror /mirrored; proxy_pass http://ep; }
        location = /mirrored { internal; proxy_pass http://ep; }

        location /cached {
            proxy_pass http://ep;
            proxy_cache c;
            proxy_cache_valid 1h;
            proxy_cache_key $uri;
        }

        location /named {
            proxy_pass http://strict;
            proxy_cache c;
            proxy_cache_valid 200 1h;
            proxy_cache_lock on;
            proxy_cache_lock_timeout 60s;
            proxy_cache_key $canary_release:$uri;
        }

        location /kept {
            proxy_pass http://kept;
            proxy_next_upstream_tries 3;
        }
    }
    %%API%%
EOC

$t->write_file('page.html', join '', map {
    qq([<!--#include virtual="/$_" -->])
} 'a' .. 'c');

# The canary has all but one request of a million: that is the first one.

my $nearly_all = 0.999999;


subtest 'each include of a page falls back' => sub {
    $v2->set(status => 500);
    $t->start_rollout('ep', steps => [$nearly_all]);
    $t->get('/');

    is($t->get('/page.html')->body, '[v1][v1][v1]', 'no user sees a failure')
        for 1 .. 3;

    $t->is_totals('ep', 'v2', { attempts => 9, '5xx' => 9 },
                  'each was tried');
    $t->verb(ep => 'rollback');
};


subtest 'a mirror that falls back takes nothing from its request' => sub {
    $v2->set;
    $v2->on('/mirrored', status => 500);
    $v2->on('/main', delay_ms => 300);
    $t->start_rollout('ep', steps => [$nearly_all]);
    $t->get('/') for 1 .. 2;

    my $response = $t->get('/main');
    is($response->body, 'v2');
    is($response->header('X-Release'), 'v2:weight', 'of its own attempt');

    $v2->on('/main', status => 500, delay_ms => 300);
    $response = $t->get('/main');
    is($response->status, 200);
    is($response->body, 'v1');
    is($response->header('X-Release'), 'v1:fallback');

    $t->verb(ep => 'rollback');
};


subtest 'what is answered from a cache is no choice' => sub {
    $v2->set;
    $t->start_rollout('ep', steps => [0.5]);
    $t->get('/cached/known');

    my $before = $t->release('ep', 'v2')->{attempts};

    for my $n (1 .. 20) {
        $t->get("/cached/$n");

        my $hit = $t->get('/cached/known');
        is($hit->header('X-Cache'), 'HIT');
        is($hit->header('X-Release'), ':', 'it passed no endpoint');
    }

    is($t->release('ep', 'v2')->{attempts} - $before, 10,
       'half of what was not in the cache');
    $t->verb(ep => 'rollback');
};


subtest 'no answer of stable is stored under the name of the canary' => sub {
    $v2->set(status => 500, delay_ms => 300);
    $t->start_rollout('strict', steps => [$nearly_all],
                      rules => [rule(failed_requests_max => 0)]);
    $t->get('/named/first');

    my $result = $t->load(connections => 3, count => 3,
                           request => { uri => '/named/x' })
                   ->result;
    is($t->endpoint('strict')->{phase}, 'idle', 'the first broke the budget');
    is($result->{statuses}{200}, 2, 'those that waited for it: stable');

    $v2->set;
    $t->start_rollout('strict', steps => [$nearly_all]);
    $t->get('/named/other') for 1 .. 2;
    is($t->get('/named/x')->body, 'v2', 'the next rollout finds its own');
    $t->verb(strict => 'rollback');
};


subtest 'a dead kept connection takes no try' => sub {
    $v1->set(status => 500);
    $v2->set;
    $t->start_rollout('kept', steps => [$nearly_all]);
    $t->get('/kept') for 1 .. 3;

    is($t->get('/kept')->body, 'v2', 'a connection is kept');
    $v2->set(status => 500, close_reused => 1);

    my $response = $t->get('/kept');
    is($response->status, 200, 'three tries are enough');
    is($response->header('X-Tries'), '502, 500, 500, 200',
       'the dead one, the canary, and both of stable');
};


$t->finish;
