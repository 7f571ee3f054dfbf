#!/usr/bin/perl

# nginx's helper process has one timer for all caches: they keep their pace
# beside an endpoint, and the control loop keeps its own beside them.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

use constant {
    FILES => 20,     # in each of both caches at rest
    TURN  => 2,      # that its manager may remove before it sleeps
    BUSY  => 300,    # in the cache whose manager hardly sleeps
};

my $t = Canary::Test->new(workers => 1);

needs('processes', 'speed');

my $fastcgi = $t->has('http_fastcgi');

$t->backend('v1');
$t->backend('v2');
$t->backend('fast', protocol => 'fastcgi');
$t->start(http());

fill('/proxied', FILES);
fill('/fast', FILES) if $fastcgi;
fill('/busy', BUSY);
is(files('proxied'), FILES, 'a cache is full');

# All caches are now too large. The managers have their first turn when the
# new helper starts, and the next one in an hour, or at once.

subtest 'caches at rest' => sub {
    my $load = $t->load(connections => 1);

    $t->reload(http('max_size=0', busy => 'manager_sleep=1h'));
    removed('proxied');
    removed('fast') if $fastcgi;
    removed('busy', 1, BUSY);
    roll_out('v2');
    removed('proxied');
    removed('fast') if $fastcgi;
    removed('busy', 1, BUSY);
    $load->stop;
};

subtest 'a cache whose manager always runs' => sub {
    my $load = $t->load(connections => 1);
    my $before = files('busy');

    $t->reload(http('max_size=0', busy => 'manager_sleep=10ms'));
    $t->wait_for(sub { files('busy') < $before - 1 }, 60, 'its second turn');
    roll_out('v1');
    $t->wait_for(sub { files('busy') == 0 }, 60, 'it to be empty');
    is($t->endpoint('ep')->{stable}, 'v1', 'a rollout has ended meanwhile');
    $load->stop;
};

$t->finish;


sub http($size = 'max_size=1g', %sleep) {
    my $rest = "$size manager_files=" . TURN . ' manager_sleep=1h';
    my $busy = "$size manager_files=1 " . ($sleep{busy} // 'manager_sleep=1h');
    my $cached = 'proxy_cache_valid any 1h; proxy_cache';

    my ($path, $location) = $fastcgi ? (
        "fastcgi_cache_path %%DIR%%/fast keys_zone=fast:1m $rest;",
        'location /fast {
             fastcgi_pass 127.0.0.1:%%PORT_fast%%;
             fastcgi_cache_key $uri;
             fastcgi_cache_valid any 1h;
             fastcgi_cache fast;
         }') : ('', '');

    return <<"EOC";
    proxy_cache_path %%DIR%%/proxied keys_zone=proxied:1m $rest;
    proxy_cache_path %%DIR%%/busy keys_zone=busy:1m $busy;
    $path

    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://ep; }
        location /proxied {
            proxy_pass http://model_v1;
            $cached proxied;
        }
        location /busy {
            proxy_pass http://model_v1;
            $cached busy;
        }
        $location
    }

    %%API%%
EOC
}


sub fill($uri, $files) {
    my $client = $t->client;

    $client->request(uri => "$uri/$_")->status == 200 or die "$uri/$_"
        for 1 .. $files;

    return;
}


sub files($cache) { return scalar(() = glob $t->dir . "/$cache/*") }


# What one turn of its manager leaves is there, and stays.

sub removed($cache, $turn = TURN, $files = FILES) {
    $t->wait_for(sub { files($cache) <= $files - $turn }, 30,
                 'the manager to run');

    return is(files($cache), $files - $turn, "$cache: one turn");
}


# The control loop has then run for some dozen times.

sub roll_out($release) {
    $t->start_rollout('ep', release => $release, interval => 0.1,
                      bake => 0.1, steps => [ map { $_ / 20 } 1 .. 19 ]);

    return $t->wait_for(sub { $t->endpoint('ep')->{phase} eq 'idle' }, 60,
                        'the rollout to end');
}
