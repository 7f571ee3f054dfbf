#!/usr/bin/perl

# More processes than anybody counted on: each is told from the others, and
# what its configuration names is in use as long as it lives.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

use constant MANY => 140;

needs('memory');

my $t = Canary::Test->new(workers => 2);
my $model = $t->backend('model');
my $events = 'worker_connections 16;';

$t->start(conf(qw(v1 v2)), events => $events);

subtest 'more workers than slots' => sub {
    $t->reload(conf(qw(v1 v2)), workers => MANY, gone => 1);
    like($t->error_log,
         qr/\[warn\] .*"canary" was made with \d+ slots, and 140 worker processes share them/,
         'share them, which is said');
    is($t->get('/')->status, 200, 'they serve');
};

subtest 'generations beside each other' => sub {
    my @before = $t->worker_pids;

    # All of them are there until the last one of the others is.

    $t->kill(STOP => @before);
    $t->kill(HUP => $t->master_pid);
    $t->wait_for(sub { my @all = $t->worker_pids; @all == 2 * MANY }, 60,
                 'twice as many workers');
    $t->kill(CONT => @before);
    $t->wait_for(sub { my @all = $t->worker_pids; @all == MANY }, 60,
                 'those before to end');

    my $client = client_of_the_last();

    is($client->get('/?release=v2')->status, 200, 'it counts a request');
    $model->next_requests(1, delay_ms => 600_000);
    my $waiting = $client->start(uri => '/?release=v2');
    $t->wait_for(sub { $model->requests == 3 }, 10, 'another one');

    $t->reload(conf(qw(v1 v3)), workers => 1);
    $t->wait_for(sub { $t->old_worker_pids == 1 }, 60,
                 'all but one of the old workers to end');
    $t->reload(conf(qw(v1 v3)), workers => 1);
    is($t->get('/?release=v3')->status, 200, 'another release is used');

    $model->stop;
    is($waiting->finish->status, 502, 'the request ends');
    $t->wait_for(sub { !$t->old_worker_pids }, 10, 'the last old worker');
    is($t->totals(ep => 'v3')->{attempts}, 1, 'which is not counted there');

    $t->reload(conf(qw(v1 v2)), gone => 1);
    is_deeply($t->totals(ep => 'v2'), { attempts => 2, '2xx' => 1, failed => 1 },
              'but where it belongs');
};

$t->finish;


# A connection to one of the last workers that were started.

sub client_of_the_last() {
    my @last = (sort { $a <=> $b } $t->worker_pids)[-12 .. -1];
    my @clients;

    for (1 .. 1000) {
        push @clients, $t->client;
        my $pid = $clients[-1]->get('/pid')->body;

        return $clients[-1] if grep { $_ == $pid } @last;
        shift(@clients)->close if @clients > MANY;
    }

    die 'no connection to one of these: ' . "@last";
}


sub conf(@releases) {
    my $releases = join "\n", map { "canary_release $_ model;" } @releases;

    return <<~"EOC";
        upstream model { server 127.0.0.1:%%PORT_model%%; }
        upstream ep { $releases canary_force \$arg_release; }
        server {
            listen 127.0.0.1:%%PORT_http%%;
            location / { proxy_pass http://ep; }
            location = /pid { return 200 \$pid; }
        }
        %%API%%
        EOC
}
